-- The best job for a worker. ARGV: worker, token, lease in ms, then three lists, each with
-- its length before it: classes, windows that are open, windows that are closed; last the fellow:
-- the job beside which it is to be made, or ''. For a fellow the worker is a seat (PROTOCOL.md),
-- and the best job is given only if it fits.
local worker, token, lease, fellow = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[#ARGV]
local worker_key = P .. 'worker:' .. worker
local function describe(id)
	local key = job_key(id)
	local h = redis.call('HMGET', key, 'job', 'attempts', 'failures', 'crashes', 'saved', 'cost',
		'variants', 'created', 'class', 'window')
	local results = {}
	if tonumber(h[7]) > 0 then
		for k = 0, tonumber(h[6]) - 1 do
			if redis.call('HEXISTS', key, 'v' .. k) == 1 then
				results[#results + 1] = k
			end
		end
	end
	local saved = redis.call('HGET', P .. 'saved:' .. id, 'variant')
	return { 'job', id, h[1], tonumber(h[2]), tonumber(h[3]), tonumber(h[4]), h[5] or '', results,
		tonumber(h[8]), tonumber(saved or -1), redis.call('ZCARD', ready_key(h[9] .. h[10])) }
end

-- A job that has taken a worker with it goes alone: it must not take its neighbours too. So does
-- one that may not crash once: a neighbour's crash would put it aside.
local function may_share(crashes, max_attempts)
	return crashes == '0' and tonumber(max_attempts) > 1
end

-- One variant of the same model and shape, of the same priority, of which nothing is made yet.
-- Where another worker is free, that one shall have the job.
local function fits(id)
	local fields = { 'class', 'prio', 'crashes', 'max_attempts', 'variants', 'shape', 'cost' }
	local a = redis.call('HMGET', job_key(id), unpack(fields))
	local b = redis.call('HMGET', job_key(fellow), unpack(fields))
	if a[1] ~= b[1] or a[2] ~= b[2] or a[5] ~= '0' or not may_share(a[3], a[4]) or
		not may_share(b[3], b[4]) or redis.call('EXISTS', P .. 'saved:' .. id) == 1 or
		helpers(a[1]) > 0 then
		return false
	end
	return a[6] and a[6] == b[6] and a[7] == '1'
end

-- The reply to an earlier try may have been lost with the connection.
local held = redis.call('HMGET', worker_key, 'job', 'token')
if held[1] and held[2] == token and holds(held[1], token) then
	return describe(held[1])
end
if redis.call('EXISTS', P .. 'paused') == 1 then
	return { 'paused' }
end

local queues, unknown = {}, {}
local classes, at = read_list(4)
local is_open = read_windows(at, unknown)
for _, class in ipairs(classes) do
	for _, window in ipairs(redis.call('SMEMBERS', P .. 'windows:' .. class)) do
		if is_open(window) then
			queues[#queues + 1] = class .. window
		end
	end
end
if #unknown > 0 then
	return { 'windows', unknown }
end

local function best()
	local best_id, best_score, best_queue
	for _, queue in ipairs(queues) do
		local head = redis.call('ZRANGE', ready_key(queue), 0, 0, 'WITHSCORES')
		if head[1] and (not best_score or tonumber(head[2]) < best_score) then
			best_id, best_score, best_queue = head[1], tonumber(head[2]), queue
		end
	end
	return best_id, best_score, best_queue
end

local id, score, queue = best()
while id do
	local deadline = tonumber(redis.call('HGET', job_key(id), 'deadline') or -1)
	if deadline == 0 or deadline > now then
		break
	elseif deadline < 0 then -- somebody has deleted the job by hand
		redis.call('ZREM', ready_key(queue), id)
	else
		close(id, 'ready', 'failed', 'deadline', 'not started before its deadline')
	end
	id, score, queue = best()
end
settle()
if not id or fellow ~= '' and not fits(id) then
	return { 'none' }
end

local key = job_key(id)
unplace(id, 'ready')
turn_served(score)
enter_state(id, 'running', now + lease)
local attempt = redis.call('HINCRBY', key, 'attempts', 1)
redis.call('HSET', key, 'worker', worker, 'token', token, 'started', now)
redis.call('HDEL', key, 'step', 'steps', 'variant', 'eta')
redis.call('HSET', worker_key, 'job', id, 'token', token, 'prio', math.floor(score / RANK))
if fellow == '' then
	redis.call('ZADD', P .. 'workers', now, worker)
end
tell(id, 'running', 'worker', worker, 'attempt', attempt)
return describe(id)
