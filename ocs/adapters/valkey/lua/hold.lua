-- Holding: units that the client may use now, and what is set aside for them. A hold is tried on a
-- copy of the service and then placed.

-- Sets `need` aside over the money payers i..j, in their order.
local function set_aside(ctx, entries, payers, i, j, need)
  local wallet = ctx.wallet
  for k = i, j, PAYER do
    local b = bucket_of(wallet, payers[k])
    if need > 0 and valid_at(wallet, b, ctx.event_ms) then
      local x, e = least(need, available(wallet, b)), #entries
      if x > 0 then
        entries[e + 1], entries[e + 2], entries[e + 3], entries[e + 4] = payers[k], x, 0, 1
      end
      need = need - x
    end
  end
end

-- Walks the payers for up to `cap` units. Returns the units, what is to be held, the position
-- behind them, the cost covered up to there, and the money set aside.
local function try_hold(ctx, svc, cap, payers, anchor)
  local wallet, ms, pos, entries = ctx.wallet, ctx.event_ms, try_from(svc, anchor), {}
  local covered, money, i = svc[P_CHARGED], 0, 1
  local n = cap
  -- Within the grace nobody has paid yet for what was begun: it has to be covered like the rest.
  if pos[P_GRACE] <= 0 or cost_at(pos, pos[P_PRICED]) <= covered then n = cap - use_room(pos, cap) end
  while payers[i] and n > 0 do
    local b = bucket_of(wallet, payers[i])
    if wallet[b + B_MONEY] == 1 then
      local j = pool_end(wallet, payers, i, PAYER)
      local m = pay_money(pos, n, covered + pool_budget(wallet, payers, i, j, ms))
      if m > 0 then
        local need = most(0, cost_at(pos, pos[P_PRICED]) - covered)
        set_aside(ctx, entries, payers, i, j, need)
        covered, money, n = covered + need, money + need, n - m
      end
      i = j
    elseif valid_at(wallet, b, ms) then
      local free = available(wallet, b)
      local m, x = pay_bucket(pos, payers[i], payers[i + 1], payers[i + 2], n, free)
      if m > 0 then
        local e = #entries
        entries[e + 1], entries[e + 2] = payers[i], x
        entries[e + 3], entries[e + 4] = payers[i + 1], payers[i + 2]
      end
      n = n - m
    end
    i = i + PAYER
  end
  return cap - n, entries, pos, covered, money
end

