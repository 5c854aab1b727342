-- charge: settle what was used, then hold for what is asked. Every charging verb is this one step.
--
-- KEYS  1 wallet   2 session   3 deadlines   4 journal          (all of one partition)
-- ARGV  1 the call, a flat msgpack array; its places are named below. A service of it is
--         {rating_group, used, ask, cap, minimum, timed, free, subject, payers, ladder, rating,
--         later}: as ServiceCall in ocs/usecases/ports.py, with payers (bucket, increment, factor)
--         and later switches (from_ms, ladder, rating) flat; ladder and later may be false.
-- Returns {status, …}:
--         OK | HIT | CONFLICT, transaction id, frame (repeats.lua)
--         STALE | REPEAT_EXPIRED | UNKNOWN_SESSION | NO_WALLET
-- Keeps true
--         credited = left + debited for each bucket; held = what open sessions hold of it;
--         no hold is placed that leaves a bucket below its floor;
--         one journal entry for each result, written with it; one result for each request.
local C_KIND, C_NUMBER, C_REQUEST, C_FINGERPRINT, C_VERSION, C_EVENT_MS, C_ANSWER_MS = 1, 2, 3, 4, 5, 6, 7
local C_ANSWERED, C_DRY_RUN, C_CAN_OPEN, C_MEMBER, C_PARTITION, C_INFO = 8, 9, 10, 11, 12, 13
local C_VALIDITY_S, C_MAX_RING_S, C_LIFE_UNITS, C_COME_BACK_S, C_CLOSED_KEEP_S = 14, 15, 16, 17, 18
local C_EVENT_KEEP_S, C_REFUSED_KEEP_S, C_MAX_SESSIONS, C_HELD_ELSEWHERE_S = 19, 20, 21, 22
local C_SERVICES = 23
local U_GROUP, U_USED, U_ASK, U_CAP, U_MINIMUM, U_TIMED, U_FREE, U_SUBJECT = 1, 2, 3, 4, 5, 6, 7, 8
local U_PAYERS, U_LADDER, U_RATING, U_LATER = 9, 10, 11, 12
-- A service's result is {rating_group, code, granted, validity, final, used, settled now, in all}.
local R_CODE, R_USED, R_SETTLED = 2, 6, 7

local COUNTED = { open = true, idle = true }

-- A caller that knows only of `main` may charge a wallet that has only `main`, whatever its
-- version; payers that such a wallet does not have are passed over.
local function is_stale(wallet, call)
  if call[C_VERSION] == wallet[W_VERSION] then return false end
  if wallet[W_BUCKETS + W_BUCKET] then return true end
  for u = C_SERVICES, #call do
    local known, payers = {}, call[u][U_PAYERS]
    for i = 1, #payers, PAYER do
      if payers[i] == 'main' then known = { 'main', 0, 1 } end
    end
    call[u][U_PAYERS] = known
  end
  return false
end

local function switch_subject(svc, use)
  if not use[U_LADDER] or svc[P_SUBJECT] == use[U_SUBJECT] then return end
  if svc[P_LADDER] then
    open_segment(svc, use[U_LADDER], use[U_RATING])
  else
    svc[P_LADDER], svc[P_RATING] = use[U_LADDER], use[U_RATING]
  end
  svc[P_SUBJECT], svc[P_LATER] = use[U_SUBJECT], use[U_LATER]
end

