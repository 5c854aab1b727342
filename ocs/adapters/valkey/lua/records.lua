-- The records, and the names of their places. Python reads and writes the same forms in
-- ocs/adapters/valkey/records.py and calls.py. All are little-endian; `text` is a length (H two
-- bytes, I four) and that many bytes; the first byte of what is stored is the version of its form.
--
--   definition   d version, B active + 2 * who settles, d floor, H text currency, then for each
--                bucket: H text name, B money, d from_ms, d until_ms
--   wallet       B form, d last_ms, d open sessions, H buckets; of each bucket d left, d held,
--                d credited, d debited; then the definition
--   price        B timed, H text rating group, H text rating, I text ladder (its numbers, as a
--                msgpack array; empty when there is none), then for each later switch: d from_ms,
--                I text ladder, H text rating
--   payers       a msgpack array, of each payer bucket, increment (0: money), factor
--   limits       ten d: as ChargeLimits in ocs/usecases/ports.py
--   service      B shape, d elapsed, d priced, d cost, d charged, d granted, H text subject, what
--                its shape says, I text price
--                1 bare   2 money: one bucket of it is held: H text bucket, d amount
--                3 units: some were taken from one bucket, or are held of it: H text bucket,
--                d amount, d increment, d factor, d used, d paid   4 any: more than that, and behind
--                the price B rare, H held, H taken; of each held H text bucket, d amount, B units,
--                and if 1 d increment, d factor; of each taken H text bucket, d used, d paid (below
--                zero, and both the same: what a money bucket paid); and if rare is 1 H switches
--                passed, B fee due, d seg_from, B own terms, and if 1 those as ten d
--   session      B form, d deadline_ms, H services, B kept, d hint_ms, d answer_ms, d top, d low,
--                d high, B text state, I text origin; the services; the kept answers (repeats.lua)
--   origin       d opened_ms, d repeats, then what the start asked (I text request, I text
--                fingerprint), then a msgpack array, if there is anything in it: the time until
--                which it is to be remembered at the least, where that is not told by its end; the
--                keys of seen requests without number
--   entry        B form, B text state, I told, H moves; of each move H text bucket, d left by,
--                d held by, d left, d held, B placed, d floor; then told, as long as its length
--                says, and a charge's frame. When it was written, its id says
--   known CDR    c8 mark of the chunk that had it first, c1 fate, d amount (debit.lua)
--   told         H text kind, d event_ms, I text address, then info
--   use          d used, d ask, d cap, d minimum, B flags, H text payers, I text price,
--                H text subject; where the flags are 8 or more also d before_units, I text before,
--                H text before_subject, I text coming (prices, empty where there is none): as
--                ServiceCall in ocs/usecases/ports.py. Flags: free + 2 * reporting + 8 if more
local FORM = 3

-- Definition: ten fields, then four for each bucket. Places tells by name where a bucket stands
-- in the wallet; lists are the payers that calls have named, by their text; limited: a bucket of
-- money is not always valid. The wallet is what read_wallet fills, call after call: tables that
-- live on cost half as much as new ones, and what a definition says of buckets is in it already.
local D_VERSION, D_ACTIVE, D_FLOOR, D_CURRENCY, D_PLACES, D_LISTS, D_MAIN_ONLY = 1, 2, 3, 4, 5, 6, 7
local D_LIMITED, D_WALLET, D_SETTLER = 8, 9, 10
local D_BUCKETS, D_BUCKET = 11, 4
local BY_EVENTS, BY_CDRS, BY_NOBODY = 0, 1, 2

-- Wallet: four fields, then the buckets. `was` is what a bucket had before the operation.
local W_TEXT, W_DEFINITION, W_LAST_MS, W_OPEN, W_BUCKETS = 1, 2, 3, 4, 5
local B_NAME, B_MONEY, B_FROM_MS, B_UNTIL_MS, B_FLOOR, B_LEFT, B_HELD = 1, 2, 3, 4, 5, 6, 7
local B_CREDITED, B_DEBITED, B_WAS_LEFT, B_WAS_HELD, B_PLACED = 8, 9, 10, 11, 12

