-- The clockwork. ARGV: run_id of the server, ms to hold after it changed, when this daemon has wound it
-- last (by Redis' clock; 0: it could not; -1: this is the first time), then the waits in ms after the first, second, …
-- crash of a job.
-- Returns promoted, recovered, failed, ms until the next is due (-1: none), ids of jobs whose next
-- occurrence is to be made, 1 when there is more to do now, the time by Redis' clock.
local PAGE, RECURRING = 20, 50
local UNWOUND_MS = 2500 -- it is wound once a second
local promoted, recovered, failed = 0, 0, 0
local meta = P .. 'meta'

-- A server that was away, or that took no writes, has let every lease run out: give the workers time.
local hold, last = tonumber(ARGV[2]), tonumber(ARGV[3])
if call('HGET', meta, 'run_id') ~= ARGV[1] or last == 0 or
	last > 0 and now - last > math.max(hold / 2, UNWOUND_MS) then
	call('HSET', meta, 'run_id', ARGV[1], 'hold', now + hold)
end

-- Calls act(id) for each that is due. Ids whose job somebody has deleted by hand are dropped: one of
-- them must not stop the clock.
local function each_due(name, act, before)
	while not enough() do
		local ids = call('ZRANGEBYSCORE', P .. name, '-inf', before or now, 'LIMIT', 0, PAGE)
		for _, id in ipairs(ids) do
			if sound(id) then
				guard(id, name, act, id)
			else
				bury(id, name)
			end
			if enough() then
				return
			end
		end
		if #ids < PAGE then
			return
		end
	end
end

local function recover(id)
	local key = job_key(id)
	local h = call('HMGET', key, 'cancel', 'max_attempts', 'worker')
	local crashes = call('HINCRBY', key, 'crashes', 1)
	count('crashed')
	if h[1] then
		close_cancelled(id, h[1])
	elseif crashes >= tonumber(h[2]) then
		close(id, 'running', 'failed', 'crashed', 'its worker died ' .. crashes ..
			' times, last ' .. (h[3] or '?'))
		failed = failed + 1
	else
		local wait = tonumber(ARGV[3 + math.min(crashes, #ARGV - 3)])
		unplace(id, 'running')
		tell_job(id, 'recovered', 'worker', h[3] or '', 'crashes', crashes)
		place(id, wait > 0 and now + wait or 0)
		recovered = recovered + 1
	end
end

-- The first job in `after` that nobody has sent, or nil.
local function never_sent(id)
	for _, other in ipairs(needs(call('HGET', job_key(id), 'after'))) do
		if not state_of(other) then
			return other
		end
	end
end

local function past_deadline(id)
	local state = call('HGET', job_key(id), 'state')
	call('ZREM', P .. 'deadline', id)
	if state == 'running' then
		call('HSETNX', job_key(id), 'cancel', 'deadline')
	elseif not FINAL[state] then
		local other = state == 'blocked' and never_sent(id)
		close(id, state, 'failed', 'deadline', 'not started before its deadline' ..
			(other and ': it waits for job ' .. other .. ', which nobody has sent' or ''))
		failed = failed + 1
	end
end

local function awaited_in_vain(id)
	local other = call('HGET', job_key(id), 'state') == 'blocked' and never_sent(id)
	call('ZREM', P .. 'awaiting', id)
	if other then
		close(id, 'blocked', 'failed', 'dependency',
			'job ' .. other .. ', for which it waits, was not sent within a day')
		failed = failed + 1
	end
end

local function promote(id)
	unplace(id, 'delayed')
	place(id, 0)
	promoted = promoted + 1
end

-- What was too much for the scripts that ended jobs.
local function settle_more()
	settle()
	while not enough() do
		local id = call('LPOP', P .. 'settling')
		if not id then
			return
		end
		closed[1] = id
		settle()
	end
end

-- Searches for a circle that were too long for the scripts that began them.
local function circle_more()
	local open, seen = P .. 'circle:open', P .. 'circle:seen'
	while not enough() do
		local id = call('LINDEX', P .. 'circles', 0)
		if not id then
			return
		end
		if call('EXISTS', seen) == 0 then
			call('SADD', seen, id)
			call('SADD', open, id)
		end
		local through = state_of(id) == 'blocked' and circle(id, function()
			return call('SPOP', open) or nil
		end, function(other)
			if call('SADD', seen, other) == 1 then
				call('SADD', open, other)
			end
		end)
		if through == false and state_of(id) == 'blocked' then
			return
		end
		call('LPOP', P .. 'circles')
		call('UNLINK', open, seen)
		if through then
			close_circle(id, through)
		end
	end
end

-- Whether a blocked job waits for as many as it counts, and each of them will tell it of its end.
local function waits_well(id)
	local waits = 0
	for _, other in ipairs(needs(call('HGET', job_key(id), 'after'))) do
		if try('SISMEMBER', P .. 'next:' .. other, id) == 1 then
			waits = waits + 1
		elseif not FINAL[state_of(other)] then
			return false
		end
	end
	return waits > 0 and tostring(waits) == call('HGET', job_key(id), 'waits')
end

-- Blocked jobs, a few at each call: where somebody has changed the queue by hand, they must not wait
-- for ever for what has ended.
local function look_at_blocked()
	local at = tonumber(call('HGET', meta, 'blocked_at') or 0)
	local ids = call('ZRANGE', P .. 'blocked', at, at + PAGE - 1)
	for _, id in ipairs(ids) do
		if enough() then
			break
		end
		at = at + 1
		if not sound(id) or state_of(id) ~= 'blocked' then
			bury(id, 'blocked')
		elseif not waits_well(id) then
			unplace(id, 'blocked')
			place(id, tonumber(call('HGET', job_key(id), 'due') or 0) or 0)
		end
	end
	call('HSET', meta, 'blocked_at', #ids < PAGE and 0 or at)
end

-- Before there were `ready` and `heads`, there were a set of queues and one of windows a class.
local function upgrade()
	while not enough() do
		local queue = call('SRANDMEMBER', P .. 'queues')
		if not queue then
			return
		end
		local class, window = string.match(queue, '^([^|]*)(.*)$')
		local from = call('HGET', meta, 'upgraded') or '-inf'
		local jobs = call('ZRANGEBYSCORE', ready_key(queue), from, '+inf', 'WITHSCORES', 'LIMIT', 0, PAGE)
		for i = 1, #jobs, 2 do
			ready_add(jobs[i], class, window, jobs[i + 1])
		end
		if #jobs < 2 * PAGE then
			call('SREM', P .. 'queues', queue)
			call('SREM', P .. 'windows:' .. class, window)
			call('HDEL', meta, 'upgraded')
		else
			call('HSET', meta, 'upgraded', '(' .. jobs[#jobs])
		end
	end
end

upgrade()
each_due('running', recover, 0) -- of workers that are known to be dead, see died.lua
if now >= tonumber(call('HGET', meta, 'hold')) then
	each_due('running', recover)
end
each_due('deadline', past_deadline)
each_due('awaiting', awaited_in_vain)
each_due('delayed', promote)
settle_more()
circle_more()
local more = enough()
if not more then
	look_at_blocked()
	settle()
end

local soonest
for _, name in ipairs({ 'delayed', 'running', 'deadline', 'awaiting' }) do
	local first = call('ZRANGE', P .. name, 0, 0, 'WITHSCORES')[2]
	if first and (not soonest or tonumber(first) < soonest) then
		soonest = tonumber(first)
	end
end
local wait = soonest and math.max(0, soonest - now) or -1
return { promoted, recovered, failed, wait, call('ZRANGE', P .. 'recur', 0, RECURRING - 1), more and 1 or 0, now }
