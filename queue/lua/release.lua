-- A worker gives a job back without its costing an attempt. ARGV: id, token, reason, what the
-- next worker shall know or ''.
local id = ARGV[1]
if not holds(id, ARGV[2]) then
	return 'lost'
end
local key = job_key(id)
local cancel = redis.call('HGET', key, 'cancel')
if cancel then
	close_cancelled(id, cancel)
else
	unplace(id, 'running')
	redis.call('HINCRBY', key, 'attempts', -1)
	if ARGV[4] ~= '' then
		redis.call('HSET', key, 'saved', ARGV[4])
	end
	tell_job(id, 'released', 'reason', ARGV[3])
	place(id, 0)
end
settle()
return 'ok'
