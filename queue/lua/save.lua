-- Puts the saved steps of a running job in place of what was saved before. ARGV: id, token,
-- variant, bytes. The key expires on its own: without it a job begins anew, nothing is lost.
if not holds(ARGV[1], ARGV[2]) then
	return 'lost'
end
local key = P .. 'saved:' .. ARGV[1]
call('UNLINK', key)
call('HSET', key, 'variant', ARGV[3], 'data', ARGV[4])
call('EXPIRE', key, 30 * 86400)
return 'ok'
