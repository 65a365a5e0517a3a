-- A new job out of the intake (ARGV[1] 'in', ARGV[2] the entry) or as the next occurrence of
-- a recurring one ('recur', the job before). ARGV[3…]: see enter().
if ARGV[1] == 'recur' then
	if call('ZREM', P .. 'recur', ARGV[2]) == 0 then
		return 'gone'
	end
elseif not take_entry(ARGV[2]) then
	return 'gone'
end
if was_rejected(ARGV[3]) then
	call('ZREM', P .. 'failed', ARGV[3])
	call('DEL', job_key(ARGV[3]), P .. 'ev:' .. ARGV[3])
elseif call('HEXISTS', job_key(ARGV[3]), 'state') == 1 then
	return 'duplicate'
end
local id, due, deadline = enter(3), tonumber(ARGV[10]), tonumber(ARGV[11])
count('submitted')
if deadline > 0 then
	call('ZADD', P .. 'deadline', deadline, id)
end
local state
local why = input_use(id, ARGV[16])
if why then
	call('HSET', job_key(id), 'state', 'blocked')
	close(id, 'blocked', 'failed', 'too_big', why)
	state = 'failed'
else
	state = place(id, due)
end
settle()
return state
