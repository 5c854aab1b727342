-- define: create a wallet, or change what it is. Numbers stay; a bucket that is left out must be
-- empty, and none changes between money and units.
--
-- KEYS  1 wallet   2 journal                                    (both of one partition)
-- ARGV  1 the definition, a msgpack array: {version, active, currency, floor, definitions, buckets,
--         member (the wallet's address)}; a bucket is {id, money, from_ms, until_ms}
-- Returns 1 when it is in force, 0 when it does not follow the version in force or loses money.
-- Keeps true
--         versions grow by one; credited = left + debited; `main` is there and is money.
local function bucket_from(old, b)
  if old and old.money ~= (b[2] == 1) then return nil end
  local t = { id = b[1], money = b[2] == 1, from_ms = b[3], until_ms = b[4], floor = 0,
    left = 0, held = 0, credited = 0, debited = 0, was_left = 0, was_held = 0 }
  if old then
    t.left, t.held, t.credited, t.debited = old.left, old.held, old.credited, old.debited
    t.was_left, t.was_held = old.left, old.held
  end
  return t
end

local function define(keys, args)
  local a = cmsgpack.unpack(args[1])
  local record = redis.call('GET', keys[1])
  local old = { version = 0, currency = a[3], buckets = {}, by = {}, last_ms = 0, open = 0 }
  if record then old = read_wallet(record) end
  if a[1] ~= old.version + 1 or a[3] ~= old.currency then return 0 end
  local wallet = { version = a[1], active = a[2], currency = a[3], floor = a[4],
    definitions = a[5], last_ms = most(store_ms(), old.last_ms), open = old.open, buckets = {}, by = {} }
  for i, b in ipairs(a[6]) do
    local bucket = bucket_from(old.by[b[1]], b)
    if not bucket or wallet.by[b[1]] then return 0 end
    wallet.buckets[i], wallet.by[b[1]] = bucket, bucket
  end
  for _, b in ipairs(old.buckets) do
    if not wallet.by[b.id] and (b.left ~= 0 or b.held ~= 0) then return 0 end
  end
  if not wallet.by.main or not wallet.by.main.money then return 0 end
  local new_wallet = wallet_bytes(wallet)
  local entry = cmsgpack.pack({ 1, 'define', a[7], '', '', wallet.last_ms, wallet.last_ms, 'OK', {},
    moves_of(wallet), 0, 0, 0, false, '', a[5] })
  redis.call('XADD', keys[2], '*', 'e', entry)
  redis.call('SET', keys[1], new_wallet)
  return 1
end

redis.register_function('@LIBRARY@_define', define)
