-- credit: add to one bucket, or take from it, once for each reference.
--
-- KEYS  1 wallet   2 reference (remembers the answer)   3 journal   4 what re-ratings have moved for
--       uses of the wallet (adjusted.lua)                            (all of one partition)
-- ARGV  1 the call, a msgpack array: {bucket, amount (below zero: take), fingerprint, keep_s}, and
--         of a re-rating {…, page, last entry that it knows of}
--       2 what is told of it (records.lua)   3 of a re-rating: for which uses (adjusted.lua)
-- Returns {status, the journal's id, left, amount that moved}: OK | HIT | CONFLICT | NO_CREDIT |
--         REVERSED (something of the wallet, which the page does not know of), or {NO_WALLET}
-- Keeps true
--         credited = left + debited; nothing is taken that a session holds, or below the floor;
--         one journal entry for each reference that was carried out, written with it; what moved
--         for uses is noted with it, and nothing for one that was reversed.
local function credit(keys, args)
  if not call then begin() end
  local a = cmsgpack.unpack(args[1])
  local name, amount, fingerprint = a[1], a[2], a[3]
  local first = call('GET', keys[2])
  if first then
    local answer = cmsgpack.unpack(first)
    local status = 'HIT'
    if answer[1] ~= fingerprint then status = 'CONFLICT' end
    return { status, answer[2], answer[3], answer[4] or amount }
  end
  local record = call('GET', keys[1])
  if not record then return { 'NO_WALLET' } end
  local holder = read_wallet(record)
  local b = bucket_of(holder, name)
  if not b then return { 'NO_WALLET' } end
  local page, seen = a[5], a[6]
  if page and was_reversed_since(keys[4], seen) then return { 'REVERSED', '', b[B_LEFT], 0 } end
  local now = most(store_ms(), holder[W_LAST_MS])
  if amount < 0 then
    if available(b) < -amount then return { 'NO_CREDIT', '', b[B_LEFT], 0 } end
    debit(b, -amount)
  else
    b[B_LEFT], b[B_CREDITED] = b[B_LEFT] + amount, b[B_CREDITED] + amount
  end
  holder[W_LAST_MS] = now
  local new_wallet = wallet_bytes(holder)
  local id = call('XADD', keys[3], '*', 'e', entry_bytes(args[2], holder, ''))
  local answer = cmsgpack.pack({ fingerprint, id, b[B_LEFT], amount })
  call('SET', keys[1], new_wallet)
  call('SET', keys[2], answer, 'PX', a[4] * 1000)
  if page then note_adjusted(keys[4], page, seen, args[3], id) end
  return { 'OK', id, b[B_LEFT], amount }
end

redis.register_function('@LIBRARY@_credit', credit)
