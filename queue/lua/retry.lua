-- ARGV: intake entry or '', id. Failed and cancelled jobs begin anew, a delayed one is due now. With a film
-- those of its parts begin anew that have failed; they are put into the intake, so that this stays short.
local entry, id = ARGV[1], ARGV[2]
if not take_entry(entry) then
	return 'gone'
end
local key = job_key(id)
local state = state_of(id)
if was_rejected(id) then
	state = 'rejected'
end
local fit = state == 'failed' or state == 'cancelled' or state == 'delayed'
if not fit or not sound(id) then
	if entry ~= '' then
		dead_letter(id, 'rejected', 'retry: job ' .. id .. ' is ' .. (state or 'not there'), '')
	end
	return state or 'missing'
end
-- A part of which only the tombstone is left cannot begin anew, and the film would wait for it for ever.
for _, part in ipairs(parts(id)) do
	local at = state_of(part)
	if (at == 'failed' or at == 'cancelled') and not sound(part) then
		if entry ~= '' then
			dead_letter(id, 'rejected', 'retry: job ' .. part .. ', of which it is joined, was deleted', '')
		end
		return 'without ' .. part
	end
end
unplace(id, state)
call('HSET', key, 'failures', 0, 'crashes', 0, 'deadline', 0)
call('HDEL', key, 'error', 'error_code', 'cancel', 'finished', 'score')
if call('HGET', key, 'every') ~= '' and call('ZREM', P .. 'recur', id) == 0 then
	call('HSETNX', P .. 'series', series(id), id)
end
call('ZREM', P .. 'deadline', id)
call('PERSIST', P .. 'ev:' .. id)
local why = input_use(id, try('HGET', key, 'input') or '')
if why then
	call('HSET', key, 'state', 'blocked')
	close(id, 'blocked', 'failed', 'too_big', why)
else
	local again = {}
	for _, part in ipairs(parts(id)) do
		local at = state_of(part)
		if at == 'failed' or at == 'cancelled' then
			again[part] = true
			call('XADD', P .. 'in', '*', 'op', 'retry', 'id', part)
		end
	end
	place(id, 0, again)
end
settle()
return 'ok'
