-- define: create a wallet, or change what it is. Numbers stay; a bucket that is left out must be
-- empty, and none changes between money and units.
--
-- KEYS  1 wallet   2 definitions   3 journal                    (all of one partition)
-- ARGV  1 the definition, a msgpack array: {version, active, currency, floor, definitions, member
--         (the wallet's address), buckets}; buckets are id, money, from_ms, until_ms, four each
-- Returns 1 when it is in force, 0 when it does not follow the version in force or loses money.
-- Keeps true
--         versions grow by one; credited = left + debited; `main` is there and is money.
local function add_bucket(wallet, old, id, money, from_ms, until_ms)
  local o, n = bucket_of(old, id), #wallet
  if bucket_of(wallet, id) or (o and old[o + B_MONEY] ~= money) then return false end
  for i = 0, W_BUCKET - 1 do wallet[n + 1 + i] = o and old[o + i] or 0 end
  wallet[n + 1], wallet[n + 1 + B_MONEY] = id, money
  wallet[n + 1 + B_FROM_MS], wallet[n + 1 + B_UNTIL_MS] = from_ms, until_ms
  return true
end

local function moved(wallet, old)
  local was = {}
  for b = W_BUCKETS, #wallet, W_BUCKET do
    local i = #was
    was[i + 1], was[i + 2] = wallet[b + B_LEFT], wallet[b + B_HELD]
  end
  for b = W_BUCKETS, #old, W_BUCKET do
    local full = old[b + B_LEFT] ~= 0 or old[b + B_HELD] ~= 0
    if full and not bucket_of(wallet, old[b]) then return nil end
  end
  return was
end

local function define(keys, args)
  local a = cmsgpack.unpack(args[1])
  local record = redis.call('GET', keys[1])
  local old = record and cmsgpack.unpack(record) or { 1, 0, 1, a[3], 0, 0, 0 }
  if a[1] ~= old[W_VERSION] + 1 or a[3] ~= old[W_CURRENCY] then return 0 end
  local now = most(store_ms(), old[W_LAST_MS])
  local wallet, buckets = { 1, a[1], a[2], a[3], a[4], now, old[W_OPEN] }, a[7]
  for i = 1, #buckets, 4 do
    if not add_bucket(wallet, old, buckets[i], buckets[i + 1], buckets[i + 2], buckets[i + 3]) then
      return 0
    end
  end
  local main, was = bucket_of(wallet, 'main'), moved(wallet, old)
  if not was or not main or wallet[main + B_MONEY] ~= 1 then return 0 end
  local new_wallet, moves = wallet_bytes(wallet), moves_of(wallet, was)
  redis.call('XADD', keys[3], '*', 'e', entry_bytes('define', a[6], now, now, '', a[5], moves))
  redis.call('SET', keys[1], new_wallet)
  redis.call('SET', keys[2], cmsgpack.pack({ a[1], a[2], a[3], a[4], a[5] }))
  return 1
end

redis.register_function('@LIBRARY@_define', define)
