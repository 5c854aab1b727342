-- Settling: reported use becomes debits. First the room of a begun increment, then what the service
-- held, then the list of payers, then `main` below its floor. `ctx` is one charge in progress.

-- Where in `list` the run of money buckets that begins at `i` ends.
local function pool_end(ctx, list, i)
  while list[i + 1] and ctx.wallet.by[list[i + 1][1]].money do i = i + 1 end
  return i
end

local function pay_due(svc, due, bucket, most_amount)
  local x = least(due, most_amount)
  if x > 0 then
    debit(bucket, x)
    svc.charged = svc.charged + x
  end
  return most(0, x)
end

-- Takes what is due from held entries i..j.
local function collect_held(ctx, svc, i, j)
  local due = cost(svc) - svc.charged
  for k = i, j do
    local entry = svc.held[k]
    local bucket = ctx.wallet.by[entry[1]]
    if bucket.money and due > 0 then
      local x = pay_due(svc, due, bucket, entry[2])
      entry[2], bucket.held, due = entry[2] - x, bucket.held - x, due - x
    end
  end
end

local function settle_from_holds(ctx, svc, n)
  local held, i = svc.held, 1
  while held[i] do
    local entry = held[i]
    local bucket = ctx.wallet.by[entry[1]]
    if bucket.money then
      local j, budget = pool_end(ctx, held, i), svc.charged
      for k = i, j do budget = budget + held[k][2] end
      if n > 0 then n = n - pay_money(svc, n, budget) end
      collect_held(ctx, svc, i, j)
      i = j
    elseif n > 0 then
      local m, amount = pay_bucket(svc, entry[1], entry[3], entry[4], n, entry[2])
      debit(bucket, amount)
      entry[2], bucket.held, n = entry[2] - amount, bucket.held - amount, n - m
    end
    i = i + 1
  end
  collect_held(ctx, svc, 1, #held)
  return n
end

local function give_back(ctx, svc)
  for _, entry in ipairs(svc.held) do
    local bucket = ctx.wallet.by[entry[1]]
    bucket.held = bucket.held - entry[2]
  end
  svc.held, svc.granted = {}, 0
end

-- When the next unit is used: it decides which bucket is valid.
local function time_of_use(ctx, svc)
  if svc.timed == 1 and svc.anchor > 0 then return svc.anchor + svc.elapsed * 1000 end
  return ctx.event_ms
end

-- Takes what is due from the money payers i..j that are valid.
local function collect_list(ctx, svc, payers, i, j, ms)
  local due = cost(svc) - svc.charged
  for k = i, j do
    local bucket = ctx.wallet.by[payers[k][1]]
    if due > 0 and bucket.money and valid_at(bucket, ms) then
      due = due - pay_due(svc, due, bucket, available(bucket))
    end
  end
end

local function pool_budget(ctx, payers, i, j, ms)
  local budget = 0
  for k = i, j do
    local bucket = ctx.wallet.by[payers[k][1]]
    if valid_at(bucket, ms) then budget = budget + available(bucket) end
  end
  return budget
end

local function settle_from_list(ctx, svc, n, payers)
  local i = 1
  while payers[i] and n > 0 do
    local payer, ms = payers[i], time_of_use(ctx, svc)
    local bucket = ctx.wallet.by[payer[1]]
    if bucket.money then
      local j = pool_end(ctx, payers, i)
      n = n - pay_money(svc, n, svc.charged + pool_budget(ctx, payers, i, j, ms))
      collect_list(ctx, svc, payers, i, j, ms)
      i = j
    elseif valid_at(bucket, ms) then
      local m, amount = pay_bucket(svc, payer[1], payer[2], payer[3], n, available(bucket))
      debit(bucket, amount)
      n = n - m
    end
    i = i + 1
  end
  collect_list(ctx, svc, payers, 1, #payers, time_of_use(ctx, svc))
  return n
end

-- What is left when everything else has paid: priced, and debited from `main` whatever it holds.
local function overrun(ctx, svc, n)
  if n > 0 then pay_money(svc, n, MAX_AMOUNT) end
  local due, main = cost(svc) - svc.charged, ctx.wallet.by.main
  if due <= 0 then return end
  ctx.overrun = ctx.overrun + most(0, due - available(main))
  pay_due(svc, due, main, due)
end

-- Nothing was used, but the event says that the call was answered: the fee is due, unless a units
-- bucket would have paid for the first unit.
local function fee_without_use(ctx, svc, payers)
  local first = svc.held[1]
  if first then return ctx.wallet.by[first[1]].money end
  for _, payer in ipairs(payers) do
    local bucket = ctx.wallet.by[payer[1]]
    if valid_at(bucket, ctx.event_ms) then
      if bucket.money then
        if available(bucket) > 0 then return true end
      elseif available(bucket) >= payer[2] * payer[3] then
        return false
      end
    end
  end
  return true
end

local function settle(ctx, svc, used, payers)
  local before = svc.charged
  if ctx.answered and used == 0 and svc.elapsed == 0 and fee_without_use(ctx, svc, payers) then
    svc.fee_due = 1
  end
  local n = used - use_room(svc, used)
  n = settle_from_holds(ctx, svc, n)
  give_back(ctx, svc)
  n = settle_from_list(ctx, svc, n, payers)
  overrun(ctx, svc, n)
  return svc.charged - before
end
