-- An event of a running job. ARGV: id, token, event, name, data.
if not holds(ARGV[1], ARGV[2]) then
	return 'lost'
end
tell_job(ARGV[1], ARGV[3], ARGV[4], ARGV[5])
return 'ok'
