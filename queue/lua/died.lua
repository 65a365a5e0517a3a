-- The process of a worker has ended, as its supervisor saw. ARGV: how often a job is spared, 0: not at
-- all, -1: always; then the names of the worker and its seats. The leases that they held end now (0 is a time that
-- also a reap sees that gives workers time after a restart of Redis), and the next reap counts a crash
-- for each. Returns how many, and id and token of each job that is spared: its
-- caller gives it back.
local most, ended, spared = tonumber(ARGV[1]), 0, {}
for i = 2, #ARGV do
	local worker_key = P .. 'worker:' .. ARGV[i]
	local held = try('HMGET', worker_key, 'job', 'token') or {}
	local id = held[1]
	if id and state_of(id) and holds(id, held[2]) and call('HGET', job_key(id), 'worker') == ARGV[i] then
		if most < 0 or most > 0 and (try('HINCRBY', job_key(id), 'spared', 1) or most + 1) <= most then
			spared[#spared + 1] = id
			spared[#spared + 1] = held[2]
		else
			call('ZADD', P .. 'running', 'XX', 0, id)
			ended = ended + 1
		end
	end
	call('ZREM', P .. 'workers', ARGV[i])
	call('DEL', worker_key)
end
return { ended, spared }
