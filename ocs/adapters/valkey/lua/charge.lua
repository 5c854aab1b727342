-- charge: settle what was used, then hold for what is asked. Every charging verb is this one step.
--
-- KEYS  1 wallet   2 session   3 deadlines   4 journal          (all of one partition)
-- ARGV  1 the call, a msgpack array: {kind, number (-1: none), request, fingerprint, wallet version,
--         event_ms, answer_ms (0: unknown), answered, dry_run, can_open, limits, services, info,
--         member (the session's address), partition label}. Structs of ocs/usecases/ports.py:
--         limits = ChargeLimits, service = ServiceCall.
-- Returns {status, …}:
--         OK | HIT | CONFLICT, result (ChargeResult), rating of each service …
--         STALE, {version, active, currency, floor}, definitions
--         REPEAT_EXPIRED | UNKNOWN_SESSION | NO_WALLET
-- Keeps true
--         credited = left + debited for each bucket; held = what open sessions hold of it;
--         no hold is placed that leaves a bucket below its floor;
--         one journal entry for each result, written with it; one result for each request.

local COUNTED = { open = true, idle = true }

local function read_call(bytes)
  local a = cmsgpack.unpack(bytes)
  local call = {
    kind = a[1], number = a[2], request = a[3], fingerprint = a[4], version = a[5], event_ms = a[6],
    answer_ms = a[7], answered = a[8], dry_run = a[9], can_open = a[10], limits = a[11], info = a[13],
    member = a[14], partition = a[15], services = {},
  }
  for i, s in ipairs(a[12]) do
    call.services[i] = {
      rating_group = s[1], used = s[2], ask = s[3], cap = s[4], minimum = s[5], timed = s[6],
      free = s[7], subject = s[8], payers = s[9], segments = s[10],
    }
  end
  return call
end

-- A caller that knows only of `main` may charge a wallet that has only `main`, whatever its
-- version; payers that such a wallet does not have are passed over.
local function is_stale(wallet, call)
  if call.version == wallet.version then return false end
  if wallet.buckets[2] then return true end
  for _, use in ipairs(call.services) do
    local known = {}
    for _, payer in ipairs(use.payers) do
      if wallet.by[payer[1]] then known[#known + 1] = payer end
    end
    use.payers = known
  end
  return false
end

local function switch_subject(svc, use)
  if not use.segments[1] or svc.subject == use.subject then return end
  svc.subject, svc.segs, svc.seg_i = use.subject, use.segments, 1
  open_segment(svc, use.segments[1][2])
end

-- The service that an event names: the session's, or a new one. A one-shot event's is never kept.
local function service_for(ctx, use)
  local services, svc = ctx.session.services, nil
  if ctx.kind ~= 'event' then
    for _, known in ipairs(services) do
      if known.rating_group == use.rating_group then svc = known end
    end
  end
  if not svc then
    svc = {
      rating_group = use.rating_group, elapsed = 0, priced = 0, seg_from = 0, cw = 0, cr = 0, cd = 1,
      charged = 0, granted = 0, fee_due = 0, subject = use.subject, timed = use.timed,
      segs = use.segments, seg_i = 1, held = {}, taken = {},
    }
    if svc.segs[1] then svc.ladder = svc.segs[1][2] end
    if ctx.kind ~= 'event' then services[#services + 1] = svc end
  end
  return svc
end

-- The answer is known from the event, or from the first use that is reported.
local function find_answer(ctx, call)
  local session = ctx.session
  if call.kind == 'event' or session.answer_ms > 0 then return end
  session.answer_ms = call.answer_ms
  for _, use in ipairs(call.services) do
    if session.answer_ms == 0 and use.timed == 1 and use.used > 0 then
      session.answer_ms = most(1, call.event_ms - use.used * 1000)
    end
  end
end

local function settle_all(ctx, call)
  local amounts = {}
  for i, use in ipairs(call.services) do
    local svc = service_for(ctx, use)
    use.service, amounts[i] = svc, 0
    svc.anchor = ctx.session.answer_ms
    if svc.ladder then
      if svc.timed == 0 then switch_subject(svc, use) end
      amounts[i] = settle(ctx, svc, use.used, use.payers)
      if svc.timed == 1 then switch_subject(svc, use) end
    end
  end
  if call.kind == 'release' then
    for _, svc in ipairs(ctx.session.services) do give_back(ctx, svc) end
  end
  return amounts
end

-- Why nothing can be granted, whatever the balance is.
local function refusal_of(ctx, call)
  if ctx.wallet.active == 0 then return 'SUBSCRIBER_BLOCKED' end
  local opens = call.kind ~= 'event' and not COUNTED[ctx.session.state]
  if opens and ctx.wallet.open >= ctx.limits[8] then return 'LIMIT_REACHED' end
end

-- A one-shot event is debited whole or not at all.
local function debit_event(ctx, svc, use)
  if use.ask <= 0 then return 'OK', 0, 0 end
  local code, amount = 'OK', 0
  if use.free == 1 then code = 'NOT_CHARGED' end
  local found = try_hold(ctx, svc, use.ask, use.payers, 0)
  if found.units < use.ask then return 'NO_CREDIT', 0, 0 end
  place(ctx, svc, found)
  amount = settle(ctx, svc, use.ask, use.payers)
  return code, use.ask, amount
end

-- {rating_group, code, granted, validity, final, used, settled now, settled in all} of one service
local function answer_service(ctx, call, use, amount)
  local svc, row, used = use.service, call.row, use.used
  local code, granted, validity, final = row.code or 'OK', 0, 0, false
  if not svc.ladder then
    code, used = 'NO_RATE', 0
  elseif not row.code and row.holds then
    if ctx.refusal and (call.kind == 'start' or use.ask > 0) then
      code = ctx.refusal
    elseif call.kind == 'event' then
      local more
      code, granted, more = debit_event(ctx, svc, use)
      used, amount = used + granted, amount + more
    else
      code, granted, validity, final = hold(ctx, svc, use)
    end
  end
  return { use.rating_group, code, granted, validity, final, used, amount, svc.charged }
end

-- The code of the whole: OK when any service is OK, then NOT_CHARGED, else the first service's.
local function code_of(results)
  local code = results[1] and results[1][2] or 'OK'
  for _, result in ipairs(results) do
    if result[2] == 'OK' then return 'OK' end
    if result[2] == 'NOT_CHARGED' then code = 'NOT_CHARGED' end
  end
  return code
end

local function next_state(ctx, call, results)
  local row, refused, given = call.row, false, false
  for _, result in ipairs(results) do
    if result[2] == 'OK' or result[2] == 'NOT_CHARGED' then given = true else refused = true end
  end
  for _, svc in ipairs(ctx.session.services) do
    if svc.granted > 0 then given = true end
  end
  if refused and not given then return row.refused end
  return row.granted
end

-- A release of a session that was never there, and that used nothing.
local function is_unknown(ctx, call, results)
  if call.kind ~= 'release' or ctx.session.state ~= 'none' then return false end
  for _, result in ipairs(results) do
    if result[6] > 0 or result[7] > 0 then return false end
  end
  return true
end

-- Money that nobody holds, and money that is held, over the buckets valid now.
local function balance_of(ctx)
  local free, held = 0, 0
  for _, b in ipairs(ctx.wallet.buckets) do
    if b.money and valid_at(b, ctx.now) then
      free, held = free + b.left - b.held, held + b.held
    end
  end
  return free, held
end

local function set_deadline(ctx, session)
  local limits = ctx.limits
  local wait = 2 * limits[1]
  for _, svc in ipairs(session.services) do
    if svc.timed == 1 and svc.granted > 0 then
      wait = most(wait, svc.granted + limits[2] + 60)
    end
  end
  if session.state == 'idle' then wait = limits[4] end
  session.deadline_ms = ctx.now + wait * 1000
end

-- Writes the session and its deadline. Only an open session has a deadline; the others fade.
local function write_session(ctx, keys, call, session)
  if COUNTED[session.state] then
    set_deadline(ctx, session)
    if session.hint_ms == 0 or session.deadline_ms < session.hint_ms then
      session.hint_ms = session.deadline_ms
      redis.call('ZADD', keys[3], session.deadline_ms, call.member)
    end
    redis.call('SET', keys[2], session_bytes(session))
    return
  end
  local limits = ctx.limits
  local keep_s = limits[5]
  if session.state == 'refused' then keep_s = limits[7] end
  if call.kind == 'event' then keep_s = most(keep_s, limits[6]) end
  if session.hint_ms > 0 then redis.call('ZREM', keys[3], call.member) end
  session.hint_ms = 0
  redis.call('SET', keys[2], session_bytes(session), 'PX', keep_s * 1000)
end

local function stale_answer(wallet)
  local head = { wallet.version, wallet.active, wallet.currency, wallet.floor }
  return { 'STALE', cmsgpack.pack(head), wallet.definitions }
end

local function ratings_of(call)
  local ratings = {}
  for i, use in ipairs(call.services) do
    local seg = use.service.segs[use.service.seg_i]
    ratings[i] = seg and seg[3] or ''
  end
  return ratings
end

-- From here nothing may fail: the journal entry comes first, because its id is in the result.
local function commit(ctx, keys, call, result, ratings)
  local session, wallet = ctx.session, ctx.wallet
  local new_wallet = wallet_bytes(wallet)
  local entry = cmsgpack.pack({ 1, call.kind, call.member, call.request, call.fingerprint, ctx.now,
    call.event_ms, result[1], result[3], moves_of(wallet), result[4], result[5], result[6],
    result[7], session.state, call.info })
  result[2] = call.partition .. '-' .. redis.call('XADD', keys[4], '*', 'e', entry)
  local bytes = cmsgpack.pack(result)
  mark_seen(session, call)
  keep(session, call, bytes, ratings)
  redis.call('SET', keys[1], new_wallet)
  write_session(ctx, keys, call, session)
  return { 'OK', bytes, unpack(ratings) }
end

local function open_and_count(ctx, call, results)
  local session, wallet = ctx.session, ctx.wallet
  local was = COUNTED[session.state]
  session.state = next_state(ctx, call, results)
  if session.opened_ms == 0 then session.opened_ms = ctx.now end
  if call.kind == 'start' then
    session.start_fingerprint, session.start_request = call.fingerprint, call.request
  end
  if COUNTED[session.state] and not was then wallet.open = wallet.open + 1 end
  if was and not COUNTED[session.state] then wallet.open = wallet.open - 1 end
  wallet.last_ms = ctx.now
end

local function charge(keys, args)
  local call = read_call(args[1])
  local wallet_record, session_record = redis.call('GET', keys[1]), redis.call('GET', keys[2])
  if not wallet_record then return { 'NO_WALLET' } end
  local session = read_session(session_record)
  call.row = STATES[session.state][call.kind]

  local again, counts = repeated(session, call)
  if again then
    if counts and not call.dry_run then
      session.repeats = session.repeats + 1
      redis.call('SET', keys[2], session_bytes(session), 'KEEPTTL')
    end
    return again
  end
  local wallet = read_wallet(wallet_record)
  if is_stale(wallet, call) then return stale_answer(wallet) end
  if session.state == 'none' and not call.can_open then return { 'UNKNOWN_SESSION' } end

  local ctx = {
    kind = call.kind, wallet = wallet, session = session, limits = call.limits, overrun = 0,
    event_ms = call.event_ms, answered = call.answered, now = most(store_ms(), wallet.last_ms),
  }
  local late = call.kind == 'update' and (session.state == 'none' or session.state == 'refused')
  find_answer(ctx, call)
  local amounts = settle_all(ctx, call)
  ctx.refusal = refusal_of(ctx, call)
  local results = {}
  for i, use in ipairs(call.services) do
    results[i] = answer_service(ctx, call, use, amounts[i])
  end
  if is_unknown(ctx, call, results) then
    for _, result in ipairs(results) do result[2] = 'UNKNOWN_SESSION' end
  end
  open_and_count(ctx, call, results)
  local free, held = balance_of(ctx)
  local result = { code_of(results), '', results, free, held, ctx.overrun, late }
  local ratings = ratings_of(call)
  if call.dry_run then return { 'OK', cmsgpack.pack(result), unpack(ratings) } end
  return commit(ctx, keys, call, result, ratings)
end

redis.register_function('@LIBRARY@_charge', charge)
