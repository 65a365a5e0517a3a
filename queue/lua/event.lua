-- An event of a running job. ARGV: id, token, event, and names and values.
if not holds(ARGV[1], ARGV[2]) then
	return 'lost'
end
tell_job(ARGV[1], ARGV[3], unpack(ARGV, 4))
return 'ok'
