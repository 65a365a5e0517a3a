-- Files that jobs start from. ARGV[1] and what follows it:
--   'offer', sha256, bytes: somebody is about to SET it. Returns 'there' when it lies there already,
--     'room', or why it cannot be taken.
--   'limit', bytes: what all of them may take.
--   'found', sha256…: lies there; takes those into the account that nobody has named.
--   'sweep': drops what nobody needs any more. Returns how many.
local what = ARGV[1]

-- Of jobs that were deleted by hand nobody has told; a few are looked at each time.
local function used(sha)
	local key = P .. 'uses:' .. sha
	for _, id in ipairs(try('SRANDMEMBER', key, 5) or {}) do
		local state = state_of(id)
		if not state or FINAL[state] then
			try('SREM', key, id)
		end
	end
	return try('EXISTS', key) == 1
end

local function meet(sha)
	if try('ZSCORE', P .. 'inputs', sha) or try('EXISTS', input_key(sha)) == 0 then
		return
	elseif used(sha) then
		try('PERSIST', input_key(sha))
		input_account(sha, input_size(sha), 'inf')
	else
		try('PEXPIRE', input_key(sha), INPUT_UNUSED_MS, 'LT')
		input_account(sha, input_size(sha), now + INPUT_UNUSED_MS)
	end
end

if what == 'limit' then
	try('HSET', P .. 'meta', 'input_memory', ARGV[2])
	return 'ok'
elseif what == 'found' then
	for i = 2, #ARGV do -- a page of a SCAN, most of which is known
		meet(ARGV[i])
	end
	return 'ok'
elseif what == 'offer' then
	local sha, bytes = ARGV[2], tonumber(ARGV[3])
	local there = input_size(sha) == bytes
	local why = not there and input_room(sha, bytes)
	if why then
		return why
	end
	-- No expiry of its own: its job may stand in the intake for as long as no daemon runs.
	try('PERSIST', input_key(sha))
	input_account(sha, bytes, used(sha) and 'inf' or now + INPUT_UNUSED_MS)
	return there and 'there' or 'room'
end

-- Jobs that have not been taken in yet may name any of them.
if (try('XLEN', P .. 'in') or 0) > 0 then
	return 0
end
local dropped = 0
for _, sha in ipairs(try('ZRANGEBYSCORE', P .. 'inputs', '-inf', now, 'LIMIT', 0, 200) or {}) do
	if enough() then
		break
	elseif used(sha) then
		try('PERSIST', input_key(sha))
		try('ZADD', P .. 'inputs', 'inf', sha)
	else
		input_drop(sha)
		dropped = dropped + 1
	end
end
local last = try('ZRANGE', P .. 'inputs', 'inf', 'inf', 'BYSCORE', 'LIMIT', 0, 200)
for _, sha in ipairs(last or {}) do
	if not enough() and not used(sha) then
		try('PEXPIRE', input_key(sha), INPUT_KEPT_MS)
		try('ZADD', P .. 'inputs', now + INPUT_KEPT_MS, sha)
	end
end
input_room('', 0) -- what others have put there counts as well
return dropped
