-- Purges final jobs of one state. ARGV: state, age in ms, count, ms that a purged id is
-- remembered, jobs at most.
local state, limit = ARGV[1], tonumber(ARGV[5])

local purged = 0
local excess = redis.call('ZCARD', P .. state) - tonumber(ARGV[3])
if excess > 0 then
	for _, id in ipairs(redis.call('ZRANGE', P .. state, 0, math.min(excess, limit) - 1)) do
		purge(id, state)
		purged = purged + 1
	end
end
if purged < limit then
	local old = redis.call('ZRANGEBYSCORE', P .. state, '-inf', now - tonumber(ARGV[2]), 'LIMIT', 0,
		limit - purged)
	for _, id in ipairs(old) do
		purge(id, state)
		purged = purged + 1
	end
end
local tombs = redis.call('ZRANGEBYSCORE', P .. 'tombs', '-inf', now - tonumber(ARGV[4]), 'LIMIT', 0,
	limit)
for _, id in ipairs(tombs) do
	redis.call('DEL', job_key(id))
	redis.call('ZREM', P .. 'tombs', id)
end
-- Workers that were not heard of for a day.
for _, name in ipairs(redis.call('ZRANGEBYSCORE', P .. 'workers', '-inf', now - 86400000)) do
	redis.call('DEL', P .. 'worker:' .. name)
	redis.call('ZREM', P .. 'workers', name)
end
return purged
