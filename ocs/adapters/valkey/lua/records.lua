-- The records, and the names of their places. Python reads and writes the same forms in
-- ocs/adapters/valkey/records.py and calls.py. All are little-endian; `text` is a length (H two
-- bytes, I four) and that many bytes; the first byte of what is stored is the version of its form.
--
--   definition   d version, B active, d floor, H text currency, then for each bucket:
--                H text name, B money, d from_ms, d until_ms
--   wallet       B form, d last_ms, d open sessions, H buckets; of each bucket d left, d held,
--                d credited, d debited; then the definition
--   price        B timed, H text rating group, H text rating, I text ladder (its numbers as d;
--                empty when there is none), then for each later switch: d from_ms, I text ladder,
--                H text rating
--   payers       for each payer: H text bucket, d increment (0: money), d factor
--   limits       nine d: as ChargeLimits in ocs/usecases/ports.py
--   service      B rare, H held, H taken, d elapsed, d priced, d cost, d charged, d granted,
--                H text subject, I text price;
--                of each held H text bucket, d amount, B units, and if 1 d increment, d factor;
--                of each taken H text bucket, d used, d paid; and if rare is 1
--                H switches passed, B fee due, d seg_from, B own terms, and if 1 those as seven d
--   session      B form, B text state, B kept, d deadline_ms, d hint_ms, d answer_ms, d top, d low,
--                d high, I text origin, I services; the services; the kept answers (repeats.lua)
--   origin       d opened_ms, d repeats, then what the start asked (I text request, I text
--                fingerprint), then the keys of seen requests without number, as msgpack
--   entry        B form, d at_ms, B text state, H moves, I text told; of each move H text bucket,
--                d left by, d held by, d left, d held, B placed, d floor; then a charge's frame
--   told         H text kind, d event_ms, I text address, then info
--   use          d used, d ask, d cap, d minimum, B free, H text payers, I text price,
--                H text subject: as ServiceCall in ocs/usecases/ports.py
local FORM = 2

-- Definition: seven fields, then four for each bucket. Places tells by name where a bucket stands
-- in the wallet; lists are the payers that calls have named, by their text.
local D_VERSION, D_ACTIVE, D_FLOOR, D_CURRENCY, D_PLACES, D_LISTS, D_MAIN_ONLY = 1, 2, 3, 4, 5, 6, 7
local D_BUCKETS, D_BUCKET = 8, 4

-- Wallet: four fields, then the buckets. `was` is what a bucket had before the operation.
local W_TEXT, W_DEFINITION, W_LAST_MS, W_OPEN, W_BUCKETS = 1, 2, 3, 4, 5
local B_NAME, B_MONEY, B_FROM_MS, B_UNTIL_MS, B_FLOOR, B_LEFT, B_HELD = 1, 2, 3, 4, 5, 6, 7
local B_CREDITED, B_DEBITED, B_WAS_LEFT, B_WAS_HELD, B_PLACED = 8, 9, 10, 11, 12

-- Price; later is false, or from_ms, ladder, rating of each switch that is known. What a price is
-- for, its subject, is not in it: it may be the number that is called, and prices are few.
local X_TIMED, X_GROUP, X_RATING, X_LADDER, X_LATER, X_TEXT = 1, 2, 3, 4, 5, 6
local LATER = 3

local LIMIT_VALIDITY_S, LIMIT_MAX_RING_S, LIMIT_LIFE_UNITS, LIMIT_COME_BACK_S = 1, 2, 3, 4
local LIMIT_CLOSED_KEEP_S, LIMIT_EVENT_KEEP_S, LIMIT_REFUSED_KEEP_S = 5, 6, 7
local LIMIT_MAX_SESSIONS, LIMIT_HELD_ELSEWHERE_S = 8, 9

