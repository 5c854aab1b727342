-- Settling: reported use becomes debits. First the room of a begun increment, then what the service
-- held, then the list of payers, then `main` below its floor. Where the cost fell, or a total says
-- that less was used, money goes back.

-- Where in a list of `size`-tuples the run of money buckets ends that begins at `i`.
local function pool_end(list, i, size)
  while list[i + size] and wallet[list[i + size]][B_MONEY] == 1 do i = i + size end
  return i
end

-- Remembers what a money bucket paid, behind all others (records.lua).
local function note_paid(svc, name, amount)
  local taken, noted, n = svc[P_TAKEN], {}, 0
  for i = 1, #taken, TAKEN do
    if taken[i] == name and taken[i + 1] <= 0 then
      amount = amount - taken[i + 1]
    else
      noted[n + 1], noted[n + 2], noted[n + 3] = taken[i], taken[i + 1], taken[i + 2]
      n = n + TAKEN
    end
  end
  noted[n + 1], noted[n + 2], noted[n + 3] = name, -amount, -amount
  svc[P_TAKEN] = noted
end

-- Debits a bucket `amount` of what a service owes.
local function pay(svc, b, amount)
  debit(b, amount)
  svc[P_CHARGED] = svc[P_CHARGED] + amount
  if amount > 0 and (noting or svc[P_PRICE][X_FALLS]) and svc[P_PRICED] > 0 then
    note_paid(svc, b[B_NAME], amount)
  end
end

-- Gives back what is charged above the cost so far, to who paid it, the last one first. A bucket
-- that is not there any more has `main` take it.
local function pay_back(svc)
  local taken, excess = svc[P_TAKEN], svc[P_CHARGED] - cost(svc)
  for i = #taken - TAKEN + 1, 1, -TAKEN do
    local x = least(excess, -taken[i + 1])
    if x > 0 then
      local b = bucket_of(wallet, taken[i])
      if not b or b[B_MONEY] == 0 then b = bucket_of(wallet, 'main') end
      debit(b, -x)
      taken[i + 1], taken[i + 2] = taken[i + 1] + x, taken[i + 2] + x
      svc[P_CHARGED], excess = svc[P_CHARGED] - x, excess - x
    end
  end
end

-- Takes what is due from held entries i..j.
local function collect_held(svc, i, j)
  local held, due = svc[P_HELD], cost(svc) - svc[P_CHARGED]
  for k = i, j, HELD do
    local b = wallet[held[k]]
    if due > 0 and b[B_MONEY] == 1 then
      local x = least(due, held[k + 1])
      pay(svc, b, x)
      held[k + 1], b[B_HELD], due = held[k + 1] - x, b[B_HELD] - x, due - x
    end
  end
end

