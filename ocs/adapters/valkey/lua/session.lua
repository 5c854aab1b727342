-- A session and its services: read from their record, and written to it (records.lua has the forms).
--
-- A service has one of four shapes. What nearly all have, money of one bucket held, or units of one,
-- is read by one call of `struct` and written by one; the shape `any` has room for the rest.
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
    svc[P_TERMS] = { read('<dddddddddd', bytes, at) }
    at = at + 80
  end
  return at
end

local function is_rare(svc)
  -- Own terms come with a segment that begins behind unit 0 only.
  return svc[P_SEG_FROM] > 0 or svc[P_PASSED] > 0 or svc[P_FEE_DUE] > 0
end

local function rare_bytes(svc)
  local terms = svc[P_TERMS]
  local bytes =
    pack('<HBdB', svc[P_PASSED], svc[P_FEE_DUE], svc[P_SEG_FROM], terms and 1 or 0)
  if terms then bytes = bytes .. pack('<dddddddddd', unpack(terms, 1, 10)) end
  return bytes
end

-- What the fixed shapes have no room for.
local function read_any(svc, bytes, at)
  local rare, n, m
  rare, n, m, at = read('<BHH', bytes, at)
  svc[P_HELD], at = read_held(bytes, at, n)
  svc[P_TAKEN], at = read_taken(bytes, at, m)
  if rare == 1 then return read_rare(svc, bytes, at) end
  return at
end

local function any_bytes(svc)
  local held, taken, bytes = svc[P_HELD], svc[P_TAKEN], ''
  for i = 1, #held, HELD do
    local name, units = wallet[held[i]][B_NAME], held[i + 2] > 0 and 1 or 0
    bytes = bytes .. pack('<Hc0dB', #name, name, held[i + 1], units)
    if units == 1 then bytes = bytes .. pack('<dd', held[i + 2], held[i + 3]) end
  end
  for i = 1, #taken, TAKEN do
    bytes = bytes .. pack('<Hc0dd', #taken[i], taken[i], taken[i + 1], taken[i + 2])
  end
  local rare = is_rare(svc)
  if rare then bytes = bytes .. rare_bytes(svc) end
  return pack('<BHH', rare and 1 or 0, #held / HELD, #taken / TAKEN) .. bytes
end

local function read_service(bytes, at, shape)
  local elapsed, priced, whole, charged, granted, subject, name, text
  local amount, increment, factor, used, paid = 0, 0, 1, 0, 0
  if shape == SHAPE_MONEY then
    elapsed, priced, whole, charged, granted, subject, name, amount, text, at =
      read('<dddddHc0Hc0dIc0', bytes, at)
  elseif shape == SHAPE_UNITS then
    elapsed, priced, whole, charged, granted, subject, name, amount, increment, factor, used, paid,
      text, at = read('<dddddHc0Hc0dddddIc0', bytes, at)
  else
    elapsed, priced, whole, charged, granted, subject, text, at =
      read('<dddddHc0Ic0', bytes, at)
  end
  local price, held, taken = prices[text] or price_of(text), NOTHING, NOTHING
  if amount > 0 then held = { wallet[W_DEFINITION][D_PLACES][name], amount, increment, factor } end
  if paid ~= 0 then taken = { name, used, paid } end
  local svc = { elapsed, priced, whole, 0, false, price[X_LADDER], price, 0, taken, 0, charged,
    granted, held, subject }
  if shape == SHAPE_ANY then at = read_any(svc, bytes, at) end
  return svc, at
end

local function shape_of(svc, held, taken)
  if held[HELD + 1] or taken[TAKEN + 1] or is_rare(svc) then return SHAPE_ANY end
  if not taken[1] then
    if not held[1] then return SHAPE_BARE end
    if held[3] == 0 then return SHAPE_MONEY end
  elseif held[1] and wallet[held[1]][B_NAME] ~= taken[1] then
    return SHAPE_ANY
  end
  return SHAPE_UNITS
end

-- A service in three pieces, to be joined with what stands around them.
local function service_bytes(svc)
  local elapsed, priced, whole, charged, granted, subject, price = svc[P_ELAPSED], svc[P_PRICED],
    svc[P_COST], svc[P_CHARGED], svc[P_GRANTED], svc[P_SUBJECT], svc[P_PRICE][X_TEXT]
  local held, taken = svc[P_HELD], svc[P_TAKEN]
  local shape = shape_of(svc, held, taken)
  if shape == SHAPE_MONEY then
    local name = wallet[held[1]][B_NAME]
    return pack('<BdddddHc0Hc0dI', SHAPE_MONEY, elapsed, priced, whole, charged, granted, #subject,
      subject, #name, name, held[2], #price), price, ''
  elseif shape == SHAPE_UNITS then
    local name = taken[1] or wallet[held[1]][B_NAME]
    return pack('<BdddddHc0Hc0dddddI', SHAPE_UNITS, elapsed, priced, whole, charged, granted,
      #subject, subject, #name, name, held[2] or 0, held[3] or 0, held[4] or 0, taken[2] or 0,
      taken[3] or 0, #price), price, ''
  end
  return pack('<BdddddHc0I', shape, elapsed, priced, whole, charged, granted, #subject, subject,
    #price), price, shape == SHAPE_ANY and any_bytes(svc) or ''
end

local function new_session()
  state, origin, hint_ms, known_answer_ms, top, low, high = 'none', '', 0, 0, -1, 0, 0
  session_text, kept_at, kept_count = '', 1, 0
  keep_first(services, 0)
end

-- Reads a session of `wallet`, all but its deadline.
local function read_session(bytes)
  local n, shape, at
  n, kept_count, hint_ms, known_answer_ms, top, low, high, state, origin, shape, at =
    read('<HBdddddBc0Ic0B', bytes, 10)
  session_text = bytes
  if services[n + 1] then keep_first(services, n) end
  for s = 1, n do
    if s > 1 then shape, at = read('<B', bytes, at) end
    services[s], at = read_service(bytes, at, shape)
  end
  if n == 0 then at = at - 1 end -- what was read as a shape is the first of the kept answers
  kept_at = at
end

-- The deadline of the session that was read; 0 when it is new.
local function old_deadline_ms()
  return session_text == '' and 0 or (read('<d', session_text, 2))
end

-- The last three are an answer that is to be kept (repeats.lua); they may be empty.
local function session_bytes(deadline_ms, answer_head, id, frame)
  local n, first, price, last, more = #services, '', '', '', ''
  if n > 0 then first, price, last = service_bytes(services[1]) end
  for s = 2, n do
    local one, its_price, its_last = service_bytes(services[s])
    more = more .. one .. its_price .. its_last
  end
  return pack('<BdHBdddddBc0I', FORM, deadline_ms, n, kept_count, hint_ms, known_answer_ms, top, low,
    high, #state, state, #origin) .. origin .. first .. price .. last .. more
    .. sub(session_text, kept_at) .. answer_head .. id .. frame
end
