-- charge: settle what was used, then hold for what is asked. Every charging verb is this one step.
--
-- KEYS  1 wallet   2 session   3 deadlines   4 journal          (all of one partition)
-- ARGV  1 the call: B text kind, d number (-1: known by its request), d version, d event_ms,
--         d answer_ms, B answered, B dry run, B can open, limits, I text asked (the request,
--         I text, and its fingerprint, I text), I text told, H uses; then the uses (records.lua)
-- Returns a status; or a status, the id in the journal and the frame (repeats.lua), blanks between:
--         OK | HIT | CONFLICT   id, empty in a dry run   frame
--         STALE | REPEAT_EXPIRED | UNKNOWN_SESSION | NO_WALLET
-- Keeps true
--         credited = left + debited for each bucket; held = what open sessions hold of it;
--         no hold is placed that leaves a bucket below its floor;
--         one journal entry for each result, written with it; one result for each request.
local COUNTED = { open = true, idle = true }

-- A caller that knows only of `main` may charge a wallet that has only `main`, whatever its
-- version; payers that such a wallet does not have are passed over.
local function is_stale(version)
  return version ~= wallet[W_DEFINITION][D_VERSION] and wallet[W_BUCKETS + 1] ~= nil
end

local function read_uses(bytes, at, n)
  local uses, definition = n > 0 and { false } or {}, wallet[W_DEFINITION]
  for i = 1, n do
    local use = { 0, read('<ddddBHc0Ic0Hc0', bytes, at) }
    at = use[U_SERVICE] -- the last value is where the next one begins
    if use[U_FREE] == 1 then
      use[U_PAYERS] = definition[D_MAIN_ONLY] -- no units bucket for what is free
    else
      use[U_PAYERS] = definition[D_LISTS][use[U_PAYERS]] or payers_of(definition, use[U_PAYERS])
    end
    use[U_PRICE] = prices[use[U_PRICE]] or price_of(use[U_PRICE])
    uses[i] = use
  end
  return uses
end

local function switch_subject(svc, price, subject)
  local ladder, old = price[X_LADDER], svc[P_LADDER]
  if not ladder or (old and svc[P_SUBJECT] == subject) then return end
  if old then
    open_segment(svc, ladder)
  else
    svc[P_LADDER] = ladder
  end
  -- A fee without use was settled when it fell due, by the price of that time.
  svc[P_PRICE], svc[P_SUBJECT], svc[P_PASSED], svc[P_FEE_DUE] = price, subject, 0, 0
end

