-- What every transition shares; put before each of the other files. KEYS[1] is the prefix of
-- all keys ("{sumi}:"). The keys and states are described in queue/PROTOCOL.md.
local P = KEYS[1]
local T = redis.call('TIME')
local now = T[1] * 1000 + math.floor(T[2] / 1000)

local RANK = 2 ^ 50 -- between two priorities in the score of a waiting job
local TURN = 2 ^ 20 -- between two turns of one priority; below it, order of arrival
local JOB_EVENTS, ALL_EVENTS, DEAD_LETTERS = 128, 10000, 10000
local EVENTS_KEPT_S = 86400 -- of a job that has ended

local FINAL = { done = true, failed = true, cancelled = true }

local function job_key(id)
	return P .. 'job:' .. id
end

local function ready_key(queue)
	return P .. 'ready:' .. queue
end

-- Tells the state changes of all jobs. Those of waiting jobs go only here: a stream for each
-- of a million waiting jobs would cost as much memory as the jobs.
local function tell_all(id, event, ...)
	redis.call('XADD', P .. 'ev', 'MAXLEN', '~', ALL_EVENTS, '*', 'id', id, 'event', event, ...)
end

local function tell_job(id, event, ...)
	redis.call('XADD', P .. 'ev:' .. id, 'MAXLEN', JOB_EVENTS, '*', 'id', id, 'event', event, ...)
end

local function tell(id, event, ...)
	tell_all(id, event, ...)
	tell_job(id, event, ...)
end

-- The id stands for an entry of the intake that was no job.
local function was_rejected(id)
	return redis.call('HGET', job_key(id), 'error_code') == 'rejected'
end

local function count(what)
	redis.call('HINCRBY', P .. 'counters', what, 1)
end

local rung = false
local function ring()
	if not rung then
		redis.call('XADD', P .. 'bell', 'MAXLEN', 8, '*', 'at', now)
		rung = true
	end
end

local function dead_letter(id, kind, reason, text)
	redis.call('XADD', P .. 'dead', 'MAXLEN', '~', DEAD_LETTERS, '*', 'id', id, 'kind', kind,
		'reason', reason, 'text', text)
end

-- True when this script is the one that takes the entry out of the intake; an empty entry is
-- a direct call.
local function take_entry(entry)
	return entry == '' or redis.call('XDEL', P .. 'in', entry) == 1
end

-- Start-time fair queueing between senders of one priority (Goyal, Vin and Cheng, 1996): a
-- sender's next job starts where its last one ended, but not before the turn that is being
-- served now. So one job of a second sender does not wait behind four hundred of the first.
local function next_turn(queue, rank, submitter, cost)
	local served = tonumber(redis.call('HGET', P .. 'turn', rank) or 0)
	local sender = queue .. '\n' .. submitter
	local ended = tonumber(redis.call('ZSCORE', P .. 'fair:' .. rank, sender) or 0)
	local start = math.min(math.max(served, ended), RANK / TURN - 1) -- stays in its priority
	redis.call('ZADD', P .. 'fair:' .. rank, start + cost, sender)
	return rank * RANK + start * TURN + redis.call('INCR', P .. 'seq') % TURN
end

local function turn_served(score)
	local rank = math.floor(score / RANK)
	local start = math.floor((score - rank * RANK) / TURN)
	if start > tonumber(redis.call('HGET', P .. 'turn', rank) or 0) then
		redis.call('HSET', P .. 'turn', rank, start)
		redis.call('ZREMRANGEBYSCORE', P .. 'fair:' .. rank, '-inf', start)
	end
end

local function ready_remove(id)
	local h = redis.call('HMGET', job_key(id), 'class', 'window')
	local queue = h[1] .. h[2]
	redis.call('ZREM', ready_key(queue), id)
	if redis.call('EXISTS', ready_key(queue)) == 0 then
		redis.call('SREM', P .. 'queues', queue)
		redis.call('SREM', P .. 'windows:' .. h[1], h[2])
	end
end