-- Price; later is false, or from_ms, ladder, rating of each switch that is known. It falls if one
-- of its ladders has volume pricing. Ok is how the frame of an OK ends as long as the first ladder
-- is in force. What a price is for, its subject, is not in it: it may be the number that is called,
-- and prices are few.
local X_TIMED, X_GROUP, X_RATING, X_LADDER, X_LATER, X_TEXT, X_FALLS, X_OK = 1, 2, 3, 4, 5, 6, 7, 8
local LATER = 3

local LIMIT_VALIDITY_S, LIMIT_MAX_RING_S, LIMIT_LIFE_UNITS, LIMIT_COME_BACK_S = 1, 2, 3, 4
local LIMIT_CLOSED_KEEP_S, LIMIT_EVENT_KEEP_S, LIMIT_REFUSED_KEEP_S = 5, 6, 7
local LIMIT_MAX_SESSIONS, LIMIT_HELD_ELSEWHERE_S, LIMIT_LEAD_S = 8, 9, 10

-- Service, which is also the position that prices walk (position.lua). Held: place in the
-- wallet, amount, increment, factor. Taken from units buckets: name, used, paid; and where the cost
-- may fall or use go back, what money buckets paid, as less than nothing, who paid last at the end.
local P_ELAPSED, P_PRICED, P_COST, P_SEG_FROM, P_TERMS, P_LADDER, P_PRICE = 1, 2, 3, 4, 5, 6, 7
local P_PASSED, P_TAKEN, P_FEE_DUE, P_CHARGED, P_GRANTED, P_HELD = 8, 9, 10, 11, 12, 13
local P_SUBJECT = 14
local HELD, TAKEN, PAYER = 4, 3, 3
local SHAPE_BARE, SHAPE_MONEY, SHAPE_UNITS, SHAPE_ANY = 1, 2, 3, 4

-- Use, what a call says of one service; before its form what was debited for it, behind it the
-- service. Its payers are place in the wallet, increment, factor of each. What stands behind the
-- service only a special use has: waits is whether it settles nothing before its release.
local U_AMOUNT, U_USED, U_ASK, U_CAP, U_MINIMUM, U_FREE = 1, 2, 3, 4, 5, 6
local U_PAYERS, U_PRICE, U_SUBJECT, U_SERVICE = 7, 8, 9, 10
local U_REPORTING, U_WAITS, U_BEFORE_UNITS, U_BEFORE, U_BEFORE_SUBJECT = 11, 12, 13, 14, 15
local U_COMING, U_ELAPSED, U_EARLIER = 16, 17, 18
local FLAG_MORE = 8
local REPORTS_DELTA, REPORTS_TOTAL, REPORTS_AT_RELEASE = 0, 1, 2

-- The charge in progress. The store runs one function at a time, so what all its steps need stands
-- in locals of the library, set when it begins, instead of a table that is handed around; and a
-- local of the file costs a tenth of a table's field.
local wallet, limits, event_ms, answered, overrun_amount
local services, uses = {}, {} -- of the session, and what the call says of them
local one_shot -- whether it is a one-shot event
local special -- whether any of the uses is: what is plain asks no more than that
local noting -- whether who pays is to be remembered, for use of this service may go back
local anchor_ms -- when the call was answered, as far as this step supposes; 0 not known

-- Its session. Top, low and high are the window of seen numbers. The kept answers are not copied:
-- they stand in the record that was read, from `kept_at` on.
local state, origin, hint_ms, known_answer_ms, top, low, high
local session_text, kept_at, kept_count

local NOTHING = {} -- an empty list, which nobody may change
local definitions, prices = { [0] = 0 }, { [0] = 0 }
local limit_lists, ladders = { [0] = 0 }, { [0] = 0 }