-- Session: its places are those of its form, but for the first, which takes the answer that is to
-- be kept. Top, low and high are the window of seen numbers. The kept answers are not copied: they
-- stand in `session_text`, the record that was read, from the place that S_KEPT_AT names.
local S_NEW_ANSWER, S_STATE, S_KEPT, S_DEADLINE_MS, S_HINT_MS, S_ANSWER_MS = 1, 2, 3, 4, 5, 6
local S_TOP, S_LOW, S_HIGH, S_ORIGIN, S_KEPT_AT, S_SERVICES = 7, 8, 9, 10, 11, 12

-- Service, which is also the position that prices walk (position.lua). Held: place in the
-- wallet, amount, increment, factor. Taken from units buckets: name, used, paid.
local P_ELAPSED, P_PRICED, P_COST, P_SEG_FROM, P_TERMS, P_LADDER, P_PRICE = 1, 2, 3, 4, 5, 6, 7
local P_PASSED, P_TAKEN, P_FEE_DUE, P_CHARGED, P_GRANTED, P_HELD = 8, 9, 10, 11, 12, 13
local P_SUBJECT = 14
local HELD, TAKEN, PAYER = 4, 3, 3

-- Use, what a call says of one service; before its form what was debited for it, behind it the
-- service. Its payers are place in the wallet, increment, factor of each.
local U_AMOUNT, U_USED, U_ASK, U_CAP, U_MINIMUM, U_FREE = 1, 2, 3, 4, 5, 6
local U_PAYERS, U_PRICE, U_SUBJECT, U_SERVICE = 7, 8, 9, 10

-- The charge in progress. The store runs one function at a time, so what all its steps need stands
-- in locals of the library, set when it begins, instead of a table that is handed around.
local wallet, session, limits, event_ms, now_ms, answered, overrun_amount
local session_text
local anchor_ms -- when the call was answered, as far as this step supposes; 0 not known

local NOTHING = {} -- an empty list, which nobody may change
local definitions, prices, limit_lists, ladders = { 0 }, { 0 }, { 0 }, { 0 }

local function definition_of(text)
  local version, active, lowest, currency, at = read('<dBdHc0', text)
  local places, place, name, money, from_ms, until_ms = {}, W_BUCKETS, nil, nil, nil, nil
  local definition = { version, active, lowest, currency, places, { 0 }, {} }
  while at <= #text do
    name, money, from_ms, until_ms, at = read('<Hc0Bdd', text, at)
    local i = #definition
    definition[i + 1], definition[i + 2] = name, money
    definition[i + 3], definition[i + 4] = from_ms, until_ms
    places[name], place = place, place + 1
  end
  if places.main then definition[D_MAIN_ONLY] = { places.main, 0, 1 } end
  return remember(definitions, text, definition)
end

