-- debit: take from `main` what finished CDRs cost, each CDR once, whoever gives it in and however
-- often. Those of one call are of one account, and ended on one day.
--
-- KEYS  1 wallet   2 CDRs of this account and day that are known   3 journal   and behind them, for
--       each CDR, the session that its call would be            (all of one partition)
-- ARGV  1 d day (since 1970), H text currency, c8 mark of the chunk, H CDRs; of each c16 digest of
--         its id, d amount
--       2 what is told of it (records.lua), its info open at the end: the script adds how many CDRs
--         were debited, and the overrun
-- Returns {status, the journal's id, overrun, fates, amounts}: OK; or NO_WALLET | EVENTS | NOBODY
--         (who settles this account) | CURRENCY (another one). Of each CDR c1 fate, d amount:
--         d debited by this chunk, now or before   u known already, from another chunk or twice
--         o settled online   t too old   a ahead of time
--         The id is empty when nothing was debited now.
-- Keeps true
--         credited = left + debited; a CDR is debited once while its day is remembered, and all
--         that is debited by a call is in one journal entry, written with it; the same chunk again
--         has the same fates and amounts, and moves nothing.

-- Whether the ledger has charged the call, or may still. The state stands behind 52 bytes.
local function is_online(session)
  return session and read('<Bc0', session, 53) ~= 'refused'
end

-- What was said of a known CDR, to this chunk or another one.
local function known_fate(record, mark)
  local its_mark, fate, amount = read('<c8c1d', record)
  if fate == 'd' and its_mark ~= mark then return 'u', 0 end
  return fate, amount
end

-- What becomes of CDRs of a day that are not known.
local function fate_of_day(day, now_ms)
  local today = floor(now_ms / DAY_MS)
  if day < today - CDR_DAYS then return 't' end
  if day > today + 1 then return 'a' end
  return 'd'
end

-- Decides about each CDR. Returns fates, amounts, what is to be remembered, and of the CDRs that are
-- debited now how many they are and what they cost.
local function judge(text, at, n, mark, known, sessions, fate_of_new)
  local fates, amounts, news, seen, count, total = {}, {}, {}, {}, 0, 0
  for i = 1, n do
    local digest, amount, after = read('<c16d', text, at)
    local fate = fate_of_new
    if seen[digest] then
      fate, amount = 'u', 0
    elseif known[i] then
      fate, amount = known_fate(known[i], mark)
    elseif fate ~= 'd' then
      amount = 0
    else
      if is_online(sessions[i]) then fate, amount = 'o', 0 end
      if fate == 'd' then count, total = count + 1, total + amount end
      news[#news + 1], news[#news + 2] = digest, pack('<c8c1d', mark, fate, amount)
    end
    at, seen[digest], fates[i], amounts[i] = after, true, fate, pack('<d', amount)
  end
  return table.concat(fates), table.concat(amounts), news, count, total
end

-- The digests that a call names.
local function digests_of(text, at, n)
  local digests = {}
  for i = 1, n do digests[i] = sub(text, at + 24 * (i - 1), at + 24 * i - 9) end
  return digests
end

local function debit_cdrs(keys, args)
  if not call then begin() end
  local text = args[1]
  local day, currency, mark, n, at = read('<dHc0c8H', text)
  local record = call('GET', keys[1])
  if not record then return { 'NO_WALLET' } end
  local holder = read_wallet(record)
  local settler = holder[W_DEFINITION][D_SETTLER]
  if settler == BY_EVENTS then return { 'EVENTS' } end
  if settler == BY_NOBODY then return { 'NOBODY' } end
  if holder[W_DEFINITION][D_CURRENCY] ~= currency then return { 'CURRENCY' } end
  local known = call('HMGET', keys[2], unpack(digests_of(text, at, n)))
  local now_ms = most(store_ms(), holder[W_LAST_MS])
  local fates, amounts, news, count, total = judge(text, at, n, mark, known,
    call('MGET', unpack(keys, 4)), fate_of_day(day, now_ms))
  local id, overrun = '', 0
  if count > 0 then
    local main = bucket_of(holder, 'main')
    overrun = most(0, total - available(main))
    debit(main, total)
    holder[W_LAST_MS] = now_ms
    local new_wallet = wallet_bytes(holder)
    local told = args[2] .. string.format(',%.0f,%.0f]', count, overrun)
    id = call('XADD', keys[3], '*', 'e', entry_bytes(told, holder, ''))
    call('SET', keys[1], new_wallet)
  end
  if news[1] then
    call('HSET', keys[2], unpack(news))
    call('PEXPIRE', keys[2], (day + CDR_DAYS + 2) * DAY_MS - now_ms)
  end
  return { 'OK', id, overrun, fates, amounts }
end

redis.register_function('@LIBRARY@_debit', debit_cdrs)
