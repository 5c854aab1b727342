-- reverse: give back what one charge debited, once. What it had given back is taken again; and so
-- is, of a one-shot event, what re-ratings have moved for it.
--
-- KEYS  1 wallet   2 session   3 reversals   4 journal   5 what re-ratings have moved for uses of the
--       wallet (adjusted.lua)                                   (all of one partition)
-- ARGV  1 the call, a msgpack array: {id of the charge's entry, 1 if that was a one-shot event,
--         money that it debited in all, then of each bucket: name, what it debited}
--       2 what is told of it (records.lua)   3 digest of the session's address
-- Returns {status, the journal's id, money, units}: OK | HIT; or OPEN | GONE | NO_WALLET; or
--         {ADJUSTED, page}: a re-rating has moved something for the session; or RERATED: one has for
--         the account, and what for is forgotten
-- Keeps true
--         credited = left + debited; a charge is reversed once, within thirty days, and a day longer
--         it is known that it was; one journal entry for each reversal, written with it; what is
--         reversed costs nothing any more, adjustments included.
--
-- The entry may have left the store for the journal's files, so it is not looked for here: who calls
-- has read it. How old it is, is told by ids, which never go back as clocks do, so that what is
-- forgotten of reversals can never be young enough again; and by the clock, for where nothing is
-- charged ids stand still.
local REVERSIBLE_MS, REVERSAL_KEEP_MS = 2592000000, 2678400000

-- The milliseconds with which the id of an entry begins, as text.
local function ms_text(id)
  return (string.gsub(id, '%-.*', ''))
end

-- Whether the journal has got so far as the entry, and that not too long ago.
local function is_reversible(key, entry)
  local told = redis.pcall('XINFO', 'STREAM', key)
  if told.err then return false end -- there is no journal
  local last_ms, last_n
  for i = 1, #told, 2 do
    if told[i] == 'last-generated-id' then last_ms, last_n = parts_of_id(told[i + 1]) end
  end
  local ms, n = parts_of_id(entry)
  if is_before(last_ms, last_n, ms, n) then return false end
  return most(last_ms, call('TIME')[1] * 1000) - ms <= REVERSIBLE_MS
end

-- The reversal of an entry: its id, money and units; nil where there is none.
local function reversal_of(key, entry)
  local ms = ms_text(entry)
  for _, member in ipairs(call('ZRANGEBYSCORE', key, ms, ms)) do
    local its_entry, id, money, units = read('<Bc0Bc0dd', member)
    if its_entry == entry then return id, money, units end
  end
end

-- Remembers a reversal and whose it is, and forgets those of entries that are too old by now.
local function note_reversal(keys, entry, id, money, units)
  local old_ms = tonumber(ms_text(id)) - REVERSAL_KEEP_MS
  call('ZREMRANGEBYSCORE', keys[3], '-inf', '(' .. string.format('%.0f', old_ms))
  local member = pack('<Bc0Bc0dd', #entry, entry, #id, id, money, units) .. keys[1]
  call('ZADD', keys[3], ms_text(entry), member)
end

-- Puts back what each bucket paid, `money` in all. What a bucket does not have that is to be taken
-- again, and what a bucket paid that is not there any more, is the affair of `main`; units that
-- have no bucket are gone. Returns the units.
local function put_back(debits, money)
  local units, rest = 0, money
  for i = 4, #debits, 2 do
    local b, x = bucket_of(wallet, debits[i]), debits[i + 1]
    if b then
      if x < 0 then x = -least(-x, available(b)) end
      debit(b, -x)
      if b[B_MONEY] == 1 then rest = rest - x else units = units + x end
    end
  end
  debit(bucket_of(wallet, 'main'), -rest)
  return units
end

local function reverse(keys, args)
  if not call then begin() end
  local a = cmsgpack.unpack(args[1])
  local entry, one_time, money = a[1], a[2] == 1, a[3]
  local known, its_money, its_units = reversal_of(keys[3], entry)
  if known then return { 'HIT', known, its_money, its_units } end
  if not is_reversible(keys[4], entry) then return { 'GONE' } end
  local record, session = call('GET', keys[1]), nil
  if not record then return { 'NO_WALLET' } end
  wallet = read_wallet(record)
  if not one_time then
    session = call('GET', keys[2])
    if session then
      read_session(session)
      if COUNTED[state] or state == 'expired' then return { 'OPEN' } end
      -- Nothing is to be paid back to who has it back already: the session forgets who paid.
      for s = 1, #services do services[s][P_TAKEN] = NOTHING end
      session = session_bytes(old_deadline_ms(), '', '', '')
    end
  end
  if was_forgotten(keys[5], entry) then return { 'RERATED' } end
  local adjusted, page = adjusted_with(keys[5], entry, not one_time and args[3])
  if page then return { 'ADJUSTED', page } end
  local units = put_back(a, money)
  debit(bucket_of(wallet, 'main'), -adjusted)
  money = money + adjusted
  wallet[W_LAST_MS] = most(store_ms(), wallet[W_LAST_MS])
  local new_wallet = wallet_bytes(wallet)
  local id = call('XADD', keys[4], '*', 'e', entry_bytes(args[2], wallet, ''))
  call('SET', keys[1], new_wallet)
  if session then call('SET', keys[2], session, 'KEEPTTL') end
  call('HSET', keys[5], 'reversed', id)
  note_reversal(keys, entry, id, money, units)
  return { 'OK', id, money, units }
end

redis.register_function('@LIBRARY@_reverse', reverse)
