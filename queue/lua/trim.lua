-- Purges final jobs of one state. ARGV: state, age in ms, count, ms that a purged id is
-- remembered, jobs at most. Returns how many, 1 when there is more to do.
local state, limit = ARGV[1], tonumber(ARGV[5])
local PAGE = 20
local purged = 0

local function purge_one(id)
	purge(id, state)
	purged = purged + 1
end

-- Calls act(id) for what page() gives until that is nothing.
local function each(page, act)
	while not enough() and purged < limit do
		local ids = page(math.min(PAGE, limit - purged))
		if #ids == 0 then
			return
		end
		for _, id in ipairs(ids) do
			act(id)
		end
	end
end

each(function(most)
	local excess = call('ZCARD', P .. state) - tonumber(ARGV[3])
	return excess > 0 and call('ZRANGE', P .. state, 0, math.min(excess, most) - 1) or {}
end, purge_one)
each(function(most)
	return call('ZRANGEBYSCORE', P .. state, '-inf', now - tonumber(ARGV[2]), 'LIMIT', 0, most)
end, purge_one)
each(function()
	return call('ZRANGEBYSCORE', P .. 'tombs', '-inf', now - tonumber(ARGV[4]), 'LIMIT', 0, PAGE)
end, function(id)
	call('UNLINK', job_key(id))
	call('ZREM', P .. 'tombs', id)
end)
-- Workers that were not heard of for a day.
each(function()
	return call('ZRANGEBYSCORE', P .. 'workers', '-inf', now - 86400000, 'LIMIT', 0, PAGE)
end, function(name)
	call('UNLINK', P .. 'worker:' .. name)
	call('ZREM', P .. 'workers', name)
end)
return { purged, enough() and purged < limit and 1 or 0 }
