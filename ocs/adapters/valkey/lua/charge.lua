-- charge: settle what was used, then hold for what is asked. Every charging verb is this one step.
--
-- KEYS  1 wallet   2 session   3 deadlines   4 journal          (all of one partition)
-- ARGV  1 the call: B text kind, d number (-1: known by its request), d version, d event_ms,
--         d answer_ms, B answered, B dry run, B can open (2: only a repeat is answered), limits,
--         I text asked (the request, I text, and its fingerprint, I text), I text told, H uses; then
--         the uses (records.lua)
-- Returns a status; or a status, the id in the journal and the frame (repeats.lua), blanks between:
--         OK | HIT | CONFLICT   id, empty in a dry run   frame
--         STALE | REPEAT_EXPIRED | UNKNOWN_SESSION | NO_WALLET
-- Keeps true
--         credited = left + debited for each bucket; held = what open sessions hold of it;
--         no hold is placed that leaves a bucket below its floor;
--         one journal entry for each result, written with it; one result for each request.
local COUNTED = { open = true, idle = true }

-- What only a special use has: prices before and behind a change, and how use is reported. Returns
-- where the next one begins, and whether this one is free.
local function read_special(use, kind, bytes, at)
  local flags = use[U_FREE]
  local free = flags % 2
  local reporting = (flags % FLAG_MORE - free) / 2
  if flags >= FLAG_MORE then
    local units, before, subject, coming
    units, before, subject, coming, at = read('<dIc0Hc0Ic0', bytes, at)
    use[U_BEFORE_UNITS], use[U_BEFORE_SUBJECT] = units, subject
    use[U_BEFORE] = before ~= '' and (prices[before] or price_of(before))
    use[U_COMING] = coming ~= '' and (prices[coming] or price_of(coming))
  end
  if one_shot then reporting = REPORTS_DELTA end
  use[U_FREE], use[U_REPORTING], special = free, reporting, true
  use[U_WAITS] = reporting == REPORTS_AT_RELEASE and kind ~= 'release'
  if use[U_WAITS] then use[U_USED] = 0 end
  return at, free
end

local function read_uses(bytes, at, n, kind)
  local definition = wallet[W_DEFINITION]
  if uses[n + 1] then keep_first(uses, n) end
  special, noting = false, false
  for i = 1, n do
    local use = { 0, read('<ddddBHc0Ic0Hc0', bytes, at) }
    at = use[U_SERVICE] -- the last value is where the next one begins
    local payers, price, free = use[U_PAYERS], use[U_PRICE], use[U_FREE]
    if free > 1 then at, free = read_special(use, kind, bytes, at) end
    if free == 1 then
      use[U_PAYERS] = definition[D_MAIN_ONLY] -- no units bucket for what is free
    else
      use[U_PAYERS] = definition[D_LISTS][payers] or payers_of(definition, payers)
    end
    use[U_PRICE] = prices[price] or price_of(price)
    uses[i] = use
  end
end

local function switch_subject(svc, price, subject)
  local ladder, old = price[X_LADDER], svc[P_LADDER]
  if not ladder then return end
  if old then
    open_segment(svc, ladder)
  else
    svc[P_LADDER] = ladder
  end
  -- A fee without use was settled when it fell due, by the price of that time.
  svc[P_PRICE], svc[P_SUBJECT], svc[P_PASSED], svc[P_FEE_DUE] = price, subject, 0, 0
end

-- The service that an event names: the session's, or a new one. A one-shot event's is never kept.
local function service_for(price, subject)
  if one_shot then return new_service(price, subject) end
  local n, group = #services, price[X_GROUP]
  for s = 1, n do
    if services[s][P_PRICE][X_GROUP] == group then return services[s] end
  end
  local svc = new_service(price, subject)
  services[n + 1] = svc
  return svc
end

-- The answer, if the event does not say when it was: from the first use that is reported.
local function find_answer()
  for i = 1, #uses do
    local use = uses[i]
    if known_answer_ms == 0 and use[U_PRICE][X_TIMED] == 1 and use[U_USED] > 0 then
      known_answer_ms = most(1, event_ms - use[U_USED] * 1000)
    end
  end
end

-- What a total says beyond what was settled: a release sets it, but nothing goes back behind that.
local function units_of_total(use, kind, svc)
  local units = use[U_USED] - svc[P_ELAPSED]
  if kind == 'release' and state ~= 'closed' then return units end
  return most(0, units)