-- The service that an event names: the session's, or a new one. A one-shot event's is never kept.
local function service_for(kind, price, subject)
  if kind ~= 'event' then
    for s = S_SERVICES, #session do
      if session[s][P_PRICE][X_GROUP] == price[X_GROUP] then return session[s] end
    end
  end
  local svc = new_service(price, subject)
  if kind ~= 'event' then session[#session + 1] = svc end
  return svc
end

-- The answer is known from the event, or from the first use that is reported.
local function find_answer(kind, answer_ms, uses)
  local known_ms = session[S_ANSWER_MS]
  if known_ms == 0 and kind ~= 'event' then
    known_ms = answer_ms
    for _, use in ipairs(uses) do
      if known_ms == 0 and use[U_PRICE][X_TIMED] == 1 and use[U_USED] > 0 then
        known_ms = most(1, event_ms - use[U_USED] * 1000)
      end
    end
    session[S_ANSWER_MS] = known_ms
  end
  anchor_ms = known_ms
end

-- Settles every service that the event names.
local function settle_all(kind, uses)
  for i = 1, #uses do
    local use = uses[i]
    local price, subject = use[U_PRICE], use[U_SUBJECT]
    local svc = service_for(kind, price, subject)
    use[U_SERVICE] = svc
    -- A timed service settles by its old price first, if it has one.
    local later = svc[P_LADDER] and svc[P_PRICE][X_TIMED] == 1
    if not later then switch_subject(svc, price, subject) end
    if svc[P_LADDER] then use[U_AMOUNT] = settle(svc, use[U_USED], use[U_PAYERS]) end
    if later then switch_subject(svc, price, subject) end
  end
  if kind == 'release' then
    for s = S_SERVICES, #session do give_back(session[s]) end
  end
end

-- Why nothing can be granted, whatever the balance is.
local function refusal_of(kind)
  if wallet[W_DEFINITION][D_ACTIVE] == 0 then return 'SUBSCRIBER_BLOCKED' end
  local opens = kind ~= 'event' and not COUNTED[session[S_STATE]]
  if opens and wallet[W_OPEN] >= limits[LIMIT_MAX_SESSIONS] then return 'LIMIT_REACHED' end
end

-- A one-shot event is debited whole or not at all. Returns code, units and money.
local function debit_event(svc, use)
  local ask = use[U_ASK]
  if ask <= 0 then return 'OK', 0, 0 end
  local units, entries = try_hold(svc, ask, use[U_PAYERS])
  if units < ask then return 'NO_CREDIT', 0, 0 end
  place(svc, units, entries)
  local amount = settle(svc, ask, use[U_PAYERS])
  if use[U_FREE] == 1 then return 'NOT_CHARGED', ask, amount end
  return 'OK', ask, amount
end

-- A release of a session that was never there, and that used nothing.
local function is_unknown(kind, uses)
  if session[S_STATE] ~= 'none' or kind ~= 'release' then return false end
  for _, use in ipairs(uses) do
    if use[U_AMOUNT] > 0 or use[U_USED] > 0 then return false end
  end
  return true
end

-- The result of one service, as a frame has it, and its code.
local function answer_service(kind, row, use, refusal)
  local svc, used, amount = use[U_SERVICE], use[U_USED], use[U_AMOUNT]
  local code, granted, validity, final = row.code or 'OK', 0, 0, false
  if not svc[P_LADDER] then
    code, used = 'NO_RATE', 0
  elseif row.holds and not row.code then
    if refusal and (kind == 'start' or use[U_ASK] > 0) then
      code = refusal
    elseif kind == 'event' then
      local more
      code, granted, more = debit_event(svc, use)
      used, amount = used + granted, amount + more
    else
      code, granted, validity, final = hold(svc, use)
    end
  end
  if refusal == 'UNKNOWN_SESSION' then code = refusal end
  local group, rating = use[U_PRICE][X_GROUP], rating_of(svc)
  return pack('<i8i8Bi8i8i8BHH', granted, validity, final and 1 or 0, used, amount,
    svc[P_CHARGED], #code, #group, #rating) .. code .. group .. rating, code
end

-- The state behind the event: granted when any service is, or when nothing was refused.
local function next_state(row, granted, refused)
  if granted or not refused then return row.granted end
  for s = S_SERVICES, #session do
    if session[s][P_GRANTED] > 0 then return row.granted end
  end
  return row.refused
end

-- The results of all services, as a frame has them; turns the session.
local function answer_all(kind, row, uses, asked)
  local refusal, bytes, granted, refused = refusal_of(kind), '', false, false
  if is_unknown(kind, uses) then refusal = 'UNKNOWN_SESSION' end
  for i = 1, #uses do
    local answer, code = answer_service(kind, row, uses[i], refusal)
    bytes = i == 1 and answer or bytes .. answer
    if code == 'OK' or code == 'NOT_CHARGED' then granted = true else refused = true end
  end
  local was, state = COUNTED[session[S_STATE]], next_state(row, granted, refused)
  local is = COUNTED[state]
  session[S_STATE] = state
  if is and not was then wallet[W_OPEN] = wallet[W_OPEN] + 1 end
  if was and not is then wallet[W_OPEN] = wallet[W_OPEN] - 1 end
  wallet[W_LAST_MS] = now_ms
  if kind == 'start' or session[S_ORIGIN] == '' then mark_origin(session, kind, asked, now_ms) end
  return bytes
end

local function deadline_of(state)
  if state == 'idle' then return now_ms + limits[LIMIT_COME_BACK_S] * 1000 end
  local wait = 2 * limits[LIMIT_VALIDITY_S]
  for s = S_SERVICES, #session do
    local svc = session[s]
    if svc[P_PRICE][X_TIMED] == 1 and svc[P_GRANTED] > 0 then
      wait = most(wait, svc[P_GRANTED] + limits[LIMIT_MAX_RING_S] + 60)
    end
  end
  return now_ms + wait * 1000
end

-- Writes wallet, session and deadline. Only an open session has a deadline; the others fade.
local function write(keys, kind, told, new_wallet)
  local hint, state = session[S_HINT_MS], session[S_STATE]
  if COUNTED[state] then
    local deadline = deadline_of(state)
    session[S_DEADLINE_MS] = deadline
    if hint == 0 or deadline < hint then
      session[S_HINT_MS] = deadline
      local _, _, address = read('<Hc0dIc0', told)
      call('ZADD', keys[3], deadline, address)
    end
    call('MSET', keys[1], new_wallet, keys[2], session_bytes(session))
    return
  end
  local keep_s = limits[LIMIT_CLOSED_KEEP_S]
  if state == 'refused' then keep_s = limits[LIMIT_REFUSED_KEEP_S] end
  if kind == 'event' then keep_s = most(keep_s, limits[LIMIT_EVENT_KEEP_S]) end
  session[S_HINT_MS] = 0
  call('SET', keys[1], new_wallet)
  call('SET', keys[2], session_bytes(session), 'PX', keep_s * 1000)
  if hint > 0 then
    local _, _, address = read('<Hc0dIc0', told)
    call('ZREM', keys[3], address)
  end
end

local function charge(keys, args)
  if not call then begin() end
  local bytes = args[1]
  local kind, number, version, at_ms, answer_ms, says_answered, dry_run, can_open, limits_text,
    asked, told, n, at = read('<Bc0ddddBBBc72Ic0Ic0H', bytes)
  local found = call('MGET', keys[1], keys[2])
  if not found[1] then return 'NO_WALLET' end
  wallet = read_wallet(found[1])
  session = found[2] and read_session(found[2]) or new_session()
  local state = session[S_STATE]
  local row = STATES[state][kind]
  local again, counts = repeated(session, row, number, asked)
  if again then
    if counts and dry_run == 0 then
      count_repeat(session)
      call('SET', keys[2], session_bytes(session), 'KEEPTTL')
    end
    return again
  end
  if is_stale(version) then return 'STALE' end
  if state == 'none' and can_open == 0 then return 'UNKNOWN_SESSION' end

  limits = limit_lists[limits_text] or limits_of(limits_text)
  event_ms, answered, overrun_amount = at_ms, says_answered == 1, 0
  now_ms = most(store_ms(), wallet[W_LAST_MS])
  local uses = read_uses(bytes, at, n)
  find_answer(kind, answer_ms, uses)
  settle_all(kind, uses)
  local results = answer_all(kind, row, uses, asked)
  local late = kind == 'update' and (state == 'none' or state == 'refused')
  local free, held = balance_of(wallet, now_ms)
  local frame = pack('<BBi8i8i8', n, late and 1 or 0, free, held, overrun_amount)
    .. results .. asked
  if dry_run == 1 then return 'OK  ' .. frame end

  -- From here nothing may fail. The journal entry comes first: its id is the transaction id.
  local new_wallet = wallet_bytes(wallet)
  local entry = entry_bytes(told, now_ms, session[S_STATE], wallet) .. frame
  local id = call('XADD', keys[4], '*', 'e', entry)
  mark_seen(session, number, asked)
  keep(session, id, frame)
  write(keys, kind, told, new_wallet)
  return 'OK ' .. id .. ' ' .. frame
end

redis.register_function('@LIBRARY@_charge', charge)
