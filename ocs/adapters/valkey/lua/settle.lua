-- Settling: reported use becomes debits. First the room of a begun increment, then what the service
-- held, then the list of payers, then `main` below its floor. `ctx` is one charge in progress:
-- wallet, session, event_ms, answered, now, the overrun so far, the buckets that a hold was placed on.

-- Where in a list of `size`-tuples the run of money buckets ends that begins at `i`.
local function pool_end(wallet, list, i, size)
  while list[i + size] and wallet[bucket_of(wallet, list[i + size]) + B_MONEY] == 1 do
    i = i + size
  end
  return i
end

-- Takes up to `due` from a bucket, at most `limit`; returns what was taken.
local function pay_due(wallet, svc, due, b, limit)
  local x = least(due, limit)
  if x <= 0 then return 0 end
  debit(wallet, b, x)
  svc[P_CHARGED] = svc[P_CHARGED] + x
  return x
end

-- Takes what is due from held entries i..j.
local function collect_held(wallet, svc, i, j)
  local held, due = svc[P_HELD], cost(svc) - svc[P_CHARGED]
  for k = i, j, HELD do
    local b = bucket_of(wallet, held[k])
    if due > 0 and wallet[b + B_MONEY] == 1 then
      local x = pay_due(wallet, svc, due, b, held[k + 1])
      held[k + 1], wallet[b + B_HELD], due = held[k + 1] - x, wallet[b + B_HELD] - x, due - x
    end
  end
end