end

-- Before a special use is settled: turns a total into units, and settles what was used before a
-- change of price. Leaves in it the units that are to be settled still.
local function settle_before(use, kind, svc)
  local units, before, reporting = use[U_USED], use[U_BEFORE], use[U_REPORTING] or REPORTS_DELTA
  if reporting ~= REPORTS_DELTA and not use[U_WAITS] then
    units = units_of_total(use, kind, svc)
  end
  noting = reporting == REPORTS_TOTAL
  use[U_EARLIER], use[U_ELAPSED] = 0, svc[P_ELAPSED]
  local first = least(use[U_BEFORE_UNITS] or 0, units)
  if before and first > 0 and use[U_PRICE][X_LADDER] then
    local subject = use[U_BEFORE_SUBJECT]
    if svc[P_SUBJECT] ~= subject then switch_subject(svc, before, subject) end
    use[U_EARLIER] = settle(svc, first, use[U_PAYERS], true)
    units = units - first
  end
  use[U_USED] = units
end

-- Settles every service that the event names.
local function settle_all(kind)
  local special = special
  for i = 1, #uses do
    local use = uses[i]
    local price, subject, svc = use[U_PRICE], use[U_SUBJECT], services[i]
    if one_shot or not svc or svc[P_PRICE] ~= price then svc = service_for(price, subject) end
    if special then settle_before(use, kind, svc) end
    local ladder = svc[P_LADDER]
    local same = ladder and svc[P_SUBJECT] == subject
    use[U_SERVICE] = svc
    -- A timed service settles by its old price first, if it has one.
    local later = not same and ladder and svc[P_PRICE][X_TIMED] == 1
    if not same and not later then switch_subject(svc, price, subject) end
    if svc[P_LADDER] and not (special and use[U_WAITS]) then
      use[U_AMOUNT] = settle(svc, use[U_USED], use[U_PAYERS])
    end
    if later then switch_subject(svc, price, subject) end
    if special and svc[P_LADDER] then
      use[U_AMOUNT] = use[U_EARLIER] + use[U_AMOUNT]
      use[U_USED] = svc[P_ELAPSED] - use[U_ELAPSED]
    end
  end
  if kind == 'release' then
    for s = 1, #services do give_back(services[s]) end
  end
end

-- Why nothing can be granted, whatever the balance is.
local function refusal_of(kind)
  if wallet[W_DEFINITION][D_ACTIVE] == 0 then return 'SUBSCRIBER_BLOCKED' end
  local opens = kind ~= 'event' and not COUNTED[state]
  if opens and wallet[W_OPEN] >= limits[LIMIT_MAX_SESSIONS] then return 'LIMIT_REACHED' end
end

-- A one-shot event is debited whole or not at all. Returns code, units and money.
local function debit_event(svc, use)
  local ask = use[U_ASK]
  if ask <= 0 then return 'OK', 0, 0 end
  local units, entries, pos, covered = try_hold(svc, ask, use[U_PAYERS])
  if units < ask then return why_not(pos, covered, ask - units), 0, 0 end
  place(svc, units, entries)
  local amount = settle(svc, ask, use[U_PAYERS])
  if use[U_FREE] == 1 then return 'NOT_CHARGED', ask, amount end
  return 'OK', ask, amount
end

-- A release of a session that was never there, and that used nothing.
local function is_unknown()
  for i = 1, #uses do
    if uses[i][U_AMOUNT] > 0 or uses[i][U_USED] > 0 then return false end
  end
  return true
end

