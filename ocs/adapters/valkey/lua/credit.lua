-- credit: add to one bucket, or take from it, once for each reference.
--
-- KEYS  1 wallet   2 reference (remembers the answer)   3 journal      (all of one partition)
-- ARGV  1 the call, a msgpack array: {bucket, amount (below zero: take), fingerprint, keep_s}
--       2 what is told of it (records.lua)
-- Returns {status, the journal's id, left, amount that moved}: OK | HIT | CONFLICT | NO_CREDIT,
--         or {NO_WALLET}
-- Keeps true
--         credited = left + debited; nothing is taken that a session holds, or below the floor;
--         one journal entry for each reference that was carried out, written with it.
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
  return { 'OK', id, b[B_LEFT], amount }
end

redis.register_function('@LIBRARY@_credit', credit)