local function settle_from_holds(wallet, svc, n)
  local held, i = svc[P_HELD], 1
  while held[i] do
    local b = bucket_of(wallet, held[i])
    if wallet[b + B_MONEY] == 1 then
      local j, budget = pool_end(wallet, held, i, HELD), svc[P_CHARGED]
      for k = i, j, HELD do budget = budget + held[k + 1] end
      if n > 0 then n = n - pay_money(svc, n, budget) end
      collect_held(wallet, svc, i, j)
      i = j
    elseif n > 0 then
      local m, x = pay_bucket(svc, held[i], held[i + 2], held[i + 3], n, held[i + 1])
      debit(wallet, b, x)
      held[i + 1], wallet[b + B_HELD], n = held[i + 1] - x, wallet[b + B_HELD] - x, n - m
    end
    i = i + HELD
  end
  -- A grace that ended after its pool had paid leaves something due to the whole of the hold.
  if held[HELD + 1] then collect_held(wallet, svc, 1, #held) end
  return n
end

local function give_back(wallet, svc)
  local held = svc[P_HELD]
  for i = 1, #held, HELD do
    local b = bucket_of(wallet, held[i])
    wallet[b + B_HELD] = wallet[b + B_HELD] - held[i + 1]
  end
  svc[P_HELD], svc[P_GRANTED] = {}, 0
end

-- When the next unit is used: it decides which bucket is valid.
local function time_of_use(ctx, svc)
  if svc[P_TIMED] == 1 and svc[P_ANCHOR] > 0 then
    return svc[P_ANCHOR] + svc[P_ELAPSED] * 1000
  end
  return ctx.event_ms
end

-- Takes what is due from the money payers i..j that are valid.
local function collect_list(wallet, svc, payers, i, j, ms)
  local due = cost(svc) - svc[P_CHARGED]
  for k = i, j, PAYER do
    local b = bucket_of(wallet, payers[k])
    if due > 0 and wallet[b + B_MONEY] == 1 and valid_at(wallet, b, ms) then
      due = due - pay_due(wallet, svc, due, b, available(wallet, b))
    end
  end
end

local function pool_budget(wallet, payers, i, j, ms)
  local budget = 0
  for k = i, j, PAYER do
    local b = bucket_of(wallet, payers[k])
    if valid_at(wallet, b, ms) then budget = budget + available(wallet, b) end
  end
  return budget
end

-- Units from here until one of payers i..j begins or ends to be valid; nil when none does.
local function until_change(ctx, svc, payers, i, j)
  if svc[P_TIMED] == 0 or svc[P_ANCHOR] == 0 then return nil end
  local wallet, at, next_ms = ctx.wallet, time_of_use(ctx, svc), MAX_AMOUNT
  for k = i, j, PAYER do
    local b = bucket_of(wallet, payers[k])
    local from_ms, until_ms = wallet[b + B_FROM_MS], wallet[b + B_UNTIL_MS]
    if from_ms > at then next_ms = least(next_ms, from_ms) end
    if until_ms > at then next_ms = least(next_ms, until_ms) end
  end
  if next_ms == MAX_AMOUNT then return nil end
  return ceil_div(next_ms - svc[P_ANCHOR], 1000) - svc[P_ELAPSED]
end

-- Lets payers i..j (a pool of money, or one units bucket) pay for up to `n` units, as far as they
-- are valid now; returns how many.
local function pay_from(ctx, svc, n, payers, i, j)
  local wallet, ms, m = ctx.wallet, time_of_use(ctx, svc), 0
  local b = bucket_of(wallet, payers[i])
  if wallet[b + B_MONEY] == 1 then
    m = pay_money(svc, n, svc[P_CHARGED] + pool_budget(wallet, payers, i, j, ms))
    collect_list(wallet, svc, payers, i, j, ms)
  elseif valid_at(wallet, b, ms) then
    local x
    m, x = pay_bucket(svc, payers[i], payers[i + 1], payers[i + 2], n, available(wallet, b))
    debit(wallet, b, x)
  end
  return m
end

-- Asks the payers one after the other; each pays as far as it can, from one change of its validity
-- to the next. Returns the units that nobody paid for.
local function settle_from_list(ctx, svc, n, payers)
  local wallet, i = ctx.wallet, 1
  while payers[i] and n > 0 do
    local j, m = i, 0
    if wallet[bucket_of(wallet, payers[i]) + B_MONEY] == 1 then
      j = pool_end(wallet, payers, i, PAYER)
    end
    repeat
      m = pay_from(ctx, svc, least(n, until_change(ctx, svc, payers, i, j) or n), payers, i, j)
      n = n - m
      if m > 0 and n > 0 then n = n - use_room(svc, n) end
    until m == 0 or n == 0
    i = j + PAYER
  end
  return n
end

-- What is left when everything else has paid: priced, and debited from `main` whatever it holds.
local function overrun(ctx, svc, n)
  if n > 0 then pay_money(svc, n, MAX_AMOUNT) end
  local wallet, due = ctx.wallet, cost(svc) - svc[P_CHARGED]
  if due <= 0 then return end
  local main = bucket_of(wallet, 'main')
  ctx.overrun = ctx.overrun + most(0, due - available(wallet, main))
  pay_due(wallet, svc, due, main, due)
end

-- Nothing was used, but the event says that the call was answered: the fee is due, unless a units
-- bucket would have paid for the first unit.
local function fee_without_use(ctx, svc, payers)
  local wallet, held = ctx.wallet, svc[P_HELD]
  if held[1] then return wallet[bucket_of(wallet, held[1]) + B_MONEY] == 1 end
  for i = 1, #payers, PAYER do
    local b = bucket_of(wallet, payers[i])
    if valid_at(wallet, b, ctx.event_ms) then
      local free = available(wallet, b)
      if wallet[b + B_MONEY] == 1 then
        if free > 0 then return true end
      elseif free >= payers[i + 1] * payers[i + 2] then
        return false
      end
    end
  end
  return true
end

-- Settles `used` units; returns the money that was debited.
local function settle(ctx, svc, used, payers)
  local wallet, charged = ctx.wallet, svc[P_CHARGED]
  if used == 0 then
    if ctx.answered and svc[P_ELAPSED] == 0 and fee_without_use(ctx, svc, payers) then
      svc[P_FEE_DUE] = 1
    end
    if svc[P_FEE_DUE] == 0 then
      give_back(wallet, svc)
      return 0
    end
  end
  local n = used - use_room(svc, used)
  n = settle_from_holds(wallet, svc, n)
  give_back(wallet, svc)
  n = settle_from_list(ctx, svc, n, payers)
  if n > 0 or cost(svc) > svc[P_CHARGED] then
    collect_list(wallet, svc, payers, 1, #payers, time_of_use(ctx, svc))
    overrun(ctx, svc, n)
  end
  return svc[P_CHARGED] - charged
end