-- Takes a job out of the one structure that its state says it is in.
local function unplace(id, state)
	if state == 'ready' then
		ready_remove(id)
		return
	end
	redis.call('ZREM', P .. state, id)
	if state == 'blocked' then
		for other in string.gmatch(redis.call('HGET', job_key(id), 'after'), '%S+') do
			redis.call('SREM', P .. 'next:' .. other, id)
		end
	elseif state == 'running' then
		local worker = redis.call('HGET', job_key(id), 'worker')
		if worker and redis.call('HGET', P .. 'worker:' .. worker, 'job') == id then
			redis.call('HDEL', P .. 'worker:' .. worker, 'job', 'token', 'prio')
		end
		redis.call('HDEL', job_key(id), 'token')
		redis.call('ZREM', P .. 'preempting', id)
	end
end

local function enter_state(id, state, score)
	redis.call('HSET', job_key(id), 'state', state, 'updated', now)
	redis.call('ZADD', P .. state, score, id)
end

-- Workers of a class that are free, and those that run a batch job, by what they told last.
local function helpers(class)
	local free, batch = 0, 0
	for _, name in ipairs(redis.call('ZRANGEBYSCORE', P .. 'workers', now - 15000, '+inf')) do
		local h = redis.call('HMGET', P .. 'worker:' .. name, 'classes', 'job', 'prio')
		if h[1] and string.find(' ' .. h[1] .. ' ', ' ' .. class .. ' ', 1, true) then
			if not h[2] then
				free = free + 1
			elseif h[3] == '2' then
				batch = batch + 1
			end
		end
	end
	return free, batch
end

