-- Holding: units that the client may use now, and what is set aside for them. A hold is tried on a
-- copy of the service and then placed.

-- Sets `need` aside over the money payers i..j, in their order.
local function set_aside(ctx, entries, payers, i, j, need)
  for k = i, j do
    local bucket = ctx.wallet.by[payers[k][1]]
    if need > 0 and valid_at(bucket, ctx.event_ms) then
      local x = least(need, available(bucket))
      if x > 0 then entries[#entries + 1] = { payers[k][1], x, 0, 1 } end
      need = need - x
    end
  end
end

-- Walks the payers for up to `cap` units. Returns the units, what is to be held, the position
-- behind them, and the money covered up to there.
local function try_hold(ctx, svc, cap, payers, anchor)
  local pos, entries, covered, money, i = try_from(svc, anchor), {}, svc.charged, 0, 1
  local n = cap - use_room(pos, cap)
  while payers[i] and n > 0 do
    local payer = payers[i]
    local bucket = ctx.wallet.by[payer[1]]
    if bucket.money then
      local j = pool_end(ctx, payers, i)
      local m = pay_money(pos, n, covered + pool_budget(ctx, payers, i, j, ctx.event_ms))
      if m > 0 then
        local need = most(0, cost_at(pos, pos.priced) - covered)
        set_aside(ctx, entries, payers, i, j, need)
        covered, money, n = covered + need, money + need, n - m
      end
      i = j
    elseif valid_at(bucket, ctx.event_ms) then
      local m, amount = pay_bucket(pos, payer[1], payer[2], payer[3], n, available(bucket))
      if m > 0 then entries[#entries + 1] = { payer[1], amount, payer[2], payer[3] } end
      n = n - m
    end
    i = i + 1
  end
  return { units = cap - n, entries = entries, pos = pos, covered = covered, money = money }
end

-- Before the answer is known, every switch within the ringing time may be where the call begins.
local function anchors_of(ctx, svc)
  if svc.timed == 0 or svc.anchor > 0 or not svc.segs[2] then return { svc.anchor } end
  local anchors = { ctx.event_ms }
  for _, seg in ipairs(svc.segs) do
    if seg[1] > ctx.event_ms and seg[1] <= ctx.event_ms + ctx.limits[2] * 1000 then
      anchors[#anchors + 1] = seg[1]
    end
  end
  return anchors
end

-- The least grant over the anchors, and the greatest hold for it.
local function best_hold(ctx, svc, cap, payers)
  local anchors = anchors_of(ctx, svc)
  local best = try_hold(ctx, svc, cap, payers, anchors[1])
  if not anchors[2] then return best end
  local units = best.units
  for i = 2, #anchors do
    units = least(units, try_hold(ctx, svc, cap, payers, anchors[i]).units)
  end
  best = nil
  for _, anchor in ipairs(anchors) do
    local try = try_hold(ctx, svc, units, payers, anchor)
    if not best or try.money > best.money then best = try end
  end
  return best
end

local function place(ctx, svc, hold)
  for _, entry in ipairs(hold.entries) do
    local bucket = ctx.wallet.by[entry[1]]
    bucket.held, bucket.placed = bucket.held + entry[2], true
  end
  svc.held, svc.granted = hold.entries, hold.units
end

-- Whether `units` more could be bought behind a hold; `freed` says what else would be free then.
local function could_buy(ctx, hold, units, payers, freed)
  local pos = hold.pos
  local n, i = units - use_room(pos, units), 1
  while payers[i] and n > 0 do
    local payer = payers[i]
    local bucket = ctx.wallet.by[payer[1]]
    if bucket.money then
      local j, budget = pool_end(ctx, payers, i), hold.covered
      for k = i, j do
        local b = ctx.wallet.by[payers[k][1]]
        if valid_at(b, ctx.event_ms) then
          budget = budget + most(0, b.left - b.held + (freed[b.id] or 0) - b.floor)
        end
      end
      n = n - pay_money(pos, n, budget)
      i = j
    elseif valid_at(bucket, ctx.event_ms) then
      local amount = most(0, bucket.left - bucket.held + (freed[bucket.id] or 0))
      n = n - pay_bucket(pos, payer[1], payer[2], payer[3], n, amount)
    end
    i = i + 1
  end
  return n <= 0
end

-- What other sessions hold, bucket by bucket.
local function held_by_others(ctx)
  local others = {}
  for _, b in ipairs(ctx.wallet.buckets) do others[b.id] = b.held end
  for _, svc in ipairs(ctx.session.services) do
    for _, entry in ipairs(svc.held) do others[entry[1]] = others[entry[1]] - entry[2] end
  end
  return others
end

-- Holds for one service; returns its code, grant, validity and whether these are its last units.
local function hold(ctx, svc, use)
  local limits, validity = ctx.limits, ctx.limits[1]
  if use.ask <= 0 then return 'OK', 0, validity, false end
  local cap = use.cap
  if use.timed == 1 then cap = least(cap, limits[3] - svc.elapsed) end
  if cap <= 0 then return 'LIMIT_REACHED', 0, 0, false end
  if use.free == 1 then
    svc.granted = cap
    return 'NOT_CHARGED', cap, validity, false
  end
  local found = best_hold(ctx, svc, cap, use.payers)
  if found.units < least(use.minimum, use.ask) or found.units == 0 then
    return 'NO_CREDIT', 0, 0, false
  end
  place(ctx, svc, found)
  local final = false
  local spare = try_from(found.pos, found.pos.anchor)
  if not could_buy(ctx, found, use.minimum, use.payers, {}) then
    found.pos = spare
    if could_buy(ctx, found, use.minimum, use.payers, held_by_others(ctx)) then
      validity = least(validity, limits[9])
    else
      final = true
    end
  end
  return 'OK', found.units, validity, final
end
