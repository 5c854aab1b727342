-- The records: how a wallet and a session lie in the store, and the tables they become here.
-- Python reads the same forms in ocs/adapters/valkey/records.py.

-- Wallet: {1, version, active, currency, floor, last_ms, open, definitions, buckets}; a bucket is
-- {id, money, left, held, credited, debited, from_ms, until_ms}. `definitions` is Python's, opaque.
local function read_wallet(bytes)
  local a = cmsgpack.unpack(bytes)
  local wallet = {
    version = a[2], active = a[3], currency = a[4], floor = a[5], last_ms = a[6], open = a[7],
    definitions = a[8], buckets = {}, by = {},
  }
  for i, b in ipairs(a[9]) do
    local bucket = {
      id = b[1], money = b[2] == 1, left = b[3], held = b[4], credited = b[5], debited = b[6],
      from_ms = b[7], until_ms = b[8], floor = 0, was_left = b[3], was_held = b[4],
    }
    wallet.buckets[i], wallet.by[b[1]] = bucket, bucket
  end
  wallet.by.main.floor = wallet.floor
  return wallet
end

local function wallet_bytes(wallet)
  local buckets = {}
  for i, b in ipairs(wallet.buckets) do
    local money = 0
    if b.money then money = 1 end
    if most(most(b.left, b.held), most(b.credited, b.debited)) > MAX_AMOUNT then
      error('AMOUNT_OVERFLOW')
    end
    buckets[i] = { b.id, money, b.left, b.held, b.credited, b.debited, b.from_ms, b.until_ms }
  end
  return cmsgpack.pack({ 1, wallet.version, wallet.active, wallet.currency, wallet.floor,
    wallet.last_ms, wallet.open, wallet.definitions, buckets })
end

-- What nobody holds of a bucket, down to its floor.
local function available(bucket)
  return most(0, bucket.left - bucket.held - bucket.floor)
end

local function valid_at(bucket, ms)
  return bucket.from_ms <= ms and ms < bucket.until_ms
end

local function debit(bucket, amount)
  bucket.left, bucket.debited = bucket.left - amount, bucket.debited + amount
end

-- What an operation changed, for the journal: {bucket, left by, held by, left, held, floor}. The
-- last is there when the operation placed a hold on the bucket, which must then stand above it.
local function moves_of(wallet)
  local moves = {}
  for _, b in ipairs(wallet.buckets) do
    if b.left ~= b.was_left or b.held ~= b.was_held or b.placed then
      local move = { b.id, b.left - b.was_left, b.held - b.was_held, b.left, b.held }
      if b.placed then move[6] = b.floor end
      moves[#moves + 1] = move
    end
  end
  return moves
end

-- Service: {rating_group, elapsed, priced, seg_from, cw, cr, cd, charged, granted, fee_due,
-- subject, timed, segs, seg_i, terms, held, taken}; a segment is {from_ms, ladder, rating}, a hold
-- {bucket, amount, increment, factor} (money: increment 0), taken {bucket, used, paid} three each.
local function read_service(a)
  local svc = {
    rating_group = a[1], elapsed = a[2], priced = a[3], seg_from = a[4], cw = a[5], cr = a[6],
    cd = a[7], charged = a[8], granted = a[9], fee_due = a[10], subject = a[11], timed = a[12],
    segs = a[13], seg_i = a[14], terms = a[15] or nil, held = a[16], taken = {},
  }
  if svc.segs[svc.seg_i] then svc.ladder = svc.segs[svc.seg_i][2] end
  local taken = a[17]
  for i = 1, #taken, 3 do
    svc.taken[taken[i]] = { used = taken[i + 1], paid = taken[i + 2] }
  end
  return svc
end

local function service_array(svc)
  local taken = {}
  for id, t in pairs(svc.taken) do
    local i = #taken
    taken[i + 1], taken[i + 2], taken[i + 3] = id, t.used, t.paid
  end
  return { svc.rating_group, svc.elapsed, svc.priced, svc.seg_from, svc.cw, svc.cr, svc.cd,
    svc.charged, svc.granted, svc.fee_due, svc.subject, svc.timed, svc.segs, svc.seg_i,
    svc.terms or false, svc.held, taken }
end

-- Session: {1, state, opened_ms, deadline_ms, hint_ms, answer_ms, top, low, high, keys, results,
-- services, repeats, start_fingerprint, start_request}. (top, low, high) is the window of seen
-- numbers; results are pairs: request, then the packed {fingerprint, result, rating, rating, …}.
local function read_session(bytes)
  if not bytes then
    return {
      state = 'none', opened_ms = 0, deadline_ms = 0, hint_ms = 0, answer_ms = 0, top = -1, low = 0,
      high = 0, keys = {}, results = {}, services = {}, repeats = 0, start_fingerprint = '',
      start_request = '',
    }
  end
  local a = cmsgpack.unpack(bytes)
  local session = {
    state = a[2], opened_ms = a[3], deadline_ms = a[4], hint_ms = a[5], answer_ms = a[6],
    top = a[7], low = a[8], high = a[9], keys = a[10], results = a[11], services = {},
    repeats = a[13], start_fingerprint = a[14], start_request = a[15],
  }
  for i, service in ipairs(a[12]) do session.services[i] = read_service(service) end
  return session
end

local function session_bytes(s)
  local services = {}
  for i, svc in ipairs(s.services) do services[i] = service_array(svc) end
  return cmsgpack.pack({ 1, s.state, s.opened_ms, s.deadline_ms, s.hint_ms, s.answer_ms, s.top,
    s.low, s.high, s.keys, s.results, services, s.repeats, s.start_fingerprint, s.start_request })
end