-- The list that begins at ARGV[at] with its length, and where the next one begins.
local function read_list(at)
	local list, last = {}, at + tonumber(ARGV[at])
	for i = at + 1, last do
		list[#list + 1] = ARGV[i]
	end
	return list, last + 1
end

-- A function that says of a window whether it is open, by two lists of ARGV: those that the
-- caller knows to be open and those it knows to be closed. Others are noted in unknown.
local function read_windows(at, unknown)
	local open, known = { [''] = true }, { [''] = true }
	local list, next_at = read_list(at)
	for _, window in ipairs(list) do
		open[window], known[window] = true, true
	end
	for _, window in ipairs(read_list(next_at)) do
		known[window] = true
	end
	return function(window)
		if not known[window] then
			unknown[#unknown + 1] = window
		end
		return open[window]
	end
end

local closed = {}

-- Ends a job, wherever it stands. settle() must follow for the jobs that wait for it.
local function close(id, from, state, code, text)
	unplace(id, from)
	local key = job_key(id)
	enter_state(id, state, now)
	redis.call('HSET', key, 'finished', now)
	redis.call('HDEL', key, 'cancel', 'saved')
	redis.call('UNLINK', P .. 'saved:' .. id)
	redis.call('ZREM', P .. 'deadline', id)
	count(state)
	if code then
		redis.call('HSET', key, 'error_code', code, 'error', text)
		tell(id, state, 'code', code, 'reason', text)
	else
		tell(id, state)
	end
	redis.call('EXPIRE', P .. 'ev:' .. id, EVENTS_KEPT_S)
	if state == 'failed' then
		dead_letter(id, 'failed', code .. ': ' .. text, redis.call('HGET', key, 'job') or '')
	end
	-- A cancelled occurrence ends its series; after any other the next one is due.
	if state ~= 'cancelled' and redis.call('HGET', key, 'every') ~= '' then
		redis.call('ZADD', P .. 'recur', now, id)
	end
	closed[#closed + 1] = id
end

-- The job by which a new one waits for itself, or nil. Only a job for which others wait already can close a
-- circle; what is looked at is limited, as Redis serves nobody else meanwhile.
local function circle(id)
	local seen, open, left = {}, {id}, 10000
	if redis.call('EXISTS', P .. 'next:' .. id) == 0 then
		return nil
	end
	while #open > 0 do
		local waiting = table.remove(open)
		for other in string.gmatch(redis.call('HGET', job_key(waiting), 'after'), '%S+') do
			if other == id then
				return waiting
			end
			left = left - 1
			if left == 0 then
				return nil
			elseif not seen[other] and redis.call('HGET', job_key(other), 'state') == 'blocked' then
				seen[other] = true
				table.insert(open, other)
			end
		end
	end
end

-- Puts a job that is in no structure where it belongs now: blocked, delayed or ready, or
-- failed where a job that it needs has failed or waits for it. due: ms since 1970, 0 for at once.
local function place(id, due)
	local key, waits = job_key(id), 0
	local h = redis.call('HMGET', key, 'after', 'class', 'window', 'prio', 'submitter', 'cost',
		'score')
	for other in string.gmatch(h[1], '%S+') do
		local state = redis.call('HGET', job_key(other), 'state')
		if state == 'failed' or state == 'cancelled' then
			redis.call('HSET', key, 'state', 'blocked')
			close(id, 'blocked', 'failed', 'dependency', 'job ' .. other .. ' is ' .. state)
			return 'failed'
		elseif state ~= 'done' then
			redis.call('SADD', P .. 'next:' .. other, id)
			waits = waits + 1
		end
	end
	local through = waits > 0 and circle(id)
	if through then
		redis.call('HSET', key, 'state', 'blocked')
		close(id, 'blocked', 'failed', 'dependency', 'job ' .. through .. ', for which it waits, waits for it')
		return 'failed'
	elseif waits > 0 then
		redis.call('HSET', key, 'state', 'blocked', 'updated', now, 'due', due)
		redis.call('ZADD', P .. 'blocked', now, id)
		tell_all(id, 'blocked')
		return 'blocked'
	elseif due > now then
		redis.call('HSET', key, 'state', 'delayed', 'updated', now, 'due', due)
		redis.call('ZADD', P .. 'delayed', due, id)
		tell_all(id, 'delayed', 'due', due)
		return 'delayed'
	end
	local queue = h[2] .. h[3]
	-- A job that has had its turn before keeps it.
	local score = h[7] or next_turn(queue, tonumber(h[4]), h[5], tonumber(h[6]))
	redis.call('HSET', key, 'state', 'ready', 'updated', now, 'due', due, 'score', score)
	redis.call('ZADD', ready_key(queue), score, id)
	redis.call('SADD', P .. 'queues', queue)
	redis.call('SADD', P .. 'windows:' .. h[2], h[3])
	ring()
	tell_all(id, 'ready')
	return 'ready'
end

-- Releases or fails what waited for the jobs that this script has closed; a failure goes on
-- to what waits for those.
local function settle()
	while #closed > 0 do
		local id = table.remove(closed)
		local next_key = P .. 'next:' .. id
		for _, other in ipairs(redis.call('SMEMBERS', next_key)) do
			local h = redis.call('HMGET', job_key(other), 'state', 'due')
			if h[1] == 'blocked' then
				unplace(other, 'blocked')
				place(other, tonumber(h[2] or 0))
			end
		end
		redis.call('DEL', next_key)
	end
end

-- Fields of a new job, from ARGV[at] on; see job_arguments() in queue/intake.c.
local function enter(at)
	local id = ARGV[at]
	redis.call('HSET', job_key(id), 'job', ARGV[at + 1], 'class', ARGV[at + 2],
		'window', ARGV[at + 3], 'prio', ARGV[at + 4], 'submitter', ARGV[at + 5],
		'cost', ARGV[at + 6], 'due', ARGV[at + 7], 'deadline', ARGV[at + 8],
		'max_attempts', ARGV[at + 9], 'after', ARGV[at + 10], 'every', ARGV[at + 11],
		'shape', ARGV[at + 12],
		'created', now, 'attempts', 0, 'failures', 0, 'crashes', 0, 'variants', 0)
	return id
end

-- The job is running under this token.
local function holds(id, token)
	local h = redis.call('HMGET', job_key(id), 'state', 'token')
	return h[1] == 'running' and h[2] == token
end

-- A job that is being cancelled ends so, whatever its worker met.
local function close_cancelled(id, cancel)
	if cancel == 'deadline' then
		close(id, 'running', 'failed', 'deadline', 'not finished before its deadline')
		return 'failed'
	end
	close(id, 'running', 'cancelled')
	return 'cancelled'
end

-- What is left of a job that has ended is a tombstone (its state), so that sending it or finishing it once more
-- does nothing.
local function purge(id, state)
	local free = was_rejected(id)
	redis.call('ZREM', P .. state, id)
	redis.call('DEL', job_key(id), P .. 'ev:' .. id, P .. 'next:' .. id)
	if not free then
		redis.call('HSET', job_key(id), 'state', state)
		redis.call('ZADD', P .. 'tombs', now, id)
	end
end
