-- credit: add to one bucket, or take from it, once for each reference.
--
-- KEYS  1 wallet   2 reference (remembers the answer)   3 journal      (all of one partition)
-- ARGV  1 the call, a msgpack array: {bucket, amount (below zero: take), fingerprint, info, member
--         (the wallet's address), partition label, keep_s}
-- Returns {status, transaction id, left}: OK | HIT | CONFLICT | NO_CREDIT | NO_WALLET
-- Keeps true
--         credited = left + debited; nothing is taken that a session holds, or below the floor;
--         one journal entry for each reference that was carried out, written with it.
local function credit(keys, args)
  local a = cmsgpack.unpack(args[1])
  local id, amount, fingerprint = a[1], a[2], a[3]
  local first = redis.call('GET', keys[2])
  if first then
    local answer = cmsgpack.unpack(first)
    local status = 'HIT'
    if answer[1] ~= fingerprint then status = 'CONFLICT' end
    return { status, answer[2], answer[3] }
  end
  local record = redis.call('GET', keys[1])
  if not record then return { 'NO_WALLET' } end
  local wallet = cmsgpack.unpack(record)
  local b = bucket_of(wallet, id)
  if not b then return { 'NO_WALLET' } end
  local was, now = before(wallet), most(store_ms(), wallet[W_LAST_MS])
  if amount < 0 then
    if available(wallet, b) < -amount then return { 'NO_CREDIT', '', wallet[b + B_LEFT] } end
    debit(wallet, b, -amount)
  else
    wallet[b + B_LEFT] = wallet[b + B_LEFT] + amount
    wallet[b + B_CREDITED] = wallet[b + B_CREDITED] + amount
  end
  wallet[W_LAST_MS] = now
  local new_wallet = wallet_bytes(wallet)
  local entry = entry_bytes('credit', a[5], now, now, '', a[4], moves_of(wallet, was))
  local transaction = a[6] .. '-' .. redis.call('XADD', keys[3], '*', 'e', entry)
  local answer = cmsgpack.pack({ fingerprint, transaction, wallet[b + B_LEFT] })
  redis.call('SET', keys[1], new_wallet)
  redis.call('SET', keys[2], answer, 'PX', a[7] * 1000)
  return { 'OK', transaction, wallet[b + B_LEFT] }
end

redis.register_function('@LIBRARY@_credit', credit)