local function ladder_of(text)
  if text == '' then return false end
  local numbers = { read('<' .. string.rep('d', #text / 8), text) }
  numbers[#numbers] = nil -- where the text ended
  return remember(ladders, text, ladder_from(numbers))
end

local function price_of(text)
  local timed, group, rating, ladder, at = read('<BHc0Hc0Ic0', text)
  local later, from_ms, next_ladder, next_rating = {}, nil, nil, nil
  while at <= #text do
    from_ms, next_ladder, next_rating, at = read('<dIc0Hc0', text, at)
    local i = #later
    later[i + 1], later[i + 2] = from_ms, ladders[next_ladder] or ladder_of(next_ladder)
    later[i + 3] = next_rating
  end
  return remember(prices, text, { timed, group, rating, ladders[ladder]
    or ladder_of(ladder), later[1] and later or false, text })
end

-- Those of the payers that the wallet has.
local function payers_of(definition, text)
  local payers, at, name, increment, factor = {}, 1, nil, nil, nil
  while at <= #text do
    name, increment, factor, at = read('<Hc0dd', text, at)
    local i, place = #payers, definition[D_PLACES][name]
    if place then payers[i + 1], payers[i + 2], payers[i + 3] = place, increment, factor end
  end
  return remember(definition[D_LISTS], text, payers)
end

local function limits_of(text)
  return remember(limit_lists, text, { read('<ddddddddd', text) })
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

local function read_wallet(bytes)
  local _, last_ms, open, n, at = read('<BddH', bytes)
  local text = sub(bytes, at + 32 * n)
  local definition = definitions[text] or definition_of(text)
  local holder, d = { text, definition, last_ms, open, false }, D_BUCKETS
  for i = W_BUCKETS, W_BUCKETS + n - 1 do
    local left, held, credited, debited, lowest = 0, 0, 0, 0, 0
    left, held, credited, debited, at = read('<dddd', bytes, at)
    if definition[d] == 'main' then lowest = definition[D_FLOOR] end
    holder[i] = { definition[d], definition[d + 1], definition[d + 2], definition[d + 3], lowest,
      left, held, credited, debited, left, held, false }
    d = d + D_BUCKET
  end
  return holder
end

local function wallet_bytes(holder)
  local bytes =
    pack('<BddH', FORM, holder[W_LAST_MS], holder[W_OPEN], #holder - W_BUCKETS + 1)
  for i = W_BUCKETS, #holder do
    local b = holder[i]
    local left, held, credited, debited = b[B_LEFT], b[B_HELD], b[B_CREDITED], b[B_DEBITED]
    if credited > MAX_AMOUNT or debited > MAX_AMOUNT or left < -MAX_AMOUNT
      or held > MAX_AMOUNT then
      error('AMOUNT_OVERFLOW')
    end
    bytes = bytes .. pack('<dddd', left, held, credited, debited)
  end
  return bytes .. holder[W_TEXT]
end

local function new_service(price, subject)
  return { 0, 0, 0, 0, false, price[X_LADDER], price, 0, NOTHING, 0, 0, 0, NOTHING, subject }
end

local function read_held(bytes, at, n)
  local held, places = NOTHING, wallet[W_DEFINITION][D_PLACES]
  for i = 1, n * HELD, HELD do
    local increment, factor = 0, 1
    local name, amount, units, after = read('<Hc0dB', bytes, at)
    if units == 1 then increment, factor, after = read('<dd', bytes, after) end
    if i == 1 then
      held = { places[name], amount, increment, factor }
    else
      held[i], held[i + 1], held[i + 2], held[i + 3] = places[name], amount, increment, factor
    end
    at = after
  end
  return held, at
end

local function read_taken(bytes, at, n)
  local taken = NOTHING
  for i = 1, n * TAKEN, TAKEN do
    local name, used, paid, after = read('<Hc0dd', bytes, at)
    if i == 1 then
      taken = { name, used, paid }
    else
      taken[i], taken[i + 1], taken[i + 2] = name, used, paid
    end
    at = after
  end
  return taken, at
end

-- What few services have: switches passed, a fee without use, segments.
local function read_rare(svc, bytes, at)
  local own
  svc[P_PASSED], svc[P_FEE_DUE], svc[P_SEG_FROM], own, at = read('<HBdB', bytes, at)
  if svc[P_PASSED] > 0 then svc[P_LADDER] = svc[P_PRICE][X_LATER][svc[P_PASSED] * LATER - 1] end
  if own == 1 then
    svc[P_TERMS] = { read('<ddddddd', bytes, at) }
    at = at + 56
  end
  return at
end

local function rare_bytes(svc)
  local terms = svc[P_TERMS]
  local bytes =
    pack('<HBdB', svc[P_PASSED], svc[P_FEE_DUE], svc[P_SEG_FROM], terms and 1 or 0)
  if terms then bytes = bytes .. pack('<ddddddd', unpack(terms, 1, 7)) end
  return bytes
end

local function read_service(bytes, at)
  local rare, n, m, elapsed, priced, cost_so_far, charged, granted, subject, text, after =
    read('<BHHdddddHc0Ic0', bytes, at)
  local price, held, taken = prices[text] or price_of(text), NOTHING, NOTHING
  at = after
  if n > 0 then held, at = read_held(bytes, at, n) end
  if m > 0 then taken, at = read_taken(bytes, at, m) end
  local svc = { elapsed, priced, cost_so_far, 0, false, price[X_LADDER], price, 0, taken, 0,
    charged, granted, held, subject }
  if rare == 1 then at = read_rare(svc, bytes, at) end
  return svc, at
end

local function service_bytes(svc)
  local price, subject, rare, last = svc[P_PRICE][X_TEXT], svc[P_SUBJECT], 0, ''
  local held, taken = svc[P_HELD], svc[P_TAKEN]
  for i = 1, #held, HELD do
    local name, units = wallet[held[i]][B_NAME], held[i + 2] > 0 and 1 or 0
    local one = pack('<Hc0dB', #name, name, held[i + 1], units)
    if units == 1 then one = one .. pack('<dd', held[i + 2], held[i + 3]) end
    last = i == 1 and one or last .. one
  end
  for i = 1, #taken, TAKEN do
    last = last .. pack('<Hc0dd', #taken[i], taken[i], taken[i + 1], taken[i + 2])
  end
  if svc[P_PASSED] > 0 or svc[P_FEE_DUE] > 0 or svc[P_SEG_FROM] > 0 or svc[P_TERMS] then
    rare, last = 1, last .. rare_bytes(svc)
  end
  return pack('<BHHdddddHc0I', rare, #held / HELD, #taken / TAKEN, svc[P_ELAPSED], svc[P_PRICED],
    svc[P_COST], svc[P_CHARGED], svc[P_GRANTED], #subject, subject, #price) .. price .. last
end

local function new_session()
  session_text = ''
  return { '', 'none', 0, 0, 0, 0, -1, 0, 0, '', 1 }
end

-- Reads a session of `wallet`.
local function read_session(bytes)
  -- The last two values, how many services and where they begin, give place to what they tell of.
  local found = { read('<BBc0BddddddIc0I', bytes) }
  local n, at = found[S_KEPT_AT], found[S_SERVICES]
  found[S_SERVICES] = nil
  for s = S_SERVICES, S_SERVICES + n - 1 do found[s], at = read_service(bytes, at) end
  found[S_NEW_ANSWER], found[S_KEPT_AT], session_text = '', at, bytes
  return found
end

local function session_bytes(s)
  local state, origin, services = s[S_STATE], s[S_ORIGIN], ''
  for i = S_SERVICES, #s do
    local one = service_bytes(s[i])
    services = i == S_SERVICES and one or services .. one
  end
  return pack('<BBc0BddddddI', FORM, #state, state, s[S_KEPT], s[S_DEADLINE_MS],
    s[S_HINT_MS], s[S_ANSWER_MS], s[S_TOP], s[S_LOW], s[S_HIGH], #origin) .. origin
    .. pack('<I', #s - S_SERVICES + 1) .. services
    .. sub(session_text, s[S_KEPT_AT]) .. s[S_NEW_ANSWER]
end

-- Money that nobody holds, and money that is held, over the buckets valid now.
local function balance_of(holder, now)
  local free, held = 0, 0
  for i = W_BUCKETS, #holder do
    local b = holder[i]
    if b[B_MONEY] == 1 and valid_at(b, now) then
      free = free + b[B_LEFT] - b[B_HELD]
      held = held + b[B_HELD]
    end
  end
  return free, held
end

-- One entry of the journal: what was told by Python, and what an operation changed. The floor of a
-- bucket is there when the operation placed a hold on it.
local function entry_bytes(told, now, state, holder)
  local moves, n = '', 0
  for i = W_BUCKETS, #holder do
    local b = holder[i]
    local name, left, held, placed = b[B_NAME], b[B_LEFT], b[B_HELD], b[B_PLACED] and 1 or 0
    local left_by, held_by = left - b[B_WAS_LEFT], held - b[B_WAS_HELD]
    if left_by ~= 0 or held_by ~= 0 or placed == 1 then
      n = n + 1
      local move = pack('<Hc0ddddBd', #name, name, left_by, held_by, left, held, placed, b[B_FLOOR])
      moves = n == 1 and move or moves .. move
    end
  end
  return pack('<BdBc0HI', FORM, now, #state, state, n, #told) .. told .. moves
end
