-- ARGV: intake entry or '', 'pause' or 'resume', reason.
if not take_entry(ARGV[1]) then
	return 'gone'
end
if ARGV[2] == 'pause' then
	call('SET', P .. 'paused', ARGV[3])
	tell_all('', 'paused', 'reason', ARGV[3])
elseif call('DEL', P .. 'paused') == 1 then
	tell_all('', 'resumed')
	ring()
end
return 'ok'
