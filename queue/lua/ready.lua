-- Waiting jobs in the order of their turn, over all queues. ARGV: offset, limit.
local offset, limit = tonumber(ARGV[1]), tonumber(ARGV[2])
local all = {}
for _, queue in ipairs(redis.call('SMEMBERS', P .. 'queues')) do
	local part = redis.call('ZRANGE', ready_key(queue), 0, offset + limit - 1, 'WITHSCORES')
	for i = 1, #part, 2 do
		all[#all + 1] = { tonumber(part[i + 1]), part[i] }
	end
end
table.sort(all, function(a, b)
	return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2])
end)
local page = {}
for i = offset + 1, math.min(offset + limit, #all) do
	page[#page + 1] = all[i][2]
end
return page
