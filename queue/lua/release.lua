-- A worker gives a job back without its costing an attempt. ARGV: id, token, reason, what the
-- next worker shall know or '', '1' when the reason is something that must be mended first.
local id = ARGV[1]
if not holds(id, ARGV[2]) then
	return 'lost'
end
local key = job_key(id)
local cancel = call('HGET', key, 'cancel')
if not sound(id) then
	bury(id, 'running')
elseif cancel then
	close_cancelled(id, cancel)
else
	unplace(id, 'running')
	if ARGV[5] == '1' then
		call('HSET', key, 'held', ARGV[3])
	end
	call('HINCRBY', key, 'attempts', -1)
	if ARGV[4] ~= '' then
		call('HSET', key, 'saved', ARGV[4])
	end
	tell_job(id, 'released', 'reason', ARGV[3])
	place(id, 0)
end
settle()
return 'ok'
