-- credit: add to one bucket, or take from it, once for each reference.
--
-- KEYS  1 wallet   2 reference (remembers the answer)   3 journal      (all of one partition)
-- ARGV  1 the call, a msgpack array: {bucket, amount (below zero: take), reference, fingerprint,
--         info, member (the wallet's address), partition label, keep_s}
-- Returns {status, transaction id, left}: OK | HIT | CONFLICT | NO_CREDIT | NO_WALLET
-- Keeps true
--         credited = left + debited; nothing is taken that a session holds, or below the floor;
--         one journal entry for each reference that was carried out, written with it.
local function credit(keys, args)
  local a = cmsgpack.unpack(args[1])
  local id, amount, fingerprint = a[1], a[2], a[4]
  local before = redis.call('GET', keys[2])
  if before then
    local kept_answer = cmsgpack.unpack(before)
    local status = 'HIT'
    if kept_answer[1] ~= fingerprint then status = 'CONFLICT' end
    return { status, kept_answer[2], kept_answer[3] }
  end
  local record = redis.call('GET', keys[1])
  if not record then return { 'NO_WALLET' } end
  local wallet = read_wallet(record)
  local bucket = wallet.by[id]
  if not bucket then return { 'NO_WALLET' } end
  if amount < 0 then
    if available(bucket) < -amount then return { 'NO_CREDIT', '', bucket.left } end
    debit(bucket, -amount)
  else
    bucket.left, bucket.credited = bucket.left + amount, bucket.credited + amount
  end
  local now = most(store_ms(), wallet.last_ms)
  wallet.last_ms = now
  local new_wallet = wallet_bytes(wallet)
  local entry = cmsgpack.pack({ 1, 'credit', a[6], a[3], fingerprint, now, now, 'OK', {},
    moves_of(wallet), 0, 0, 0, false, '', a[5] })
  local transaction = a[7] .. '-' .. redis.call('XADD', keys[3], '*', 'e', entry)
  local answer = cmsgpack.pack({ fingerprint, transaction, bucket.left })
  redis.call('SET', keys[1], new_wallet)
  redis.call('SET', keys[2], answer, 'PX', a[8] * 1000)
  return { 'OK', transaction, bucket.left }
end

redis.register_function('@LIBRARY@_credit', credit)
