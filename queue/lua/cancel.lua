-- ARGV: intake entry or '', id. A waiting job ends at once, a running one is told at its beat.
local entry, id = ARGV[1], ARGV[2]
if not take_entry(entry) then
	return 'gone'
end
local key = job_key(id)
local state = redis.call('HGET', key, 'state')
if not state then
	if entry ~= '' then
		dead_letter(id, 'rejected', 'cancel: there is no job ' .. id, '')
	end
	return 'missing'
elseif FINAL[state] then
	return 'late'
elseif state == 'running' then
	if redis.call('HSETNX', key, 'cancel', 'user') == 1 then
		tell(id, 'cancelling')
	end
	return 'cancelling'
end
close(id, state, 'cancelled')
settle()
return 'cancelled'
