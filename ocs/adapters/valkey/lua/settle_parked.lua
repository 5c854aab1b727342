-- settle_parked: debit use that was parked, once, as one use of a call or as a one-shot event.
--
-- KEYS  1 wallet   2 settlements under way   3 journal   4 fence   5 session that the use was of
--                                                               (all of one partition)
-- ARGV  1 the settlement's name   2 the epoch of the run that asks   3 its note, opaque
--       4 the call, as charge has it: a release that tells its answer, or an event; nothing is asked
--       5 of each use d elapsed, d priced: what was charged of it before, behind which it begins
--       6 the session's record as it was before the journal was asked; empty when there was none
-- Returns a status; or a status, the id in the journal and the frame (repeats.lua), blanks between:
--         OK | HIT (it is under way, and was debited before)   id   frame
--         FENCED (a later run has begun) | MOVED (the session, since) | NO_WALLET | STALE |
--         CDRS | NOBODY (who settles the account); nothing has moved then
-- Keeps true
--         credited = left + debited; a settlement is debited once while it is under way, and none
--         by a run behind which another one has begun, or beside a charge of its session that the
--         caller does not know of; one journal entry for each, written with it;
--         sessions and what they hold stay as they are.

-- Lets the services begin where the use stands that was charged before: its cost is paid.
local function begin_behind(text, n)
  local at = 1
  for i = 1, n do
    local use = uses[i]
    local svc, elapsed, priced = new_service(use[U_PRICE], use[U_SUBJECT]), nil, nil
    elapsed, priced, at = read('<dd', text, at)
    svc[P_ELAPSED], svc[P_PRICED] = elapsed, priced
    if priced > 0 then
      svc[P_COST] = cost_at(svc, priced)
      svc[P_CHARGED] = cost(svc)
    end
    services[i] = svc
  end
end

-- Why a wallet is not debited by this call; nil when it is.
local function not_settled(version)
  local definition = wallet[W_DEFINITION]
  local settler = definition[D_SETTLER]
  if settler == BY_CDRS then return 'CDRS' end
  if settler == BY_NOBODY then return 'NOBODY' end
  if version ~= definition[D_VERSION] and wallet[W_BUCKETS + 1] then return 'STALE' end
end

local function settle_parked(keys, args)
  if not call then begin() end
  if call('GET', keys[4]) ~= args[2] then return 'FENCED' end
  local note = args[3]
  local known = call('HGET', keys[2], args[1])
  if known then return 'HIT ' .. sub(known, 5 + read('<I', known)) end
  if (call('GET', keys[5]) or '') ~= args[6] then return 'MOVED' end
  local bytes = args[4]
  local kind, _, version, at_ms, answer_ms, _, _, _, limits_text, asked, told, n, at =
    read('<Bc0ddddBBBc80Ic0Ic0H', bytes)
  local record = call('GET', keys[1])
  if not record then return 'NO_WALLET' end
  wallet = read_wallet(record)
  local why = not_settled(version)
  if why then return why end

  new_session()
  limits = limit_lists[limits_text] or limits_of(limits_text)
  event_ms, answered, overrun_amount = at_ms, false, 0
  one_shot = kind == 'event'
  read_uses(bytes, at, n, kind)
  if not one_shot then begin_behind(args[5], n) end
  known_answer_ms, anchor_ms = answer_ms, one_shot and 0 or answer_ms
  settle_all(kind)
  local frame, changed, place = answer_all(kind, STATES.none[kind], asked, 0)

  -- From here nothing may fail. The journal entry comes first: its id is the transaction id.
  local id = call('XADD', keys[3], '*', 'e',
    moves_bytes(wallet, state, told, changed, place) .. told .. frame)
  wallet[W_LAST_MS] = most(ms_of(id), wallet[W_LAST_MS])
  call('SET', keys[1], wallet_bytes(wallet))
  call('HSET', keys[2], args[1], pack('<I', #note) .. note .. id .. ' ' .. frame)
  return 'OK ' .. id .. ' ' .. frame
end

redis.register_function('@LIBRARY@_settle_parked', settle_parked)
