-- define: create a wallet, or change what it is. Numbers stay; a bucket that is left out must be
-- empty, and none changes between money and units. Currency and who settles stay what they are.
--
-- KEYS  1 wallet   2 definitions   3 journal                    (all of one partition)
-- ARGV  1 the definition, as the wallet's record has it (records.lua)
--       2 the same for Python, opaque
--       3 what is told of it (records.lua)
-- Returns 1 when it is in force, 0 when it does not follow the version in force or loses money.
-- Keeps true
--         versions grow by one; credited = left + debited; `main` is there and is money.

-- The wallet by its new definition, with the numbers of the old one's buckets of the same names;
-- nil when a name comes twice, or a bucket would change its kind.
local function redefined(old, text, definition, now)
  local holder = { text, definition, now, old and old[W_OPEN] or 0 }
  for d = D_BUCKETS, #definition, D_BUCKET do
    local name, money = definition[d], definition[d + 1]
    local known = old and bucket_of(old, name)
    if definition[D_PLACES][name] ~= #holder + 1 then return nil end
    if known and known[B_MONEY] ~= money then return nil end
    local left, held, credited, debited = 0, 0, 0, 0
    if known then
      left, held = known[B_LEFT], known[B_HELD]
      credited, debited = known[B_CREDITED], known[B_DEBITED]
    end
    holder[#holder + 1] = { name, money, 0, 0, 0, left, held, credited, debited, left, held, false }
  end
  return holder
end

local function loses_money(old, holder)
  for i = W_BUCKETS, #old do
    local b = old[i]
    if (b[B_LEFT] ~= 0 or b[B_HELD] ~= 0) and not bucket_of(holder, b[B_NAME]) then return true end
  end
  return false
end

local function define(keys, args)
  if not call then begin() end
  local text, record = args[1], call('GET', keys[1])
  local definition = definitions[text] or definition_of(text)
  local old, version = record and read_wallet(record), 0
  if old then
    version = old[W_DEFINITION][D_VERSION]
    for _, fixed in ipairs({ D_CURRENCY, D_SETTLER }) do
      if old[W_DEFINITION][fixed] ~= definition[fixed] then return 0 end
    end
  end
  if definition[D_VERSION] ~= version + 1 then return 0 end
  local now = most(store_ms(), old and old[W_LAST_MS] or 0)
  local holder = redefined(old, text, definition, now)
  if not holder or (old and loses_money(old, holder)) then return 0 end
  local main = bucket_of(holder, 'main')
  if not main or main[B_MONEY] ~= 1 then return 0 end
  local new_wallet = wallet_bytes(holder)
  call('XADD', keys[3], '*', 'e', entry_bytes(args[3], holder, ''))
  call('SET', keys[1], new_wallet)
  call('SET', keys[2], args[2])
  return 1
end

redis.register_function('@LIBRARY@_define', define)
