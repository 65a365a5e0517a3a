-- One result of several. ARGV: id, token, number, result.
local id, number = ARGV[1], ARGV[3]
if not holds(id, ARGV[2]) then
	return 'lost'
end
if call('HSETNX', job_key(id), 'v' .. number, ARGV[4]) == 1 then
	call('HINCRBY', job_key(id), 'variants', 1)
	call('HSET', job_key(id), 'updated', now)
	tell(id, 'variant', 'variant', number, 'result', ARGV[4])
end
return 'ok'
