-- An attempt failed. ARGV: id, token, code, text, '1' when no retry would help, ms to wait
-- before a retry. Returns the new state.
local id, code, text = ARGV[1], ARGV[3], ARGV[4]
if not holds(id, ARGV[2]) then
	return 'lost'
end
local key = job_key(id)
local h = call('HMGET', key, 'cancel', 'max_attempts')
local state
if h[1] or code == 'cancelled' then
	state = close_cancelled(id, h[1])
else
	local failures = call('HINCRBY', key, 'failures', 1)
	if ARGV[5] == '1' or failures >= (tonumber(h[2]) or 1) or not sound(id) then
		close(id, 'running', 'failed', code, text)
		state = 'failed'
	else
		unplace(id, 'running')
		call('HSET', key, 'error_code', code, 'error', text)
		tell_job(id, 'retry', 'code', code, 'reason', text, 'in_ms', ARGV[6])
		count('retried')
		state = place(id, now + tonumber(ARGV[6]))
	end
end
settle()
return state
