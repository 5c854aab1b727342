-- Where a service stands in its prices, and what a step from there costs.
--
-- A position carries elapsed and priced units, the segment that prices them now (ladder, seg_from),
-- the exact cost of closed segments with the fee (cw + cr/cd), the terms of the ladder that priced
-- the first unit, and what units buckets have given (taken). Services are positions; a hold is
-- tried on a copy of one.

local function terms_of(ladder)
  return { ladder[4], ladder[5], ladder[6], ladder[7] }
end

-- The cost of `priced` units without the grace: what a hold has to cover.
local function cost_at(pos, priced)
  local ladder = pos.ladder
  local w, r = rows_cost(ladder, pos.seg_from, priced)
  local d
  w, r, d = add(pos.cw, pos.cr, pos.cd, w, r, ladder[1])
  return bounded(w, r, d, pos.terms)
end

-- The cost so far, as it is debited.
local function cost(pos)
  if pos.priced == 0 then
    local ladder = pos.ladder
    if pos.fee_due == 0 or not ladder or ladder[4] > 0 then return 0 end
    return bounded(ladder[2], ladder[3], ladder[1], terms_of(ladder))
  end
  if pos.elapsed < pos.terms[1] then return 0 end
  return cost_at(pos, pos.priced)
end

local function open_segment(pos, ladder)
  if pos.terms then
    local w, r = rows_cost(pos.ladder, pos.seg_from, pos.priced)
    pos.cw, pos.cr, pos.cd = add(pos.cw, pos.cr, pos.cd, w, r, pos.ladder[1])
    if lcm(pos.cd, ladder[1]) > MAX_DENOMINATOR then
      local mode = { 0, 0, -1, pos.terms[4] }
      pos.cw, pos.cr, pos.cd = bounded(pos.cw, pos.cr, pos.cd, mode), 0, 1
    end
  end
  pos.seg_from, pos.ladder = pos.priced, ladder
end

-- Takes up the segment in force at this unit of elapsed time; returns the units up to the next
-- switch, or nil. Unit k is used at answer + k seconds.
local function enter_segment(pos)
  local segs = pos.segs
  if pos.timed == 0 or pos.anchor == 0 or not segs[2] then return nil end
  local at, i = pos.anchor + pos.elapsed * 1000, pos.seg_i
  while segs[i + 1] and segs[i + 1][1] <= at do i = i + 1 end
  if i ~= pos.seg_i then
    pos.seg_i = i
    open_segment(pos, segs[i][2])
  end
  if segs[i + 1] then return ceil_div(segs[i + 1][1] - pos.anchor, 1000) - pos.elapsed end
end

-- How many of `limit` units cost at most `budget` in all: all of them, or up to the greatest edge.
-- The first guess is a division of doubles; the loops put right the unit by which it may be off.
local function afford(pos, budget, limit)
  local last = pos.priced + limit
  if cost_at(pos, last) <= budget then return limit end
  if pos.terms[2] > budget then return 0 end -- not even the minimum charge
  local ladder, mode = pos.ladder, pos.terms[4]
  local best = pos.priced
  for i = 8, #ladder, 4 do
    local low, high, step = most(ladder[i], pos.seg_from), ladder[i + 4], ladder[i + 1]
    if not high or high > last then high = last end
    if high > low then
      local price = ladder[i + 2] + ladder[i + 3] / ladder[1]
      local all = ceil_div(high - low, step)
      local fits = all
      if price > 0 then
        local w, r = rows_cost(ladder, pos.seg_from, low)
        local d
        w, r, d = add(pos.cw, pos.cr, pos.cd, w, r, ladder[1])
        local free = (budget - w) + (slack(budget, d, mode) - r) / d
        fits = least(all, most(0, floor(free / price)))
      end
      while fits > 0 and cost_at(pos, least(low + fits * step, high)) > budget do
        fits = fits - 1
      end
      while fits < all and cost_at(pos, least(low + (fits + 1) * step, high)) <= budget do
        fits = fits + 1
      end
      best = least(low + fits * step, high)
      if fits < all then break end
    end
  end
  return most(0, best - pos.priced)
end

-- Lets money pay for up to `n` units while the whole cost stays within `budget`; returns how many.
local function pay_money(pos, n, budget)
  local paid = 0
  while n > 0 do
    local switch = enter_segment(pos)
    if not pos.terms then
      local ladder = pos.ladder
      pos.terms = terms_of(ladder)
      pos.cw, pos.cr, pos.cd = ladder[2], ladder[3], ladder[1]
    end
    local limit = n
    if switch and switch < n then
      limit = least(n, edge(pos.ladder, pos.seg_from, pos.priced + switch) - pos.priced)
    end
    local m = afford(pos, budget, limit)
    pos.priced, pos.elapsed = pos.priced + m, pos.elapsed + m
    paid, n = paid + m, n - m
    if m < limit then break end
  end
  if pos.priced == 0 then
    pos.terms, pos.cw, pos.cr, pos.cd = nil, 0, 0, 1
  end
  return paid
end

-- Lets a units bucket with `amount` to give pay for up to `n` units, in whole increments; returns
-- the units and what the bucket is debited.
local function pay_bucket(pos, id, increment, factor, n, amount)
  local whole = floor(amount / (increment * factor))
  local m = least(n, whole * increment)
  if m <= 0 then return 0, 0 end
  local t = pos.taken[id]
  if not t then
    t = { used = 0, paid = 0 }
    pos.taken[id] = t
  end
  local paid = ceil_div(m, increment) * increment
  t.used, t.paid = t.used + m, t.paid + paid
  pos.elapsed = pos.elapsed + m
  return m, paid * factor
end

-- Uses up to `n` units of the increment that was begun and paid for; returns how many.
local function use_room(pos, n)
  if n <= 0 then return 0 end
  if pos.priced > pos.seg_from then
    local m = least(n, edge(pos.ladder, pos.seg_from, pos.priced) - pos.priced)
    if m > 0 then
      pos.priced, pos.elapsed = pos.priced + m, pos.elapsed + m
      return m
    end
  end
  for _, t in pairs(pos.taken) do
    if t.paid > t.used then
      local m = least(n, t.paid - t.used)
      t.used, pos.elapsed = t.used + m, pos.elapsed + m
      return m
    end
  end
  return 0
end

-- A copy on which a hold may be tried; it is answered at `anchor`.
local function try_from(svc, anchor)
  local taken = {}
  for id, t in pairs(svc.taken) do
    taken[id] = { used = t.used, paid = t.paid }
  end
  return {
    elapsed = svc.elapsed, priced = svc.priced, seg_from = svc.seg_from,
    cw = svc.cw, cr = svc.cr, cd = svc.cd, fee_due = svc.fee_due,
    timed = svc.timed, segs = svc.segs, seg_i = svc.seg_i, ladder = svc.ladder,
    terms = svc.terms, taken = taken, anchor = anchor,
  }
end
