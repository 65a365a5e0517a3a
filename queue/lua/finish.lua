-- The first finisher wins. ARGV: token, worker, result, '1' when ARGV[5…] hold the fields of
-- enter() and a job that Redis has forgotten can be entered again; ARGV[5] is the id always.
local token, worker, id = ARGV[1], ARGV[2], ARGV[5]
local key = job_key(id)
local h = try('HMGET', key, 'state', 'winner')
if not h then
	return 'missing' -- the key is no job's
end
local from = h[1]
if not from or not FINAL[from] and not sound(id) then
	if ARGV[4] ~= '1' then
		return 'missing'
	end
	enter(5)
	count('submitted')
	from = 'running'
elseif FINAL[from] then
	return h[2] == token and 'already' or 'superseded'
end
call('HSET', key, 'winner', token, 'result', ARGV[3])
call('HDEL', key, 'error', 'error_code')
close(id, from, 'done')
call('HSET', key, 'worker', worker)
settle()
return 'finished'