-- Before the answer is known, every switch within the ringing time may be where the call begins.
-- Returns nil when there is but one anchor.
local function anchors_of(ctx, svc)
  local later = svc[P_LATER]
  if not later or svc[P_ANCHOR] > 0 then return nil end
  local anchors = { ctx.event_ms }
  for i = 1, #later, LATER do
    if later[i] > ctx.event_ms and later[i] <= ctx.event_ms + ctx.max_ring_s * 1000 then
      anchors[#anchors + 1] = later[i]
    end
  end
  return anchors
end

-- The least grant over the anchors, and the greatest hold for it.
local function best_hold(ctx, svc, cap, payers)
  local anchors = anchors_of(ctx, svc)
  if not anchors then return try_hold(ctx, svc, cap, payers, svc[P_ANCHOR]) end
  local units = cap
  for i = 1, #anchors do
    units = least(units, (try_hold(ctx, svc, cap, payers, anchors[i])))
  end
  local most_money, entries, pos, covered = -1, nil, nil, nil
  for i = 1, #anchors do
    local _, e, p, c, money = try_hold(ctx, svc, units, payers, anchors[i])
    if money > most_money then
      most_money, entries, pos, covered = money, e, p, c
    end
  end
  return units, entries, pos, covered
end

local function place(ctx, svc, units, entries)
  local wallet = ctx.wallet
  for i = 1, #entries, HELD do
    local b = bucket_of(wallet, entries[i])
    wallet[b + B_HELD] = wallet[b + B_HELD] + entries[i + 1]
    ctx.placed[b] = true
  end
  svc[P_HELD], svc[P_GRANTED] = entries, units
end

-- What could be taken from a bucket if `freed` were given back too.
local function free_with(wallet, b, freed)
  local free = wallet[b + B_LEFT] - wallet[b + B_HELD] + (freed[wallet[b]] or 0)
  if wallet[b] == 'main' then free = free - wallet[W_FLOOR] end
  return most(0, free)
end

-- Whether `units` more could be bought behind a hold.
local function could_buy(ctx, from, covered, units, payers, freed)
  local wallet, ms, pos = ctx.wallet, ctx.event_ms, try_from(from, from[P_ANCHOR])
  local n, i = units - use_room(pos, units), 1
  while payers[i] and n > 0 do
    local b = bucket_of(wallet, payers[i])
    if wallet[b + B_MONEY] == 1 then
      local j, budget = pool_end(wallet, payers, i, PAYER), covered
      for k = i, j, PAYER do
        local one = bucket_of(wallet, payers[k])
        if valid_at(wallet, one, ms) then budget = budget + free_with(wallet, one, freed) end
      end
      local m = pay_money(pos, n, budget)
      if m > 0 then covered = most(covered, cost_at(pos, pos[P_PRICED])) end
      n, i = n - m, j
    elseif valid_at(wallet, b, ms) then
      local free = free_with(wallet, b, freed)
      n = n - pay_bucket(pos, payers[i], payers[i + 1], payers[i + 2], n, free)
    end
    i = i + PAYER
  end
  return n <= 0
end

-- The quick way to the same answer, for the common case: the last payer is money, nothing switches,
-- and it has the cost of `units` more. False says nothing.
local function surely_could_buy(ctx, pos, covered, units, payers)
  local wallet = ctx.wallet
  local b = bucket_of(wallet, payers[#payers - PAYER + 1])
  if pos[P_GRACE] < 0 or pos[P_LATER] or wallet[b + B_MONEY] == 0 then return false end
  if not valid_at(wallet, b, ctx.event_ms) then return false end
  return cost_at(pos, pos[P_PRICED] + units) - covered <= available(wallet, b)
end

-- What other sessions hold, by bucket.
local function held_by_others(ctx)
  local wallet, session, others = ctx.wallet, ctx.session, {}
  for b = W_BUCKETS, #wallet, W_BUCKET do others[wallet[b]] = wallet[b + B_HELD] end
  for s = S_SERVICES, #session do
    local held = session[s][P_HELD]
    for i = 1, #held, HELD do others[held[i]] = others[held[i]] - held[i + 1] end
  end
  return others
end

-- Holds for one service; returns its code, grant, validity and whether these are its last units.
local function hold(ctx, svc, ask, cap, minimum, free, payers)
  if ask <= 0 then return 'OK', 0, ctx.validity_s, false end
  if svc[P_TIMED] == 1 then cap = least(cap, ctx.life_units - svc[P_ELAPSED]) end
  if cap <= 0 then return 'LIMIT_REACHED', 0, 0, false end
  if free == 1 then
    svc[P_GRANTED] = cap
    return 'NOT_CHARGED', cap, ctx.validity_s, false
  end
  local units, entries, pos, covered = best_hold(ctx, svc, cap, payers)
  if units == 0 or units < least(minimum, ask) then return 'NO_CREDIT', 0, 0, false end
  place(ctx, svc, units, entries)
  if surely_could_buy(ctx, pos, covered, minimum, payers)
    or could_buy(ctx, pos, covered, minimum, payers, {}) then
    return 'OK', units, ctx.validity_s, false
  end
  if could_buy(ctx, pos, covered, minimum, payers, held_by_others(ctx)) then
    return 'OK', units, least(ctx.validity_s, ctx.held_elsewhere_s), false
  end
  return 'OK', units, ctx.validity_s, true
end