-- The service that an event names: the session's, or a new one. A one-shot event's is never kept.
local function service_for(session, kind, use)
  if kind ~= 'event' then
    for s = S_SERVICES, #session do
      if session[s][P_GROUP] == use[U_GROUP] then return session[s] end
    end
  end
  local svc = new_service(use[U_GROUP], use[U_TIMED], use[U_SUBJECT], use[U_RATING],
    use[U_LADDER], use[U_LATER])
  if kind ~= 'event' then session[#session + 1] = svc end
  return svc
end

-- The answer is known from the event, or from the first use that is reported.
local function find_answer(session, call)
  if session[S_ANSWER_MS] > 0 or call[C_KIND] == 'event' then return end
  session[S_ANSWER_MS] = call[C_ANSWER_MS]
  for u = C_SERVICES, #call do
    local use = call[u]
    if session[S_ANSWER_MS] == 0 and use[U_TIMED] == 1 and use[U_USED] > 0 then
      session[S_ANSWER_MS] = most(1, call[C_EVENT_MS] - use[U_USED] * 1000)
    end
  end
end

-- Settles every service that the event names. Returns the services and the money debited of each.
local function settle_all(ctx, call)
  local session, kind, services, amounts = ctx.session, call[C_KIND], {}, {}
  for u = C_SERVICES, #call do
    local use, i = call[u], u - C_SERVICES + 1
    local svc = service_for(session, kind, use)
    if use[U_FREE] == 1 then use[U_PAYERS] = { 'main', 0, 1 } end -- no units bucket for what is free
    services[i], amounts[i] = svc, 0
    svc[P_ANCHOR] = session[S_ANSWER_MS]
    if svc[P_TIMED] == 0 or not svc[P_LADDER] then switch_subject(svc, use) end
    if svc[P_LADDER] then amounts[i] = settle(ctx, svc, use[U_USED], use[U_PAYERS]) end
    if svc[P_TIMED] == 1 then switch_subject(svc, use) end
  end
  if kind == 'release' then
    for s = S_SERVICES, #session do give_back(ctx.wallet, session[s]) end
  end
  return services, amounts
end

-- Why nothing can be granted, whatever the balance is.
local function refusal_of(ctx, call)
  if ctx.wallet[W_ACTIVE] == 0 then return 'SUBSCRIBER_BLOCKED' end
  local opens = call[C_KIND] ~= 'event' and not COUNTED[ctx.session[S_STATE]]
  if opens and ctx.wallet[W_OPEN] >= call[C_MAX_SESSIONS] then return 'LIMIT_REACHED' end
end

-- A one-shot event is debited whole or not at all. Returns code, units and money.
local function debit_event(ctx, svc, use)
  local ask = use[U_ASK]
  if ask <= 0 then return 'OK', 0, 0 end
  local units, entries = try_hold(ctx, svc, ask, use[U_PAYERS], 0)
  if units < ask then return 'NO_CREDIT', 0, 0 end
  place(ctx, svc, units, entries)
  local amount = settle(ctx, svc, ask, use[U_PAYERS])
  if use[U_FREE] == 1 then return 'NOT_CHARGED', ask, amount end
  return 'OK', ask, amount
end

-- The result of one service, `amount` of which is settled already.
local function answer_service(ctx, call, use, svc, amount)
  local row, kind, used = ctx.row, call[C_KIND], use[U_USED]
  local code, granted, validity, final = row.code or 'OK', 0, 0, false
  if not svc[P_LADDER] then
    code, used = 'NO_RATE', 0
  elseif not row.code and row.holds then
    if ctx.refusal and (kind == 'start' or use[U_ASK] > 0) then
      code = ctx.refusal
    elseif kind == 'event' then
      local more
      code, granted, more = debit_event(ctx, svc, use)
      used, amount = used + granted, amount + more
    else
      code, granted, validity, final =
        hold(ctx, svc, use[U_ASK], use[U_CAP], use[U_MINIMUM], use[U_FREE], use[U_PAYERS])
    end
  end
  return { use[U_GROUP], code, granted, validity, final, used, amount, svc[P_CHARGED] }
end

-- The code of the whole: OK when any service is OK, then NOT_CHARGED, else the first service's.
local function code_of(results)
  local code = results[1] and results[1][R_CODE] or 'OK'
  for _, result in ipairs(results) do
    if result[R_CODE] == 'OK' then return 'OK' end
    if result[R_CODE] == 'NOT_CHARGED' then code = 'NOT_CHARGED' end
  end
  return code
end

local function next_state(session, row, results)
  local refused = false
  for _, result in ipairs(results) do
    if result[R_CODE] == 'OK' or result[R_CODE] == 'NOT_CHARGED' then return row.granted end
    refused = true
  end
  for s = S_SERVICES, #session do
    if session[s][P_GRANTED] > 0 then return row.granted end
  end
  if refused then return row.refused end
  return row.granted
end

-- A release of a session that was never there, and that used nothing.
local function is_unknown(session, call, results)
  if call[C_KIND] ~= 'release' or session[S_STATE] ~= 'none' then return false end
  for _, result in ipairs(results) do
    if result[R_USED] > 0 or result[R_SETTLED] > 0 then return false end
  end
  return true
end

local function set_deadline(ctx, call, session)
  local wait = 2 * call[C_VALIDITY_S]
  for s = S_SERVICES, #session do
    local svc = session[s]
    if svc[P_TIMED] == 1 and svc[P_GRANTED] > 0 then
      wait = most(wait, svc[P_GRANTED] + call[C_MAX_RING_S] + 60)
    end
  end
  if session[S_STATE] == 'idle' then wait = call[C_COME_BACK_S] end
  session[S_DEADLINE_MS] = ctx.now + wait * 1000
end

-- Writes wallet, session and deadline. Only an open session has a deadline; the others fade.
local function write(ctx, keys, call, new_wallet)
  local session = ctx.session
  local hint = session[S_HINT_MS]
  if COUNTED[session[S_STATE]] then
    set_deadline(ctx, call, session)
    local deadline = session[S_DEADLINE_MS]
    if hint == 0 or deadline < hint then
      session[S_HINT_MS] = deadline
      redis.call('ZADD', keys[3], deadline, call[C_MEMBER])
    end
    redis.call('MSET', keys[1], new_wallet, keys[2], cmsgpack.pack(session))
    return
  end
  local keep_s = call[C_CLOSED_KEEP_S]
  if session[S_STATE] == 'refused' then keep_s = call[C_REFUSED_KEEP_S] end
  if call[C_KIND] == 'event' then keep_s = most(keep_s, call[C_EVENT_KEEP_S]) end
  session[S_HINT_MS] = 0
  local bytes = cmsgpack.pack(session)
  redis.call('SET', keys[1], new_wallet)
  redis.call('SET', keys[2], bytes, 'PX', keep_s * 1000)
  if hint > 0 then redis.call('ZREM', keys[3], call[C_MEMBER]) end
end

-- The session and the wallet's count of open ones, after the results are known.
local function turn(ctx, call, results)
  local session, wallet = ctx.session, ctx.wallet
  local was = COUNTED[session[S_STATE]]
  session[S_STATE] = next_state(session, ctx.row, results)
  if session[S_OPENED_MS] == 0 then session[S_OPENED_MS] = ctx.now end
  if call[C_KIND] == 'start' then
    session[S_START_FINGERPRINT], session[S_START_REQUEST] = call[C_FINGERPRINT], call[C_REQUEST]
  end
  local is = COUNTED[session[S_STATE]]
  if is and not was then wallet[W_OPEN] = wallet[W_OPEN] + 1 end
  if was and not is then wallet[W_OPEN] = wallet[W_OPEN] - 1 end
  wallet[W_LAST_MS] = ctx.now
end

local function frame_of(ctx, call, services, results, late)
  local ratings = {}
  for i, svc in ipairs(services) do ratings[i] = svc[P_RATING] or '' end
  local free, held = balance_of(ctx.wallet, ctx.now)
  return cmsgpack.pack({ call[C_REQUEST], call[C_FINGERPRINT], code_of(results), results, free,
    held, ctx.overrun, late, ratings })
end

-- From here nothing may fail. The journal entry comes first: its id is the transaction id.
local function commit(ctx, keys, call, frame)
  local session = ctx.session
  local new_wallet = wallet_bytes(ctx.wallet)
  local moves = moves_of(ctx.wallet, ctx.was, ctx.placed)
  local entry = entry_bytes(call[C_KIND], call[C_MEMBER], ctx.now, call[C_EVENT_MS],
    session[S_STATE], call[C_INFO], moves)
  local id = redis.call('XADD', keys[4], '*', 'e', entry, 'f', frame)
  local transaction = call[C_PARTITION] .. '-' .. id
  mark_seen(session, call[C_NUMBER], call[C_REQUEST])
  keep(session, transaction, frame)
  write(ctx, keys, call, new_wallet)
  return { 'OK', transaction, frame }
end

local function charge(keys, args)
  local call = cmsgpack.unpack(args[1])
  local records = redis.call('MGET', keys[1], keys[2])
  if not records[1] then return { 'NO_WALLET' } end
  local session = records[2] and cmsgpack.unpack(records[2]) or new_session()
  local kind, state = call[C_KIND], session[S_STATE]
  local row = STATES[state][kind]

  local again, counts =
    repeated(session, row, call[C_NUMBER], call[C_REQUEST], call[C_FINGERPRINT])
  if again then
    if counts and not call[C_DRY_RUN] then
      session[S_REPEATS] = session[S_REPEATS] + 1
      redis.call('SET', keys[2], cmsgpack.pack(session), 'KEEPTTL')
    end
    return again
  end
  local wallet = cmsgpack.unpack(records[1])
  if is_stale(wallet, call) then return { 'STALE' } end
  if state == 'none' and not call[C_CAN_OPEN] then return { 'UNKNOWN_SESSION' } end

  local ctx = {
    wallet = wallet, session = session, row = row, was = before(wallet), placed = {}, overrun = 0,
    event_ms = call[C_EVENT_MS], answered = call[C_ANSWERED], validity_s = call[C_VALIDITY_S],
    max_ring_s = call[C_MAX_RING_S], life_units = call[C_LIFE_UNITS],
    held_elsewhere_s = call[C_HELD_ELSEWHERE_S], now = most(store_ms(), wallet[W_LAST_MS]),
  }
  find_answer(session, call)
  local services, amounts = settle_all(ctx, call)
  ctx.refusal = refusal_of(ctx, call)
  local results = {}
  for i, svc in ipairs(services) do
    results[i] = answer_service(ctx, call, call[C_SERVICES + i - 1], svc, amounts[i])
  end
  if is_unknown(session, call, results) then
    for _, result in ipairs(results) do result[R_CODE] = 'UNKNOWN_SESSION' end
  end
  local late = kind == 'update' and (state == 'none' or state == 'refused')
  turn(ctx, call, results)
  local frame = frame_of(ctx, call, services, results, late)
  if call[C_DRY_RUN] then return { 'OK', '', frame } end
  return commit(ctx, keys, call, frame)
end

redis.register_function('@LIBRARY@_charge', charge)
