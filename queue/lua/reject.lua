-- What cannot be read goes to the dead letters. ARGV: 'in' or 'recur', entry, id or '', reason,
-- text, what the entry has as modality and prompt, what it was: 'job', 'odd' (its id is none
-- that a job may have), 'operation', and the job as far as it could be read, or nothing. Who sent a job waits for it: it ends as failed with the code
-- "rejected", and the id is free again for a job that can be read. Not where it is another job's.
local id, reason = ARGV[3], ARGV[4]
if ARGV[1] == 'recur' then
	if call('ZREM', P .. 'recur', ARGV[2]) == 0 then
		return 'gone'
	end
	call('HDEL', P .. 'series', series(ARGV[2]))
elseif not take_entry(ARGV[2]) then
	return 'gone'
end
dead_letter(id, 'rejected', reason, ARGV[5])
count('rejected')
if id == '' or ARGV[8] == 'operation' or call('EXISTS', job_key(id)) == 1 and not was_rejected(id) then
	return 'rejected'
end
call('HSET', job_key(id), 'state', 'failed', 'error_code', 'rejected', 'error', reason,
	'created', now, 'updated', now, 'finished', now, 'modality', ARGV[6], 'prompt', ARGV[7])
if (ARGV[9] or '') ~= '' then
	call('HSET', job_key(id), 'job', ARGV[9])
end
if ARGV[8] == 'job' then
	call('ZADD', P .. 'failed', now, id)
	tell(id, 'rejected', 'reason', reason)
	tell(id, 'failed', 'code', 'rejected', 'reason', reason)
	call('EXPIRE', P .. 'ev:' .. id, EVENTS_KEPT_S)
	closed[1] = id
	settle()
else
	call('EXPIRE', job_key(id), EVENTS_KEPT_S)
end
return 'rejected'
