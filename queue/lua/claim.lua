-- The best job for a worker. ARGV: worker, token, lease in ms, the fellow: the job beside which it
-- is to be made, or ''; the class and the place among its windows to begin at (0, 0), then two lists,
-- each with its length before it: classes, and zones (see read_zones()). For a fellow the worker is a
-- seat (PROTOCOL.md), and the best job is given only if it fits.
-- Returns 'job' and what describe() says; 'zones' and those that the worker shall judge; 'more' and
-- where to begin next; 'paused'; 'none'.
local worker, token, lease, fellow = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local first_class, first_place = tonumber(ARGV[5]), tonumber(ARGV[6])
local worker_key = P .. 'worker:' .. worker
local function describe(id)
	local key = job_key(id)
	local h = call('HMGET', key, 'job', 'attempts', 'failures', 'crashes', 'saved', 'cost',
		'variants', 'created', 'class', 'window')
	local results, names = {}, {}
	if tonumber(h[7]) > 0 and tonumber(h[6]) > 0 then
		for k = 0, math.min(tonumber(h[6]), 64) - 1 do
			names[#names + 1] = 'v' .. k
		end
		for k, there in ipairs(call('HMGET', key, unpack(names))) do
			if there then
				results[#results + 1] = k - 1
			end
		end
	end
	local saved = try('HGET', P .. 'saved:' .. id, 'variant')
	return { 'job', id, h[1], tonumber(h[2]), tonumber(h[3]), tonumber(h[4]), h[5] or '', results,
		tonumber(h[8]), tonumber(saved or -1), call('ZCARD', ready_key(h[9] .. h[10])) }
end

-- A job that has taken a worker with it goes alone: it must not take its neighbours too. So does
-- one that may not crash once: a neighbour's crash would put it aside.
local function may_share(crashes, max_attempts)
	return crashes == '0' and (tonumber(max_attempts) or 0) > 1
end

-- One variant of the same model and shape, of the same priority, of which nothing is made yet.
-- Where another worker is free, that one shall have the job.
local function fits(id)
	local fields = { 'class', 'prio', 'crashes', 'max_attempts', 'variants', 'shape', 'cost' }
	local a = call('HMGET', job_key(id), unpack(fields))
	local b = call('HMGET', job_key(fellow), unpack(fields))
	if a[1] ~= b[1] or a[2] ~= b[2] or a[5] ~= '0' or not may_share(a[3], a[4]) or
		not may_share(b[3], b[4]) or call('EXISTS', P .. 'saved:' .. id) == 1 or
		helpers(a[1]) > 0 then
		return false
	end
	return a[6] and a[6] == b[6] and a[7] == '1'
end

-- The reply to an earlier try may have been lost with the connection.
local held = call('HMGET', worker_key, 'job', 'token')
if held[1] and held[2] == token and holds(held[1], token) and sound(held[1]) then
	return describe(held[1])
end
if call('EXISTS', P .. 'paused') == 1 then
	return { 'paused' }
end

local unknown = {}
local classes, at = read_list(7)
local is_open = read_zones(at, unknown)
local more

-- The best of the jobs whose window is open; where the search is too long for one script, of those
-- that were looked at.
local function best()
	local found
	for number = first_class + 1, #classes do
		local class = classes[number]
		local left = each_head(class, number == first_class + 1 and first_place or 0, function(window, score)
			if found and score >= found.score then
				return true
			elseif is_open(window) then
				found = { class = class, window = window, score = score }
				return true
			end
		end)
		if left and not more then
			more = { 'more', number - 1, left }
		end
	end
	return found
end

local id, score
while not id do
	local found = best()
	if #unknown > 0 then
		settle()
		return { 'zones', unknown }
	elseif not found then
		settle()
		return more or { 'none' }
	end
	local head = call('ZRANGE', ready_key(found.class .. found.window), 0, 0)[1]
	if not head then -- left by somebody who changed the queue by hand
		call('ZREM', P .. 'heads:' .. found.class, found.window)
	elseif state_of(head) ~= 'ready' then
		ready_remove(head, found.class, found.window)
	elseif not sound(head) then
		ready_remove(head, found.class, found.window)
		bury(head, 'ready')
	else
		local deadline = tonumber(call('HGET', job_key(head), 'deadline'))
		if deadline == 0 or deadline > now then
			id, score = head, found.score
		else
			close(head, 'ready', 'failed', 'deadline', 'not started before its deadline')
		end
	end
	if not id and enough() then
		settle()
		return { 'more', first_class, first_place }
	end
end
settle()
if fellow ~= '' and not fits(id) then
	return { 'none' }
end

local key = job_key(id)
unplace(id, 'ready')
turn_served(score)
enter_state(id, 'running', now + lease)
local attempt = call('HINCRBY', key, 'attempts', 1)
call('HSET', key, 'worker', worker, 'token', token, 'started', now)
call('HDEL', key, 'step', 'steps', 'variant', 'eta', 'held')
call('HSET', worker_key, 'job', id, 'token', token, 'prio', math.floor(score / RANK))
if fellow == '' then
	call('ZADD', P .. 'workers', now, worker)
end
tell(id, 'running', 'worker', worker, 'attempt', attempt)
return describe(id)
