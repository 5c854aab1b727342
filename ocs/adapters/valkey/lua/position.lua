-- Where a service stands in its prices, and what a step from there costs.
--
-- A position carries elapsed and priced units, the segment that prices them now (ladder, seg_from),
-- the exact cost of closed segments with the fee (cw + cr/cd), the terms of the ladder that priced
-- the first unit, and what units buckets have given (taken). A service is a position; a hold is
-- tried on a copy of one.

-- The cost of `priced` units without the grace: what a hold has to cover.
local function cost_at(pos, priced)
  local ladder = pos[P_LADDER]
  local w, r = rows_cost(ladder, pos[P_SEG_FROM], priced)
  local d
  w, r, d = add(pos[P_CW], pos[P_CR], pos[P_CD], w, r, ladder[L_DEN])
  return bounded(w, r, d, pos[P_MINIMUM], pos[P_MAXIMUM], pos[P_ROUNDING])
end

-- The cost so far, as it is debited.
local function cost(pos)
  if pos[P_PRICED] == 0 then
    local ladder = pos[P_LADDER]
    if pos[P_FEE_DUE] == 0 or ladder[L_GRACE] > 0 then return 0 end
    return bounded(ladder[L_FEE], ladder[L_FEE_REST], ladder[L_DEN], ladder[L_MINIMUM],
      ladder[L_MAXIMUM], ladder[L_ROUNDING])
  end
  if pos[P_ELAPSED] < pos[P_GRACE] then return 0 end
  return cost_at(pos, pos[P_PRICED])
end

local function open_segment(pos, ladder, rating)
  if pos[P_GRACE] >= 0 then
    local old = pos[P_LADDER]
    local w, r = rows_cost(old, pos[P_SEG_FROM], pos[P_PRICED])
    local d
    w, r, d = add(pos[P_CW], pos[P_CR], pos[P_CD], w, r, old[L_DEN])
    if lcm(d, ladder[L_DEN]) > MAX_DENOMINATOR then
      w, r, d = bounded(w, r, d, 0, -1, pos[P_ROUNDING]), 0, 1
    end
    pos[P_CW], pos[P_CR], pos[P_CD] = w, r, d
  end
  pos[P_SEG_FROM], pos[P_LADDER], pos[P_RATING] = pos[P_PRICED], ladder, rating
end

-- Takes up the segment in force at this unit of elapsed time; returns the units up to the next
-- switch, or nil. Unit k is used at answer + k seconds.
local function enter_segment(pos)
  local later = pos[P_LATER]
  if not later or pos[P_ANCHOR] == 0 then return nil end
  local at, i = pos[P_ANCHOR] + pos[P_ELAPSED] * 1000, 1
  while later[i] and later[i] <= at do i = i + LATER end
  if i > 1 then
    open_segment(pos, later[i - 2], later[i - 1])
    later = { unpack(later, i) }
    pos[P_LATER] = later
  end
  if later[1] then return ceil_div(later[1] - pos[P_ANCHOR], 1000) - pos[P_ELAPSED] end
  pos[P_LATER] = false
end

-- How many increments of one row, counted from `low`, cost at most `budget` in all. A division of
-- doubles guesses; the loops put right the unit or two by which it may be off.
local function increments_within(pos, row, low, high, budget)
  local ladder = pos[P_LADDER]
  local step, price = ladder[row + 1], ladder[row + 2] + ladder[row + 3] / ladder[L_DEN]
  local all = ceil_div(high - low, step)
  local fits = all
  if price > 0 then
    local w, r = rows_cost(ladder, pos[P_SEG_FROM], low)
    local d
    w, r, d = add(pos[P_CW], pos[P_CR], pos[P_CD], w, r, ladder[L_DEN])
    local free = (budget - w) + (slack(budget, d, pos[P_ROUNDING]) - r) / d
    fits = least(all, most(0, floor(free / price)))
  end
  while fits > 0 and cost_at(pos, least(low + fits * step, high)) > budget do fits = fits - 1 end
  while fits < all and cost_at(pos, least(low + (fits + 1) * step, high)) <= budget do
    fits = fits + 1
  end
  return least(low + fits * step, high), fits == all
