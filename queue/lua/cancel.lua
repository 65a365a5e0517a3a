-- ARGV: intake entry or '', id. A waiting job ends at once, a running one is told at its beat. Of a
-- recurring job that has ended, the occurrence that is to come is meant; with it the series ends.
-- The parts of a film end with it: they are put into the intake, so that this stays short.
-- Returns what became of it, and the id of the occurrence that ends the series or ''.
local entry, id = ARGV[1], ARGV[2]
if not take_entry(entry) then
	return { 'gone', '' }
end
local state, last = state_of(id), ''
local every = try('HGET', job_key(id), 'every')
if every and every ~= '' then
	last = id
end
local present = FINAL[state] and call('HGET', P .. 'series', series(id))
if present and present ~= id and not FINAL[state_of(present)] then
	id, last, state = present, present, state_of(present)
elseif FINAL[state] and call('ZREM', P .. 'recur', present or id) == 1 then
	call('HDEL', P .. 'series', series(id))
	return { 'cancelled', present or id }
end
if not state then
	if entry ~= '' then
		dead_letter(id, 'rejected', 'cancel: there is no job ' .. id, '')
	end
	return { 'missing', '' }
elseif FINAL[state] then
	return { 'late', '' }
elseif state == 'running' then
	if call('HSETNX', job_key(id), 'cancel', 'user') == 1 then
		tell(id, 'cancelling')
	end
	return { 'cancelling', last }
end
for _, part in ipairs(parts(id)) do
	local at = state_of(part)
	if at and not FINAL[at] then
		call('XADD', P .. 'in', '*', 'op', 'cancel', 'id', part)
	end
end
if sound(id) then
	close(id, state, 'cancelled')
else
	bury(id, state)
end
settle()
return { 'cancelled', last }