local function definition_of(text)
  local version, active, lowest, currency, at = read('<dBdHc0', text)
  local places, place, name, money, from_ms, until_ms = {}, W_BUCKETS, nil, nil, nil, nil
  local definition = { version, active % 2, lowest, currency, places, { [0] = 0 }, {}, false, false,
    floor(active / 2) }
  local holder = { text, definition, 0, 0 }
  while at <= #text do
    name, money, from_ms, until_ms, at = read('<Hc0Bdd', text, at)
    local i = #definition
    definition[i + 1], definition[i + 2] = name, money
    definition[i + 3], definition[i + 4] = from_ms, until_ms
    holder[place] = { name, money, from_ms, until_ms, name == 'main' and lowest or 0,
      0, 0, 0, 0, 0, 0, false }
    places[name], place = place, place + 1
    if money == 1 and (from_ms > 0 or until_ms < FOREVER_MS) then
      definition[D_LIMITED] = true
    end
  end
  definition[D_WALLET] = holder
  if places.main then definition[D_MAIN_ONLY] = { places.main, 0, 1 } end
  return remember(definitions, text, definition, PARSED_KEPT)
end

local function ladder_of(text)
  if text == '' then return false end
  return remember(ladders, text, ladder_from(cmsgpack.unpack(text)), PARSED_KEPT)
end

