-- Forgets a job that has ended; what is left is its tombstone. ARGV: id. Answers 'ok', 'missing', or the
-- state of a job that has not ended (a recurring one not before its next occurrence is made).
local id = ARGV[1]
local state = state_of(id)
if not state then
	return 'missing'
elseif not FINAL[state] then
	return state
elseif call('ZSCORE', P .. 'recur', id) then
	return 'recurring'
end
purge(id, state)
return 'ok'
