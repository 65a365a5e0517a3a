-- What cannot be read goes to the dead letters. ARGV: 'in' or 'recur', entry, id or '',
-- reason, text.
if ARGV[1] == 'recur' then
	if redis.call('ZREM', P .. 'recur', ARGV[2]) == 0 then
		return 'gone'
	end
elseif not take_entry(ARGV[2]) then
	return 'gone'
end
local id = ARGV[3]
dead_letter(id, 'rejected', ARGV[4], ARGV[5])
count('rejected')
-- The sender may be waiting at the job's own stream; not where the id is another job's.
if id ~= '' and redis.call('EXISTS', job_key(id)) == 0 then
	tell(id, 'rejected', 'reason', ARGV[4])
	redis.call('EXPIRE', P .. 'ev:' .. id, EVENTS_KEPT_S)
end
return 'rejected'