local function price_of(text)
  local timed, group, rating, ladder, at = read('<BHc0Hc0Ic0', text)
  local later, from_ms, next_ladder, next_rating = {}, nil, nil, nil
  ladder = ladders[ladder] or ladder_of(ladder)
  local falls = ladder and ladder[L_BY_TOTAL] == 1
  while at <= #text do
    from_ms, next_ladder, next_rating, at = read('<dIc0Hc0', text, at)
    next_ladder = ladders[next_ladder] or ladder_of(next_ladder)
    local i = #later
    later[i + 1], later[i + 2], later[i + 3] = from_ms, next_ladder, next_rating
    falls = falls or next_ladder[L_BY_TOTAL] == 1
  end
  local ok = pack('<BHH', 2, #group, #rating) .. 'OK' .. group .. rating
  return remember(prices, text, { timed, group, rating, ladder, later[1] and later or false, text,
    falls, ok }, PARSED_KEPT)
end

-- Those of the payers that the wallet has.
local function payers_of(definition, text)
  local payers, named = {}, cmsgpack.unpack(text)
  for n = 1, #named, PAYER do
    local i, place = #payers, definition[D_PLACES][named[n]]
    if place then
      payers[i + 1], payers[i + 2], payers[i + 3] = place, named[n + 1], named[n + 2]
    end
  end
  return remember(definition[D_LISTS], text, payers, PARSED_KEPT)
end

local function limits_of(text)
  return remember(limit_lists, text, { read('<dddddddddd', text) }, PARSED_KEPT)
end

-- The bucket of that name; nil when the wallet has none.
local function bucket_of(holder, name)
  return holder[holder[W_DEFINITION][D_PLACES][name] or 0]
end

-- What nobody holds of a bucket, down to its floor.
local function available(b)
  local free = b[B_LEFT] - b[B_HELD] - b[B_FLOOR]
  if free < 0 then return 0 end
  return free
end

local function valid_at(b, ms)
  return b[B_FROM_MS] <= ms and ms < b[B_UNTIL_MS]
end

local function debit(b, amount)
  b[B_LEFT], b[B_DEBITED] = b[B_LEFT] - amount, b[B_DEBITED] + amount
end

-- There is always a bucket, for there is `main`: the first is read with what stands before it.
local function read_wallet(bytes)
  local last_ms, open, n, left, held, credited, debited, at = read('<ddHdddd', bytes, 2)
  local text = sub(bytes, at + 32 * (n - 1))
  local definition = definitions[text] or definition_of(text)
  local holder = definition[D_WALLET]
  holder[W_LAST_MS], holder[W_OPEN] = last_ms, open
  for i = W_BUCKETS, W_BUCKETS + n - 1 do
    if i > W_BUCKETS then left, held, credited, debited, at = read('<dddd', bytes, at) end
    local b = holder[i]
    b[B_LEFT] = left
    b[B_HELD] = held
    b[B_CREDITED] = credited
    b[B_DEBITED] = debited
    b[B_WAS_LEFT] = left
    b[B_WAS_HELD] = held
    b[B_PLACED] = false
  end
  return holder
end

local function wallet_bytes(holder)
  local b = holder[W_BUCKETS]
  local bytes = pack('<BddHdddd', FORM, holder[W_LAST_MS], holder[W_OPEN], #holder - W_BUCKETS + 1,
    b[B_LEFT], b[B_HELD], b[B_CREDITED], b[B_DEBITED])
  for i = W_BUCKETS + 1, #holder do
    b = holder[i]
    bytes = bytes .. pack('<dddd', b[B_LEFT], b[B_HELD], b[B_CREDITED], b[B_DEBITED])
  end
  return bytes .. holder[W_TEXT]
end

-- The same from the record before, when no bucket changed but the one at `place` (nil: none).
local function changed_wallet_bytes(holder, before, place)
  local last_ms, open, n = holder[W_LAST_MS], holder[W_OPEN], #holder - W_BUCKETS + 1
  if not place then return pack('<BddH', FORM, last_ms, open, n) .. sub(before, 20) end
  local b = holder[place]
  local left, held, credited, debited = b[B_LEFT], b[B_HELD], b[B_CREDITED], b[B_DEBITED]
  if place == W_BUCKETS then
    local head = pack('<BddHdddd', FORM, last_ms, open, n, left, held, credited, debited)
    if n == 1 then return head .. holder[W_TEXT] end
    return head .. sub(before, 52)
  end
  local at = 20 + 32 * (place - W_BUCKETS)
  return pack('<BddH', FORM, last_ms, open, n) .. sub(before, 20, at - 1)
    .. pack('<dddd', left, held, credited, debited) .. sub(before, at + 32)
end

-- How long a session that is over is remembered. Where CDRs settle, as long as they may come: what
-- was settled online is told by it.
local function kept_s(holder, keep_s)
  if holder[W_DEFINITION][D_SETTLER] == BY_CDRS then return most(keep_s, CDR_KEPT_S) end
  return keep_s
end

-- Looks through the buckets once, when all is decided. Returns money that nobody holds and money
-- that is held, over the buckets that are valid; how many buckets changed, and where the last of
-- them stands.
local function survey(holder)
  local free, held, changed, last, now_ms = 0, 0, 0, nil, 0
  local limited = holder[W_DEFINITION][D_LIMITED]
  if limited then now_ms = most(store_ms(), holder[W_LAST_MS]) end
  for i = W_BUCKETS, #holder do
    local b = holder[i]
    local its_left, its_held = b[B_LEFT], b[B_HELD]
    if b[B_MONEY] == 1 and (not limited or valid_at(b, now_ms)) then
      free, held = free + its_left - its_held, held + its_held
    end
    if its_left ~= b[B_WAS_LEFT] or its_held ~= b[B_WAS_HELD] then
      if b[B_CREDITED] > MAX_AMOUNT or b[B_DEBITED] > MAX_AMOUNT or its_left < -MAX_AMOUNT
        or its_held > MAX_AMOUNT then
        error('AMOUNT_OVERFLOW')
      end
      changed, last = changed + 1, i
    end
  end
  return free, held, changed, last
end

-- How an entry of the journal begins: the state, and what an operation changed, as `survey` found.
-- The floor of a bucket is there when a hold was placed on it.
local function moves_bytes(holder, turned, told, changed, last)
  if changed == 1 then
    local b = holder[last]
    local name, left, held = b[B_NAME], b[B_LEFT], b[B_HELD]
    return pack('<BBc0IHHc0ddddBd', FORM, #turned, turned, #told, 1, #name, name,
      left - b[B_WAS_LEFT], held - b[B_WAS_HELD], left, held, b[B_PLACED] and 1 or 0, b[B_FLOOR])
  end
  local bytes = pack('<BBc0IH', FORM, #turned, turned, #told, changed)
  for i = W_BUCKETS, last or 0 do
    local b = holder[i]
    local name, left, held = b[B_NAME], b[B_LEFT], b[B_HELD]
    local left_by, held_by = left - b[B_WAS_LEFT], held - b[B_WAS_HELD]
    if left_by ~= 0 or held_by ~= 0 then
      bytes = bytes .. pack('<Hc0ddddBd', #name, name, left_by, held_by, left, held,
        b[B_PLACED] and 1 or 0, b[B_FLOOR])
    end
  end
  return bytes
end

-- An entry of the journal that is no charge's.
local function entry_bytes(told, holder, turned)
  local _, _, changed, last = survey(holder)
  return moves_bytes(holder, turned, told, changed, last) .. told
end
