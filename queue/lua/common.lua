-- What every transition shares; put before each of the other files. KEYS[1] is the prefix of
-- all keys ("{sumi}:"). The keys and states are described in queue/PROTOCOL.md.
local P = KEYS[1]

-- Redis serves nobody else while a script runs, so no script does more than so many commands
-- however much there is to do: every loop over what the queue holds ends when enough() says so, and
-- what is left is done by the next call.
local ENOUGH = 250
local spent = 0

-- What is refused says at which key, which the reply itself does not.
local function call(...)
	spent = spent + 1
	local reply = redis.pcall(...)
	if type(reply) == 'table' and reply.err then
		local _, key = ...
		error({ err = reply.err .. ' [at ' .. tostring(key) .. ']' })
	end
	return reply
end

local function enough()
	return spent >= ENOUGH
end

-- A command whose key somebody may have put there in another shape: nil where it cannot be done.
local function try(...)
	spent = spent + 1
	local reply = redis.pcall(...)
	if type(reply) == 'table' and reply.err then
		return nil
	end
	return reply
end

local T = call('TIME')
local now = T[1] * 1000 + math.floor(T[2] / 1000)

local RANK = 2 ^ 50 -- between two priorities in the score of a waiting job
local TURN = 2 ^ 20 -- between two turns of one priority; below it, order of arrival
local JOB_EVENTS, ALL_EVENTS, DEAD_LETTERS = 128, 10000, 10000
local EVENTS_KEPT_S = 86400 -- of a job that has ended
local AWAITED_MS = 86400000 -- how long a job waits for one that nobody has sent

local FINAL = { done = true, failed = true, cancelled = true }

local function job_key(id)
	return P .. 'job:' .. id
end

-- The name of a recurring job's series: the id of its first occurrence.
local function series(id)
	return string.match(id, '^(.+)%.%d%d%d%d%d%d%d%dT%d%d%d%d%d%dZ$') or id
end

local function ready_key(queue)
	return P .. 'ready:' .. queue
end

-- Tells the state changes of all jobs. Those of waiting jobs go only here: a stream for each
-- of a million waiting jobs would cost as much memory as the jobs.
local function tell_all(id, event, ...)
	call('XADD', P .. 'ev', 'MAXLEN', '~', ALL_EVENTS, '*', 'id', id, 'event', event, ...)
end

local function tell_job(id, event, ...)
	try('XADD', P .. 'ev:' .. id, 'MAXLEN', JOB_EVENTS, '*', 'id', id, 'event', event, ...)
end

local function tell(id, event, ...)
	tell_all(id, event, ...)
	tell_job(id, event, ...)
end

-- The id stands for an entry of the intake that was no job.
local function was_rejected(id)
	return try('HGET', job_key(id), 'error_code') == 'rejected'
end

-- The word, or nil where there is no job.
local function state_of(id)
	return try('HGET', job_key(id), 'state') or nil
end

local function count(what)
	call('HINCRBY', P .. 'counters', what, 1)
end

local rung = false
local function ring()
	if not rung then
		call('XADD', P .. 'bell', 'MAXLEN', 8, '*', 'at', now)
		rung = true
	end
end

local function dead_letter(id, kind, reason, text)
	call('XADD', P .. 'dead', 'MAXLEN', '~', DEAD_LETTERS, '*', 'id', id, 'kind', kind,
		'reason', reason, 'text', text)
end

-- True when this script is the one that takes the entry out of the intake; an empty entry is
-- a direct call.
local function take_entry(entry)
	return entry == '' or call('XDEL', P .. 'in', entry) == 1
end

-- Start-time fair queueing between senders of one priority (Goyal, Vin and Cheng, 1996): a
-- sender's next job starts where its last one ended, but not before the turn that is being
-- served now. So one job of a second sender does not wait behind four hundred of the first.
local function next_turn(queue, rank, submitter, cost)
	local served = tonumber(call('HGET', P .. 'turn', rank) or 0)
	local sender = queue .. '\n' .. submitter
	local ended = tonumber(call('ZSCORE', P .. 'fair:' .. rank, sender) or 0)
	local start = math.min(math.max(served, ended), RANK / TURN - 1) -- stays in its priority
	call('ZADD', P .. 'fair:' .. rank, start + cost, sender)
	return rank * RANK + start * TURN + call('INCR', P .. 'seq') % TURN
