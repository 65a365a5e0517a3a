-- Extends a lease. ARGV: id, token, lease in ms, worker, and progress as variant, step, steps,
-- eta (all '' when there is none to tell), then zones: see read_zones(). Returns what the worker
-- shall do, the window that the job must keep to, and zones of urgent jobs that the worker shall
-- judge and beat again.
local id, token, worker = ARGV[1], ARGV[2], ARGV[4]
if not holds(id, token) then
	return { 'lost', '', {} }
end
local key, unknown = job_key(id), {}
local window = call('HGET', key, 'window') or ''
call('ZADD', P .. 'running', now + tonumber(ARGV[3]), id)
call('ZADD', P .. 'workers', 'XX', now, worker) -- a seat is not listed
if ARGV[5] ~= '' then
	local h = call('HMGET', key, 'variant', 'step')
	call('HSET', key, 'variant', ARGV[5], 'step', ARGV[6], 'steps', ARGV[7], 'eta', ARGV[8],
		'updated', now)
	if h[1] ~= ARGV[5] or h[2] ~= ARGV[6] then
		tell_job(id, 'progress', 'variant', ARGV[5], 'step', ARGV[6], 'steps', ARGV[7],
			'eta', ARGV[8])
	end
end
if call('HEXISTS', key, 'cancel') == 1 then
	return { 'cancel', window, {} }
end

local is_open = read_zones(9, unknown)

-- Urgent jobs of a class that could begin now.
local function urgent_of(class)
	local urgent = 0
	each_head(class, 0, function(other, score)
		if score >= RANK then
			return true
		elseif is_open(other) then
			urgent = urgent + call('ZCOUNT', ready_key(class .. other), '-inf', '(' .. string.format('%.0f', RANK))
		end
	end)
	return urgent
end

-- Shall this job make room? When more urgent jobs wait than free workers and workers that
-- make room already; a normal job only when no batch job could do so instead.
local function shall_yield()
	local rank = tonumber(call('HGET', key, 'prio'))
	local first = call('ZRANGE', P .. 'ready', 0, 0, 'WITHSCORES')[2]
	if rank == 0 or not first or tonumber(first) >= RANK or call('EXISTS', P .. 'paused') == 1 then
		return false
	end
	call('ZREMRANGEBYSCORE', P .. 'preempting', '-inf', now)
	local asked = call('ZSCORE', P .. 'preempting', id)
	local classes = call('HGET', P .. 'worker:' .. worker, 'classes') or ''
	for class in string.gmatch(classes, '%S+') do
		if enough() then
			return false
		end
		local urgent = urgent_of(class)
		if urgent > 0 then
			local free, batch = helpers(class)
			local helped = free + call('ZCARD', P .. 'preempting') - (asked and 1 or 0)
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
	call('ZADD', P .. 'preempting', now + tonumber(ARGV[3]), id)
	return { 'preempt', window, {} }
end
call('ZREM', P .. 'preempting', id)
return { 'ok', window, unknown }