-- How the frame of a service ends.
local function code_bytes(svc, price, code)
  local group, rating = price[X_GROUP], rating_of(svc)
  return pack('<BHH', #code, #group, #rating) .. code .. group .. rating
end

-- Turns the session to the state behind the event: granted when any service is, or when nothing was
-- refused.
local function turn(row, granted, refused)
  local was, new = COUNTED[state], row.granted
  if refused and not granted then
    new = row.refused
    for s = 1, #services do
      if services[s][P_GRANTED] > 0 then new = row.granted end
    end
  end
  local is = COUNTED[new]
  state = new
  if is and not was then wallet[W_OPEN] = wallet[W_OPEN] + 1 end
  if was and not is then wallet[W_OPEN] = wallet[W_OPEN] - 1 end
end

-- The result of one service: its code, and how its frame ends and what stands before that.
local function answer_service(kind, row, use, refusal)
  local svc, used, amount = use[U_SERVICE], use[U_USED], use[U_AMOUNT]
  local code, granted, validity_s, final = row.code or 'OK', 0, 0, false
  if not svc[P_LADDER] then
    code, used = 'NO_RATE', 0
  elseif row.holds and not row.code then
    if refusal and (kind == 'start' or use[U_ASK] > 0) then
      code = refusal
    elseif one_shot then
      local more
      code, granted, more = debit_event(svc, use)
      used, amount = used + granted, amount + more
    else
      code, granted, validity_s, final = hold(svc, use)
    end
  end
  if refusal == 'UNKNOWN_SESSION' then code = refusal end
  local price = use[U_PRICE]
  local ending = code == 'OK' and svc[P_PRICE] == price and svc[P_PASSED] == 0 and price[X_OK]
    or code_bytes(svc, price, code)
  return code, ending, granted, validity_s, final and 1 or 0, used, amount, svc[P_CHARGED]
end

-- The results of the services behind the first, as a frame has them; and whether anything was
-- granted, and refused.
local function answer_others(kind, row, refusal, granted, refused)
  local bytes = ''
  for i = 2, #uses do
    local code, ending, grant, validity_s, final, used, amount, total =
      answer_service(kind, row, uses[i], refusal)
    if code == 'OK' or code == 'NOT_CHARGED' then granted = true else refused = true end
    bytes = bytes .. pack('<i8i8Bi8i8i8', grant, validity_s, final, used, amount, total) .. ending
  end
  return bytes, granted, refused
end

-- The results of all services; turns the session. Returns the frame, and what changed in the wallet.
local function answer_all(kind, row, asked, late)
  local refusal, n, others = refusal_of(kind), #uses, ''
  if n == 0 then
    turn(row, false, false)
    local free, held, changed, place = survey(wallet)
    return pack('<BBi8i8i8', 0, late, free, held, overrun_amount) .. asked, changed, place
  end
  if kind == 'release' and state == 'none' and is_unknown() then refusal = 'UNKNOWN_SESSION' end
  local code, ending, grant, validity_s, final, used, amount, total =
    answer_service(kind, row, uses[1], refusal)
  local granted = code == 'OK' or code == 'NOT_CHARGED'
  local refused = not granted
  if n > 1 then others, granted, refused = answer_others(kind, row, refusal, granted, refused) end
  if refused or state ~= row.granted then turn(row, granted, refused) end
  local free, held, changed, place = survey(wallet)
  return pack('<BBi8i8i8i8i8Bi8i8i8', n, late, free, held, overrun_amount, grant, validity_s, final,
    used, amount, total) .. ending .. others .. asked, changed, place
end

local function deadline_of(now_ms)
  if state == 'idle' then return now_ms + limits[LIMIT_COME_BACK_S] * 1000 end
  local wait_s = 2 * limits[LIMIT_VALIDITY_S]
  for s = 1, #services do
    local svc = services[s]
    local granted = svc[P_GRANTED]
    if granted > 0 and svc[P_PRICE][X_TIMED] == 1 then
      local its_wait_s = granted + limits[LIMIT_MAX_RING_S] + 60
      if its_wait_s > wait_s then wait_s = its_wait_s end
    end
  end
  return now_ms + wait_s * 1000
end

-- A refusal is soon forgotten, but not with what was settled before it.
local function is_mere_refusal()
  if state ~= 'refused' or one_shot then return false end
  for s = 1, #services do
    if services[s][P_ELAPSED] > 0 or services[s][P_CHARGED] ~= 0 then return false end
  end
  return true
end

-- How long a session that is over is remembered.
local function keep_s()
  if is_mere_refusal() then return limits[LIMIT_REFUSED_KEEP_S] end
  local its_keep_s = limits[LIMIT_CLOSED_KEEP_S]
  if one_shot then its_keep_s = most(its_keep_s, limits[LIMIT_EVENT_KEEP_S]) end
  return state == 'refused' and its_keep_s or kept_s(wallet, its_keep_s)
end

-- A request must be known as long as it does not look old: longer by as much as its client's clock
-- is ahead, and a one-shot event longer than the session that it is in.
local function remember_request(now_ms)
  local lead_s = limits[LIMIT_LEAD_S]
  if lead_s == 0 and state == 'closed' or is_mere_refusal() then return end
  local its_keep_s = limits[one_shot and LIMIT_EVENT_KEEP_S or LIMIT_CLOSED_KEEP_S]
  remember_until(now_ms + (its_keep_s + lead_s) * 1000)
end

-- Writes wallet, session and deadline. Only an open session has a deadline; the others fade.
local function write(keys, kind, told, new_wallet, now_ms, answer_head, id, frame)
  if COUNTED[state] then
    local deadline_ms = deadline_of(now_ms)
    if hint_ms == 0 or deadline_ms < hint_ms then
      hint_ms = deadline_ms
      call('ZADD', keys[3], deadline_ms, (read('<Ic0', told, #kind + 11)))
    end
    call('MSET', keys[1], new_wallet, keys[2], session_bytes(deadline_ms, answer_head, id, frame))
    return
  end
  local keep_ms = remembered_ms(keep_s() * 1000, now_ms)
  if hint_ms > 0 then
    call('ZREM', keys[3], (read('<Ic0', told, #kind + 11)))
  elseif session_text ~= '' then
    keep_ms = most(keep_ms, call('PTTL', keys[2])) -- it was over before
  end
  hint_ms = 0
  call('SET', keys[1], new_wallet)
  call('SET', keys[2], session_bytes(old_deadline_ms(), answer_head, id, frame), 'PX', keep_ms)
end

local function charge(keys, args)
  if not call then begin() end
  local bytes = args[1]
  local kind, number, version, at_ms, answer_ms, says_answered, dry_run, can_open, limits_text,
    asked, told, n, at = read('<Bc0ddddBBBc80Ic0Ic0H', bytes)
  local found = call('MGET', keys[1], keys[2])
  local its_wallet, its_session = found[1], found[2]
  if not its_wallet then return 'NO_WALLET' end
  wallet = read_wallet(its_wallet)
  if its_session then read_session(its_session) else new_session() end
  local before = state
  local row = STATES[before][kind]
  if number <= top or row.repeats_start then
    local again, counts = repeated(row, number, asked)
    if again then
      if counts and dry_run == 0 then
        count_repeat()
        call('SET', keys[2], session_bytes(old_deadline_ms(), '', '', ''), 'KEEPTTL')
      end
      return again
    end
  end
  -- A caller that knows only of `main` may charge a wallet that has only `main`, whatever its
  -- version; payers that such a wallet does not have are passed over.
  if version ~= wallet[W_DEFINITION][D_VERSION] and wallet[W_BUCKETS + 1] then return 'STALE' end
  if can_open ~= 1 and (before == 'none' or can_open == 2) then return 'UNKNOWN_SESSION' end

  limits = limit_lists[limits_text] or limits_of(limits_text)
  event_ms, answered, overrun_amount = at_ms, says_answered == 1, 0
  one_shot = kind == 'event'
  read_uses(bytes, at, n, kind)
  if known_answer_ms == 0 and not one_shot then
    known_answer_ms = answer_ms
    if answer_ms == 0 then find_answer() end
  end
  anchor_ms = one_shot and 0 or known_answer_ms -- all of an event is used at its time
  settle_all(kind)
  local late = kind == 'update' and (before == 'none' or before == 'refused')
  local frame, changed, place = answer_all(kind, row, asked, late and 1 or 0)
  if dry_run == 1 then return 'OK  ' .. frame end

  -- From here nothing may fail. The journal entry comes first: its id is the transaction id.
  local id = call('XADD', keys[4], '*', 'e',
    moves_bytes(wallet, state, told, changed, place) .. told .. frame)
  local now_ms, last_ms = ms_of(id), wallet[W_LAST_MS]
  if last_ms > now_ms then now_ms = last_ms end
  wallet[W_LAST_MS] = now_ms
  if kind == 'start' or origin == '' then mark_origin(kind, asked, now_ms) end
  if number == top + 1 and low < 2147483648 and high == 0 then
    top, low = number, low * 2 + 1 -- the common case: no bit leaves its word
  elseif number >= 0 then
    mark_number(number)
  else
    mark_key(asked)
  end
  if one_shot or limits[LIMIT_LEAD_S] > 0 then remember_request(now_ms) end
  local new_wallet = changed < 2 and changed_wallet_bytes(wallet, its_wallet, place)
    or wallet_bytes(wallet)
  write(keys, kind, told, new_wallet, now_ms, keep(id, frame), id, frame)
  return 'OK ' .. id .. ' ' .. frame
end

redis.register_function('@LIBRARY@_charge', charge)