end

local function turn_served(score)
	local rank = math.floor(score / RANK)
	local start = math.floor((score - rank * RANK) / TURN)
	if start > tonumber(call('HGET', P .. 'turn', rank) or 0) then
		call('HSET', P .. 'turn', rank, start)
	end
	-- Senders whose turn is over need no place; a few at a time, and more than come.
	local over = call('ZRANGEBYSCORE', P .. 'fair:' .. rank, '-inf', start, 'LIMIT', 0, 50)
	if #over > 0 then
		call('ZREM', P .. 'fair:' .. rank, unpack(over))
	end
end

-- The jobs of one class and window stand in ready:<class><window>; all of them together in `ready`.
-- heads:<class> holds the windows by their best jobs, `classes` how many jobs each class has.
local function ready_add(id, class, window, score)
	call('ZADD', ready_key(class .. window), score, id)
	call('ZADD', P .. 'heads:' .. class, 'LT', score, window)
	if call('ZADD', P .. 'ready', score, id) == 1 then
		call('HINCRBY', P .. 'classes', class, 1)
	end
end

local function ready_remove(id, class, window)
	local queue = ready_key(class .. window)
	call('ZREM', queue, id)
	local head = call('ZRANGE', queue, 0, 0, 'WITHSCORES')
	if head[1] then
		call('ZADD', P .. 'heads:' .. class, head[2], window)
	else
		call('ZREM', P .. 'heads:' .. class, window)
	end
	if call('ZREM', P .. 'ready', id) == 1 and call('HINCRBY', P .. 'classes', class, -1) <= 0 then
		call('HDEL', P .. 'classes', class)
	end
end

