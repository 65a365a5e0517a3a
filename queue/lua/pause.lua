-- ARGV: intake entry or '', 'pause' or 'resume', reason.
if not take_entry(ARGV[1]) then
	return 'gone'
end
if ARGV[2] == 'pause' then
	redis.call('SET', P .. 'paused', ARGV[3])
	tell_all('', 'paused', 'reason', ARGV[3])
elseif redis.call('DEL', P .. 'paused') == 1 then
	tell_all('', 'resumed')
	ring()
end
return 'ok'
