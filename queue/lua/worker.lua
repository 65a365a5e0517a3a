-- A worker tells that it lives (ARGV: name, classes separated by spaces, device, host, pid, trouble, what
-- keeps it from taking jobs or '', bytes of its device and how many of them are used, steps made) or leaves (ARGV: name).
local name = ARGV[1]
if #ARGV == 1 then
	call('ZREM', P .. 'workers', name)
	call('DEL', P .. 'worker:' .. name)
	return 'ok'
end
call('ZADD', P .. 'workers', now, name)
call('HSET', P .. 'worker:' .. name, 'classes', ARGV[2], 'device', ARGV[3], 'host', ARGV[4],
	'pid', ARGV[5], 'trouble', ARGV[6], 'waits', ARGV[7],
	'memory', ARGV[8], 'memory_used', ARGV[9], 'steps', ARGV[10])
return 'ok'