-- The ids that a job waits for, each once.
local function needs(text)
	local seen, list = {}, {}
	for other in string.gmatch(text or '', '%S+') do
		if not seen[other] then
			seen[other] = true
			list[#list + 1] = other
		end
	end
	return list
end

-- What is made for a film alone, its scenes and its music: jobs that it waits for and whose ids begin with its own.
local function parts(id)
	local h, list = try('HMGET', job_key(id), 'job', 'after'), {}
	if h and h[1] and string.find(h[1], '"modality":"film"', 1, true) then
		for _, other in ipairs(needs(h[2])) do
			if string.sub(other, 1, #id + 1) == id .. '.' then
				list[#list + 1] = other
			end
		end
	end
	return list
end

-- Takes a job out of the one structure that its state says it is in.
local function unplace(id, state)
	local h = call('HMGET', job_key(id), 'class', 'window', 'after', 'worker')
	if state == 'ready' then
		ready_remove(id, h[1], h[2])
		return
	end
	call('ZREM', P .. state, id)
	if state == 'blocked' then
		call('ZREM', P .. 'awaiting', id)
		for _, other in ipairs(needs(h[3])) do
			try('SREM', P .. 'next:' .. other, id)
		end
	elseif state == 'running' then
		if h[4] and call('HGET', P .. 'worker:' .. h[4], 'job') == id then
			call('HDEL', P .. 'worker:' .. h[4], 'job', 'token', 'prio')
		end
		call('HDEL', job_key(id), 'token')
		call('ZREM', P .. 'preempting', id)
	end
end

-- Inputs: files that jobs start from, as `input:<sha256>`. They are counted in the hash
-- `inputs:bytes` (and their sum in its field `total`), and the zset `inputs` has when each may go:
-- never while a job uses it, which the set `uses:<sha256>` says.
local INPUT_MAX = 32 * 1024 * 1024
local INPUTS_MAX = 1024 * 1024 * 1024 -- where no daemon has said what its input_memory is
local INPUT_UNUSED_MS = 3600 * 1000 -- for its job to come
local INPUT_KEPT_MS = 24 * 3600 * 1000 -- behind the last job that used it, so that it can be retried

-- Keys in another shape are as good as none: they must not keep a job from its end.
local function input_key(sha)
	return P .. 'input:' .. sha
end

-- Bytes of what lies there; 0: nothing, or no string.
local function input_size(sha)
	return try('STRLEN', input_key(sha)) or 0
end

local function input_bytes(field)
	return tonumber(try('HGET', P .. 'inputs:bytes', field) or 0) or 0
end

local function input_account(sha, bytes, goes)
	local before = input_bytes(sha)
	try('HSET', P .. 'inputs:bytes', sha, bytes)
	try('HINCRBY', P .. 'inputs:bytes', 'total', bytes - before)
	try('ZADD', P .. 'inputs', goes, sha)
end

local function input_drop(sha)
	local bytes = input_bytes(sha)
	try('UNLINK', input_key(sha))
	try('ZREM', P .. 'inputs', sha)
	try('HDEL', P .. 'inputs:bytes', sha)
	try('HINCRBY', P .. 'inputs:bytes', 'total', 0 - bytes) -- not -bytes, which may be -0
end

-- One that may make way for sha: its time has come, or it is kept for a retry. Those of the last hour
-- may belong to a job that is on its way, and so may all while the intake is not empty.
local function input_idle(sha)
	local ranges = { { '(' .. (now + INPUT_UNUSED_MS), '(inf' } }
	if (try('XLEN', P .. 'in') or 1) == 0 then
		table.insert(ranges, 1, { '-inf', now })
	end
	for _, range in ipairs(ranges) do
		local names = try('ZRANGEBYSCORE', P .. 'inputs', range[1], range[2], 'LIMIT', 0, 2)
		for _, name in ipairs(names or {}) do
			if name ~= sha and try('EXISTS', P .. 'uses:' .. name) == 0 then
				return name
			end
		end
	end
	return nil
end

-- Room for one more, beside what it takes already; what no job uses makes way. nil, or why there is
-- none.
local function input_room(sha, bytes)
	local limit = tonumber(try('HGET', P .. 'meta', 'input_memory') or INPUTS_MAX) or INPUTS_MAX
	if bytes > INPUT_MAX then
		return 'a file of ' .. bytes .. ' bytes: at most ' .. INPUT_MAX .. ' can be sent'
	end
	while not enough() do
		local total = input_bytes('total') - input_bytes(sha)
		if total + bytes <= limit then
			return nil
		end
		local idle = input_idle(sha)
		if not idle then
			return 'the files that waiting jobs start from take ' .. total .. ' bytes of ' ..
				limit .. ' (input_memory in sumi.conf): send it again when some have ended'
		end
		input_drop(idle)
	end
	return 'the queue is full of small files: send it again in a while'
end

-- A job begins to use its inputs, names with spaces between. They may also lie in a store, or be results
-- (`result:<name>`), which keep_results leaves alone meanwhile. nil, or why it may not: then it uses none.
local function input_use(id, names)
	local why
	for sha in string.gmatch(names, '%S+') do
		try('SADD', P .. 'uses:' .. sha, id) -- first all: none makes way for another
	end
	for sha in string.gmatch(names, '%S+') do
		local bytes = input_size(sha)
		why = why or bytes > 0 and input_room(sha, bytes) or nil
		if bytes > 0 and not why then
			try('PERSIST', input_key(sha))
			input_account(sha, bytes, 'inf')
		end
	end
	if names ~= '' and not why then
		try('HSET', job_key(id), 'input', names)
	end
	for sha in string.gmatch(why and names or '', '%S+') do
		try('SREM', P .. 'uses:' .. sha, id)
		if try('EXISTS', P .. 'uses:' .. sha) == 0 then
			input_drop(sha)
		end
	end
	return why
end

-- The last job that uses an input leaves it for a while.
local function input_leave(id, sha)
	try('SREM', P .. 'uses:' .. sha, id)
	if try('EXISTS', P .. 'uses:' .. sha) == 1 then
		return
	elseif try('PEXPIRE', input_key(sha), INPUT_KEPT_MS) == 1 then
		try('ZADD', P .. 'inputs', 'XX', now + INPUT_KEPT_MS, sha)
	else
		input_drop(sha)
	end
end

-- A job has ended.
local function input_release(id)
	for sha in string.gmatch(try('HGET', job_key(id), 'input') or '', '%S+') do
		input_leave(id, sha)
	end
end

local function enter_state(id, state, score)
	call('HSET', job_key(id), 'state', state, 'updated', now)
	call('ZADD', P .. state, score, id)
end

-- Workers of a class that are free, and those that run a batch job, by what they told last; of very
-- many workers those that were heard of last.
local WORKERS = 100
local living
local function helpers(class)
	local free, batch = 0, 0
	if not living then
		living = {}
		for _, name in ipairs(call('ZREVRANGEBYSCORE', P .. 'workers', '+inf', now - 15000, 'LIMIT', 0,
			WORKERS)) do
			local h = try('HMGET', P .. 'worker:' .. name, 'classes', 'job', 'prio') or {}
			living[#living + 1] = { ' ' .. (h[1] or '') .. ' ', h[2], h[3] }
		end
	end
	for _, worker in ipairs(living) do
		if string.find(worker[1], ' ' .. class .. ' ', 1, true) then
			if not worker[2] then
				free = free + 1
			elseif worker[3] == '2' then
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

-- A function that says of a window, "|22:00-06:00@Europe/Moscow" or '', whether it is open: by the
-- minute of the day that the caller knows for each zone (a list of zones and minutes by turns at
-- ARGV[at]; -1: a zone that does not exist there). Other zones are noted in unknown.
local function read_zones(at, unknown)
	local minutes, noted = {}, {}
	local list = read_list(at)
	for i = 1, #list, 2 do
		minutes[list[i]] = tonumber(list[i + 1])
	end
	return function(window)
		if window == '' then
			return true
		end
		local h1, m1, h2, m2, zone = string.match(window, '^|(%d%d):(%d%d)%-(%d%d):(%d%d)@(.+)$')
		local minute = zone and minutes[zone]
		if zone and not minute and not noted[zone] then
			noted[zone] = true
			unknown[#unknown + 1] = zone
		end
		if not minute or minute < 0 then
			return false
		end
		local from, to = h1 * 60 + m1, h2 * 60 + m2
		if from < to then
			return minute >= from and minute < to
		end
		return minute >= from or minute < to
	end
end

-- The windows of a class, from place `at` in the order of their best jobs on, with the scores of
-- those: calls take(window, score) until it returns true. nil when it is through; the place to go on
-- from when the script has done enough before.
local HEADS = 32
local function each_head(class, at, take)
	while not enough() do
		local heads = call('ZRANGE', P .. 'heads:' .. class, at, at + HEADS - 1, 'WITHSCORES')
		for i = 1, #heads, 2 do
			if take(heads[i], tonumber(heads[i + 1])) then
				return nil
			end
		end
		if #heads < 2 * HEADS then
			return nil
		end
		at = at + HEADS
		spent = spent + HEADS / 2 -- judging windows takes time too
	end
	return at
end

-- What the scripts count on of a job. A hash that somebody has changed by hand, or a key that is no
-- hash, must not stop a script, which would meet it again for ever.
local SHAPE = { 'job', 'class', 'window', 'submitter', 'after', 'every', 'prio', 'cost', 'deadline',
	'max_attempts', 'attempts', 'failures', 'crashes', 'variants', 'created' }
local NUMBERS_FROM = 7 -- the rest of SHAPE
local function sound(id)
	local h = try('HMGET', job_key(id), unpack(SHAPE))
	if not h then
		return false
	end
	for i = 1, #SHAPE do
		if not h[i] or i >= NUMBERS_FROM and not tonumber(h[i]) then
			return false
		end
	end
	return true
end

local closed = {}

-- Ends a job, wherever it stands. settle() must follow for the jobs that wait for it.
local function close(id, from, state, code, text)
	local key = job_key(id)
	local h = call('HMGET', key, 'cancel', 'every', 'job')
	unplace(id, from)
	enter_state(id, state, now)
	call('HSET', key, 'finished', now)
	call('HDEL', key, 'cancel', 'saved', 'held', 'waits')
	call('UNLINK', P .. 'saved:' .. id)
	input_release(id)
	call('ZREM', P .. 'deadline', id)
	count(state)
	if code then
		call('HSET', key, 'error_code', code, 'error', text)
		tell(id, state, 'code', code, 'reason', text)
	else
		tell(id, state)
	end
	call('EXPIRE', P .. 'ev:' .. id, EVENTS_KEPT_S)
	if state == 'failed' then
		dead_letter(id, 'failed', code .. ': ' .. text, h[3] or '')
	end
	if h[2] and h[2] ~= '' then
		-- An occurrence that somebody did not want any more ends its series, also one that was made
		-- before its worker heard of it; after any other the next one is due.
		if state == 'cancelled' or h[1] == 'user' then
			call('HDEL', P .. 'series', series(id))
		else
			call('ZADD', P .. 'recur', now, id)
		end
	end
	closed[#closed + 1] = id
end

-- A job that is not sound, in the zset `name`: taken out, and put aside where its key is a hash.
local function bury(id, name)
	call('ZREM', P .. name, id)
	local key = job_key(id)
	local kind = call('TYPE', key).ok
	if kind ~= 'hash' or name ~= 'ready' and call('HGET', key, 'state') ~= name then
		return
	end
	local text = 'its entry in the queue is damaged'
	call('HSET', key, 'error_code', 'corrupt', 'error', text, 'finished', now)
	enter_state(id, 'failed', now)
	tell(id, 'failed', 'code', 'corrupt', 'reason', text)
	dead_letter(id, 'failed', 'corrupt: ' .. text, '')
	closed[#closed + 1] = id
end

-- What is done to one of many jobs, each of which the script would meet again.
local function guard(id, name, act, ...)
	local fine, result = pcall(act, ...)
	if not fine then
		pcall(bury, id, name)
	end
	return fine and result
end

-- Steps of the search for a circle: takes ids that are still to be looked at from `open`, which is
-- told of others. The job by which `id` waits for itself; nil when there is none; false when the
-- script has done enough before that is known.
local function circle(id, open, was_seen)
	while true do
		local waiting = open()
		if not waiting then
			return nil
		end
		for _, other in ipairs(needs(call('HGET', job_key(waiting), 'after'))) do
			if other == id then
				return waiting
			elseif state_of(other) == 'blocked' then
				was_seen(other)
			end
		end
		if enough() then
			return false
		end
	end
end

local function close_circle(id, through)
	close(id, 'blocked', 'failed', 'dependency', 'job ' .. through .. ', for which it waits, waits for it')
end

-- Only a job for which others wait already can close a circle. A search that is too long for one
-- script is gone on with by the clockwork (reap.lua).
local function find_circle(id)
	if call('EXISTS', P .. 'next:' .. id) == 0 then
		return nil
	end
	local seen, list = {}, { id }
	local through = circle(id, function()
		return table.remove(list)
	end, function(other)
		if not seen[other] then
			seen[other] = true
			list[#list + 1] = other
		end
	end)
	if through == false then
		call('RPUSH', P .. 'circles', id)
	end
	return through
end

-- Puts a job that is in no structure where it belongs now: blocked, delayed or ready, or
-- failed where a job that it needs has failed or waits for it. due: ms since 1970, 0 for at once.
-- again: of ids of jobs that have failed and are about to begin anew; nil: none.
local function place(id, due, again)
	local key, waits, unknown = job_key(id), 0, false
	local h = call('HMGET', key, 'after', 'class', 'window', 'prio', 'submitter', 'cost', 'score')
	for _, other in ipairs(needs(h[1])) do
		local state = state_of(other)
		if (state == 'failed' or state == 'cancelled') and not (again and again[other]) then
			call('HSET', key, 'state', 'blocked')
			close(id, 'blocked', 'failed', 'dependency', 'job ' .. other .. ' is ' .. state)
			return 'failed'
		elseif state ~= 'done' then
			call('SADD', P .. 'next:' .. other, id)
			waits = waits + 1
			unknown = unknown or not state
		end
	end
	if waits > 0 then
		call('HSET', key, 'state', 'blocked', 'updated', now, 'due', due, 'waits', waits)
		local through = find_circle(id)
		if through then
			close_circle(id, through)
			return 'failed'
		end
		call('ZADD', P .. 'blocked', now, id)
		if unknown then
			call('ZADD', P .. 'awaiting', now + AWAITED_MS, id)
		end
		tell_all(id, 'blocked')
		return 'blocked'
	elseif due > now then
		call('HSET', key, 'state', 'delayed', 'updated', now, 'due', due)
		call('ZADD', P .. 'delayed', due, id)
		tell_all(id, 'delayed', 'due', due)
		return 'delayed'
	end
	-- A job that has had its turn before keeps it.
	local score = h[7] or next_turn(h[2] .. h[3], tonumber(h[4]), h[5], tonumber(h[6]))
	call('HSET', key, 'state', 'ready', 'updated', now, 'due', due, 'score', score)
	ready_add(id, h[2], h[3], score)
	ring()
	tell_all(id, 'ready')
	return 'ready'
end

-- A job that waits for `id`, which has ended so: `waits` counts those that it still waits for.
local function release_next(other, id, state)
	local key = job_key(other)
	if state_of(other) ~= 'blocked' then
		return
	elseif not sound(other) then
		bury(other, 'blocked')
	elseif state ~= 'done' then
		close(other, 'blocked', 'failed', 'dependency', 'job ' .. id .. ' is ' .. state)
	elseif call('HINCRBY', key, 'waits', -1) <= 0 then
		call('ZREM', P .. 'blocked', other)
		call('ZREM', P .. 'awaiting', other)
		place(other, tonumber(call('HGET', key, 'due') or 0) or 0)
	end
end

-- Releases or fails what waited for the jobs that this script has closed; a failure goes on to what
-- waits for those. What is too much for one script is left in `settling` for the clockwork.
local function settle()
	while #closed > 0 and not enough() do
		local id = closed[#closed]
		local state, other = state_of(id), false
		if FINAL[state] then -- else it was begun anew, and is waited for as before
			other = try('SPOP', P .. 'next:' .. id)
		end
		if not other then
			table.remove(closed)
		else
			guard(other, 'blocked', release_next, other, id, state)
		end
	end
	for _, id in ipairs(closed) do
		if try('SCARD', P .. 'next:' .. id) ~= 0 then
			call('RPUSH', P .. 'settling', id)
		end
	end
	closed = {}
end

-- Fields of a new job, from ARGV[at] on; see job_arguments() in queue/intake.c.
local function enter(at)
	local id = ARGV[at]
	call('HSET', job_key(id), 'job', ARGV[at + 1], 'class', ARGV[at + 2],
		'window', ARGV[at + 3], 'prio', ARGV[at + 4], 'submitter', ARGV[at + 5],
		'cost', ARGV[at + 6], 'due', ARGV[at + 7], 'deadline', ARGV[at + 8],
		'max_attempts', ARGV[at + 9], 'after', ARGV[at + 10], 'every', ARGV[at + 11],
		'shape', ARGV[at + 12],
		'created', now, 'attempts', 0, 'failures', 0, 'crashes', 0, 'variants', 0)
	if ARGV[at + 11] ~= '' then
		call('HSET', P .. 'series', series(id), id)
	end
	return id
end

-- The job is running under this token.
local function holds(id, token)
	local h = try('HMGET', job_key(id), 'state', 'token') or {}
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
	call('ZREM', P .. state, id)
	call('UNLINK', job_key(id), P .. 'ev:' .. id)
	if not free then
		call('HSET', job_key(id), 'state', state)
		call('ZADD', P .. 'tombs', now, id)
	end
end
