-- Extends a lease. ARGV: id, token, lease in ms, worker, and progress as variant, step, steps,
-- eta (all '' when there is none to tell), then windows: see read_windows(). Returns what the
-- worker shall do, the window that the job must keep to, and windows of urgent jobs that the
-- worker shall judge and beat again.
local id, token, worker = ARGV[1], ARGV[2], ARGV[4]
if not holds(id, token) then
	return { 'lost', '', {} }
end
local key, unknown = job_key(id), {}
local window = redis.call('HGET', key, 'window')
redis.call('ZADD', P .. 'running', now + tonumber(ARGV[3]), id)
redis.call('ZADD', P .. 'workers', 'XX', now, worker) -- a seat is not listed
if ARGV[5] ~= '' then
	local h = redis.call('HMGET', key, 'variant', 'step')
	redis.call('HSET', key, 'variant', ARGV[5], 'step', ARGV[6], 'steps', ARGV[7], 'eta', ARGV[8],
		'updated', now)
	if h[1] ~= ARGV[5] or h[2] ~= ARGV[6] then
		tell_job(id, 'progress', 'variant', ARGV[5], 'step', ARGV[6], 'steps', ARGV[7],
			'eta', ARGV[8])
	end
end
if redis.call('HEXISTS', key, 'cancel') == 1 then
	return { 'cancel', window, {} }
end

local is_open = read_windows(9, unknown)

-- Urgent jobs of a class that could begin now.
local function urgent_of(class)
	local below_normal, urgent = '(' .. string.format('%.0f', RANK), 0
	for _, other in ipairs(redis.call('SMEMBERS', P .. 'windows:' .. class)) do
		local waiting = redis.call('ZCOUNT', ready_key(class .. other), '-inf', below_normal)
		if waiting > 0 and is_open(other) then
			urgent = urgent + waiting
		end
	end
	return urgent
end

-- Shall this job make room? When more urgent jobs wait than free workers and workers that
-- make room already; a normal job only when no batch job could do so instead.
local function shall_yield()
	local rank = tonumber(redis.call('HGET', key, 'prio'))
	if rank == 0 or redis.call('EXISTS', P .. 'paused') == 1 then
		return false
	end
	redis.call('ZREMRANGEBYSCORE', P .. 'preempting', '-inf', now)
	local asked = redis.call('ZSCORE', P .. 'preempting', id)
	local classes = redis.call('HGET', P .. 'worker:' .. worker, 'classes') or ''
	for class in string.gmatch(classes, '%S+') do
		local urgent = urgent_of(class)
		if urgent > 0 then
			local free, batch = helpers(class)
			local helped = free + redis.call('ZCARD', P .. 'preempting') - (asked and 1 or 0)
			if rank == 1 then
				helped = helped + batch
			end
			if urgent > helped then
				return true
			end
		end
	end
	return false
end

if shall_yield() then
	redis.call('ZADD', P .. 'preempting', now + tonumber(ARGV[3]), id)
	return { 'preempt', window, {} }
end
redis.call('ZREM', P .. 'preempting', id)
return { 'ok', window, unknown }