local function settle_from_holds(svc, n)
  local held, i = svc[P_HELD], 1
  while held[i] do
    local b = wallet[held[i]]
    if b[B_MONEY] == 1 then
      local j, budget = pool_end(held, i, HELD), svc[P_CHARGED]
      for k = i, j, HELD do budget = budget + held[k + 1] end
      if n > 0 then n = n - pay_money(svc, n, budget) end
      collect_held(svc, i, j)
      i = j
    elseif n > 0 then
      local m, x = pay_bucket(svc, b[B_NAME], held[i + 2], held[i + 3], n, held[i + 1])
      debit(b, x)
      held[i + 1], b[B_HELD], n = held[i + 1] - x, b[B_HELD] - x, n - m
    end
    i = i + HELD
  end
  -- A grace that ended after its pool had paid leaves something due to the whole of the hold.
  if held[HELD + 1] then collect_held(svc, 1, #held) end
  return n
end

local function give_back(svc)
  local held = svc[P_HELD]
  for i = 1, #held, HELD do
    local b = wallet[held[i]]
    b[B_HELD] = b[B_HELD] - held[i + 1]
  end
  svc[P_HELD], svc[P_GRANTED] = NOTHING, 0
end

-- When the next unit is used: it decides which bucket is valid.
local function time_of_use(svc)
  if anchor_ms > 0 and svc[P_PRICE][X_TIMED] == 1 then
    return anchor_ms + svc[P_ELAPSED] * 1000
  end
  return event_ms
end

-- Takes what is due, `up_to` so much of it, from the money payers i..j that are valid.
local function collect_list(svc, payers, i, j, ms, up_to)
  local due = least(cost(svc) - svc[P_CHARGED], up_to)
  for k = i, j, PAYER do
    local b = wallet[payers[k]]
    if due > 0 and b[B_MONEY] == 1 and valid_at(b, ms) then
      local x = least(due, available(b))
      pay(svc, b, x)
      due = due - x
    end
  end
end

local function pool_budget(payers, i, j, ms)
  local budget = 0
  for k = i, j, PAYER do
    local b = wallet[payers[k]]
    if valid_at(b, ms) then budget = budget + available(b) end
  end
  return budget
end

-- Units from here until one of payers i..j begins or ends to be valid; nil when none does.
local function until_change(svc, payers, i, j)
  if anchor_ms == 0 or svc[P_PRICE][X_TIMED] == 0 then return nil end
  local at, next_ms = time_of_use(svc), MAX_AMOUNT
  for k = i, j, PAYER do
    local b = wallet[payers[k]]
    local from_ms, until_ms = b[B_FROM_MS], b[B_UNTIL_MS]
    if from_ms > at and from_ms < next_ms then next_ms = from_ms end
    if until_ms > at and until_ms < next_ms then next_ms = until_ms end
  end
  if next_ms == MAX_AMOUNT then return nil end
  return ceil_div(next_ms - anchor_ms, 1000) - svc[P_ELAPSED]
end

-- Lets payers i..j (a pool of money, or one units bucket) pay for up to `n` units, as far as they
-- are valid now; returns how many.
local function pay_from(svc, n, payers, i, j)
  local ms, m, b = time_of_use(svc), 0, wallet[payers[i]]
  if b[B_MONEY] == 1 then
    m = pay_money(svc, n, svc[P_CHARGED] + pool_budget(payers, i, j, ms))
    collect_list(svc, payers, i, j, ms, MAX_AMOUNT)
  elseif valid_at(b, ms) then
    local x
    m, x = pay_bucket(svc, b[B_NAME], payers[i + 1], payers[i + 2], n, available(b))
    debit(b, x)
  end
  return m
end

-- Asks the payers one after the other; each pays as far as it can, from one change of its validity
-- to the next. Returns the units that nobody paid for.
local function settle_from_list(svc, n, payers)
  local i = 1
  while payers[i] and n > 0 do
    local j, m = i, 0
    if wallet[payers[i]][B_MONEY] == 1 then j = pool_end(payers, i, PAYER) end
    repeat
      m = pay_from(svc, least(n, until_change(svc, payers, i, j) or n), payers, i, j)
      n = n - m
      if m > 0 and n > 0 then n = n - use_room(svc, n) end
    until m == 0 or n == 0
    i = j + PAYER
  end
  return n
end

-- What is left when everything else has paid: priced, and debited from `main` whatever it holds. If
-- that ends the grace, what it had put off until then is the payers'.
local function overrun(svc, n, payers)
  local put_off = cost(svc) == 0 and svc[P_COST] or 0
  if n > 0 and pay_money(svc, n, MAX_AMOUNT) < n then error('AMOUNT_OVERFLOW') end
  if put_off > 0 then collect_list(svc, payers, 1, #payers, time_of_use(svc), put_off) end
  local due = cost(svc) - svc[P_CHARGED]
  if due <= 0 then return end
  local main = bucket_of(wallet, 'main')
  overrun_amount = overrun_amount + most(0, due - available(main))
  pay(svc, main, due)
end

-- Nothing was used, but the event says that the call was answered: the fee is due, unless a units
-- bucket would have paid for the first unit.
local function fee_without_use(svc, payers)
  local first = svc[P_HELD][1]
  if first then return wallet[first][B_MONEY] == 1 end
  for i = 1, #payers, PAYER do
    local b = wallet[payers[i]]
    if valid_at(b, event_ms) then
      local free = available(b)
      if b[B_MONEY] == 1 then
        if free > 0 then return true end
      elseif free >= payers[i + 1] * payers[i + 2] then
        return false
      end
    end
  end
  return true
end

-- Whether what was taken is money alone, of one bucket: nothing of it is begun.
local function all_money(taken)
  return taken[3] <= 0 and not taken[TAKEN + 1]
end

-- The short ways to the same result for the common cases: one bucket is held, and covers the use.
-- Both return whether they went.

-- The bucket is of units, and nothing was priced yet.
local function settle_units_plainly(svc, b, used)
  local held, taken = svc[P_HELD], svc[P_TAKEN]
  local name, increment, factor = b[B_NAME], held[3], held[4]
  local room, amount = 0, held[2]
  if taken[1] then
    if taken[1] ~= name or taken[TAKEN + 1] then return false end
    room = taken[3] - taken[2]
  else
    taken = { name, 0, 0 }
  end
  if svc[P_PRICED] > 0 or svc[P_FEE_DUE] > 0 then return false end
  local paid = 0
  if used > room then
    paid = used - room
    local over = paid % increment
    if over > 0 then paid = paid + increment - over end
    local x = paid * factor
    if x > amount then return false end
    b[B_LEFT], b[B_DEBITED] = b[B_LEFT] - x, b[B_DEBITED] + x
  end
  taken[2], taken[3] = taken[2] + used, taken[3] + paid
  svc[P_TAKEN], svc[P_ELAPSED] = taken, svc[P_ELAPSED] + used
  svc[P_HELD], svc[P_GRANTED] = NOTHING, 0
  b[B_HELD] = b[B_HELD] - amount
  return true
end

-- The bucket is of money, the price is plain, no units were taken from a bucket.
local function settle_money_plainly(svc, b, used)
  local costs, taken = plain_costs(svc), svc[P_TAKEN]
  if not costs or (taken ~= NOTHING and not all_money(taken)) then return false end
  local priced, charged, amount = svc[P_PRICED] + used, svc[P_CHARGED], svc[P_HELD][2]
  local whole = costs[priced] or note_cost(svc, costs, priced)
  local due = whole - charged
  if due > amount then return false end
  svc[P_PRICED], svc[P_ELAPSED], svc[P_COST] = priced, svc[P_ELAPSED] + used, whole
  svc[P_HELD], svc[P_GRANTED] = NOTHING, 0
  b[B_HELD] = b[B_HELD] - amount
  if due > 0 then
    svc[P_CHARGED] = charged + due
    b[B_LEFT], b[B_DEBITED] = b[B_LEFT] - due, b[B_DEBITED] + due
    if noting then note_paid(svc, b[B_NAME], due) end
  end
  return true
end

local function settle_plainly(svc, used)
  local held = svc[P_HELD]
  local place = held[1]
  if not place or held[HELD + 1] then return false end
  local b = wallet[place]
  if b[B_MONEY] == 1 then return settle_money_plainly(svc, b, used) end
  return settle_units_plainly(svc, b, used)
end

-- Settles `used` units; below zero, so many that were settled were not used. There may be `more` of
-- the same report: then what is held is kept for that. Returns the money that was debited.
local function settle(svc, used, payers, more)
  local charged = svc[P_CHARGED]
  if used <= 0 then
    if used < 0 then undo_use(svc, -used, payers) end
    if answered and svc[P_ELAPSED] == 0 and fee_without_use(svc, payers) then
      svc[P_FEE_DUE] = 1
    end
    if svc[P_FEE_DUE] == 0 and used == 0 then
      give_back(svc)
      return 0
    end
  elseif not more and settle_plainly(svc, used) then
    return svc[P_CHARGED] - charged
  end
  local n = used > 0 and used or 0
  n = settle_from_holds(svc, n - use_room(svc, n))
  if not more then give_back(svc) end
  if n > 0 then n = settle_from_list(svc, n, payers) end
  if n > 0 or cost(svc) > svc[P_CHARGED] then
    collect_list(svc, payers, 1, #payers, time_of_use(svc), MAX_AMOUNT)
    overrun(svc, n, payers)
  end
  if used ~= 0 and svc[P_TAKEN] ~= NOTHING then pay_back(svc) end
  return svc[P_CHARGED] - charged
end
