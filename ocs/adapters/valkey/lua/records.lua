-- The records, and the names of their places. Python reads the same forms in
-- ocs/adapters/valkey/records.py.

-- Wallet: seven fields, then eight for each bucket. A bucket is meant by the place of its name.
local W_VERSION, W_ACTIVE, W_CURRENCY, W_FLOOR, W_LAST_MS, W_OPEN = 2, 3, 4, 5, 6, 7
local W_BUCKETS, W_BUCKET = 8, 8
local B_MONEY, B_LEFT, B_HELD, B_CREDITED, B_DEBITED, B_FROM_MS, B_UNTIL_MS = 1, 2, 3, 4, 5, 6, 7

-- Session: fifteen fields, then the services. Top, low and high are the window of seen numbers;
-- keys the seen requests without number (false: none); results the kept answers (repeats.lua).
local S_STATE, S_OPENED_MS, S_DEADLINE_MS, S_HINT_MS, S_ANSWER_MS = 2, 3, 4, 5, 6
local S_TOP, S_LOW, S_HIGH, S_KEYS, S_RESULTS, S_KEPT, S_REPEATS = 7, 8, 9, 10, 11, 12, 13
local S_START_FINGERPRINT, S_START_REQUEST, S_SERVICES = 14, 15, 16

-- Service, which is also the position that prices walk (position.lua). The terms (grace, -1 when
-- nothing is priced yet, to rounding) are those of the ladder that priced the first unit.
-- Later: from_ms, ladder, rating of each switch to come (false: none). Held: bucket, amount,
-- increment (0: money), factor. Taken from units buckets: bucket, used, paid.
local P_GROUP, P_ELAPSED, P_PRICED, P_SEG_FROM, P_CW, P_CR, P_CD = 1, 2, 3, 4, 5, 6, 7
local P_CHARGED, P_GRANTED, P_FEE_DUE, P_GRACE, P_MINIMUM, P_MAXIMUM = 8, 9, 10, 11, 12, 13
local P_ROUNDING, P_TIMED, P_SUBJECT, P_RATING, P_LADDER, P_LATER = 14, 15, 16, 17, 18, 19
local P_HELD, P_TAKEN, P_ANCHOR = 20, 21, 22
local HELD, TAKEN, LATER, PAYER = 4, 3, 3, 3

local function new_session()
  return { 1, 'none', 0, 0, 0, 0, -1, 0, 0, false, '', 0, 0, '', '' }
end

local function new_service(group, timed, subject, rating, ladder, later)
  return { group, 0, 0, 0, 0, 0, 1, 0, 0, 0, -1, 0, -1, 0, timed, subject, rating, ladder, later,
    {}, {}, 0 }
end

-- The place of a bucket in a wallet; nil when it has none of that name.
local function bucket_of(wallet, id)
  for b = W_BUCKETS, #wallet, W_BUCKET do
    if wallet[b] == id then return b end
  end
end

-- What nobody holds of a bucket, down to its floor.
local function available(wallet, b)
  local free = wallet[b + B_LEFT] - wallet[b + B_HELD]
  if wallet[b] == 'main' then free = free - wallet[W_FLOOR] end
  if free < 0 then return 0 end
  return free
end

local function valid_at(wallet, b, ms)
  return wallet[b + B_FROM_MS] <= ms and ms < wallet[b + B_UNTIL_MS]
end

local function debit(wallet, b, amount)
  wallet[b + B_LEFT] = wallet[b + B_LEFT] - amount
  wallet[b + B_DEBITED] = wallet[b + B_DEBITED] + amount
end

-- How the buckets stand before an operation: left and held, two each.
local function before(wallet)
  local was = {}
  for b = W_BUCKETS, #wallet, W_BUCKET do
    local i = #was
    was[i + 1], was[i + 2] = wallet[b + B_LEFT], wallet[b + B_HELD]
  end
  return was
end

-- What an operation changed, for the journal: bucket, left by, held by, left, held, floor, six for
-- each. The floor is there when the operation placed a hold on the bucket, else false.
local function moves_of(wallet, was, placed)
  local moves, n = {}, 1
  for b = W_BUCKETS, #wallet, W_BUCKET do
    local left, held = wallet[b + B_LEFT], wallet[b + B_HELD]
    local limit = false
    if placed and placed[b] then limit = wallet[b] == 'main' and wallet[W_FLOOR] or 0 end
    if left ~= was[n] or held ~= was[n + 1] or limit then
      local i = #moves
      moves[i + 1], moves[i + 2], moves[i + 3] = wallet[b], left - was[n], held - was[n + 1]
      moves[i + 4], moves[i + 5], moves[i + 6] = left, held, limit
    end
    n = n + 2
  end
  return moves
end

local function wallet_bytes(wallet)
  for b = W_BUCKETS, #wallet, W_BUCKET do
    if wallet[b + B_CREDITED] > MAX_AMOUNT or wallet[b + B_DEBITED] > MAX_AMOUNT
      or wallet[b + B_LEFT] < -MAX_AMOUNT or wallet[b + B_HELD] > MAX_AMOUNT then
      error('AMOUNT_OVERFLOW')
    end
  end
  return cmsgpack.pack(wallet)
end

-- Money that nobody holds, and money that is held, over the buckets valid now.
local function balance_of(wallet, now)
  local free, held = 0, 0
  for b = W_BUCKETS, #wallet, W_BUCKET do
    if wallet[b + B_MONEY] == 1 and valid_at(wallet, b, now) then
      free = free + wallet[b + B_LEFT] - wallet[b + B_HELD]
      held = held + wallet[b + B_HELD]
    end
  end
  return free, held
end

-- One entry of the journal: {form, kind, subject, at_ms, event_ms, state, info, moves}.
local function entry_bytes(kind, subject, now, event_ms, state, info, moves)
  return cmsgpack.pack({ 1, kind, subject, now, event_ms, state, info, moves })
end
