-- The clockwork. ARGV: run_id of the server, ms to hold after it changed, then the waits in ms
-- after the first, second, … crash of a job.
-- Returns promoted, recovered, failed, ms until the next is due (-1: none), ids of jobs whose
-- next occurrence is to be made.
local CHUNK = 200
local promoted, recovered, failed = 0, 0, 0
local meta = P .. 'meta'

-- A server that was away has let every lease run out: give the workers time to beat.
if redis.call('HGET', meta, 'run_id') ~= ARGV[1] then
	redis.call('HSET', meta, 'run_id', ARGV[1], 'hold', now + tonumber(ARGV[2]))
end

-- What is due. Ids whose job somebody has deleted by hand are dropped: one of them must not
-- stop the clock.
local function due(name)
	local there = {}
	for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. name, '-inf', now, 'LIMIT', 0, CHUNK)) do
		if redis.call('HEXISTS', job_key(id), 'job') == 1 then
			there[#there + 1] = id
		else
			redis.call('ZREM', P .. name, id)
		end
	end
	return there
end

local function recover(id)
	local key = job_key(id)
	local h = redis.call('HMGET', key, 'cancel', 'max_attempts', 'worker')
	local crashes = redis.call('HINCRBY', key, 'crashes', 1)
	count('crashed')
	if h[1] then
		close_cancelled(id, h[1])
	elseif crashes >= tonumber(h[2]) then
		close(id, 'running', 'failed', 'crashed', 'its worker died ' .. crashes ..
			' times, last ' .. (h[3] or '?'))
		failed = failed + 1
	else
		local wait = tonumber(ARGV[2 + math.min(crashes, #ARGV - 2)])
		unplace(id, 'running')
		tell_job(id, 'recovered', 'worker', h[3] or '', 'crashes', crashes)
		place(id, wait > 0 and now + wait or 0)
		recovered = recovered + 1
	end
end

if now >= tonumber(redis.call('HGET', meta, 'hold')) then
	for _, id in ipairs(due('running')) do
		recover(id)
	end
end

for _, id in ipairs(due('deadline')) do
	local state = redis.call('HGET', job_key(id), 'state')
	redis.call('ZREM', P .. 'deadline', id)
	if state == 'running' then
		redis.call('HSETNX', job_key(id), 'cancel', 'deadline')
	elseif not FINAL[state] then
		close(id, state, 'failed', 'deadline', 'not started before its deadline')
		failed = failed + 1
	end
end

for _, id in ipairs(due('delayed')) do
	unplace(id, 'delayed')
	place(id, 0)
	promoted = promoted + 1
end
settle()

local soonest
for _, name in ipairs({ 'delayed', 'running', 'deadline' }) do
	local first = redis.call('ZRANGE', P .. name, 0, 0, 'WITHSCORES')[2]
	if first and (not soonest or tonumber(first) < soonest) then
		soonest = tonumber(first)
	end
end
local wait = soonest and math.max(0, soonest - now) or -1
return { promoted, recovered, failed, wait, redis.call('ZRANGE', P .. 'recur', 0, CHUNK - 1) }