end

-- How many of `limit` units cost at most `budget` in all: all of them, or up to the greatest edge.
local function afford(pos, budget, limit)
  local priced = pos[P_PRICED]
  local last = priced + limit
  if cost_at(pos, last) <= budget then return limit end
  if pos[P_MINIMUM] > budget then return 0 end
  local ladder, best = pos[P_LADDER], priced
  for row = L_ROWS, #ladder, L_ROW do
    local low, high = most(ladder[row], pos[P_SEG_FROM]), ladder[row + L_ROW]
    if not high or high > last then high = last end
    if high > low then
      local whole
      best, whole = increments_within(pos, row, low, high, budget)
      if not whole then break end
    end
  end
  return most(0, best - priced)
end

local function begin_pricing(pos)
  local ladder = pos[P_LADDER]
  pos[P_CW], pos[P_CR], pos[P_CD] = ladder[L_FEE], ladder[L_FEE_REST], ladder[L_DEN]
  pos[P_GRACE], pos[P_MINIMUM] = ladder[L_GRACE], ladder[L_MINIMUM]
  pos[P_MAXIMUM], pos[P_ROUNDING] = ladder[L_MAXIMUM], ladder[L_ROUNDING]
end

-- Lets money pay for up to `n` units while the whole cost stays within `budget`; returns how many.
local function pay_money(pos, n, budget)
  local paid = 0
  while n > 0 do
    local switch = enter_segment(pos)
    if pos[P_GRACE] < 0 then begin_pricing(pos) end
    local limit, priced = n, pos[P_PRICED]
    if switch and switch < n then
      limit = least(n, edge(pos[P_LADDER], pos[P_SEG_FROM], priced + switch) - priced)
    end
    local m = afford(pos, budget, limit)
    pos[P_PRICED], pos[P_ELAPSED] = priced + m, pos[P_ELAPSED] + m
    paid, n = paid + m, n - m
    if m < limit then break end
  end
  if pos[P_PRICED] == 0 then
    pos[P_GRACE], pos[P_CW], pos[P_CR], pos[P_CD] = -1, 0, 0, 1
  end
  return paid
end

-- Lets a units bucket with `amount` to give pay for up to `n` units, in whole increments; returns
-- the units and what the bucket is debited.
local function pay_bucket(pos, id, increment, factor, n, amount)
  local m = least(n, floor(amount / (increment * factor)) * increment)
  if m <= 0 then return 0, 0 end
  local taken, i = pos[P_TAKEN], 1
  while taken[i] and taken[i] ~= id do i = i + TAKEN end
  local paid = ceil_div(m, increment) * increment
  taken[i], taken[i + 1] = id, (taken[i + 1] or 0) + m
  taken[i + 2] = (taken[i + 2] or 0) + paid
  pos[P_ELAPSED] = pos[P_ELAPSED] + m
  return m, paid * factor
end

-- Uses up to `n` units of the increment that was begun and paid for; returns how many.
local function use_room(pos, n)
  if n <= 0 then return 0 end
  local priced, taken = pos[P_PRICED], pos[P_TAKEN]
  if priced > pos[P_SEG_FROM] then
    local m = least(n, edge(pos[P_LADDER], pos[P_SEG_FROM], priced) - priced)
    if m > 0 then
      pos[P_PRICED], pos[P_ELAPSED] = priced + m, pos[P_ELAPSED] + m
      return m
    end
  end
  for i = 1, #taken, TAKEN do
    if taken[i + 2] > taken[i + 1] then
      local m = least(n, taken[i + 2] - taken[i + 1])
      taken[i + 1], pos[P_ELAPSED] = taken[i + 1] + m, pos[P_ELAPSED] + m
      return m
    end
  end
  return 0
end

-- A copy on which a hold may be tried; it is answered at `anchor`.
local function try_from(svc, anchor)
  local pos = { unpack(svc, 1, P_ANCHOR) }
  pos[P_TAKEN], pos[P_ANCHOR] = { unpack(svc[P_TAKEN]) }, anchor
  return pos
end
