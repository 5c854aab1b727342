-- Where a service stands in its prices, and what a step from there costs.
--
-- A position carries elapsed and priced units, the ladder in force and where it began (seg_from),
-- the terms, the cost of the priced units without the grace (what a hold has to cover), and what
-- units buckets have given (taken). A service is a position; a hold is tried on a copy of one.
--
-- The terms are the ten numbers with which a ladder begins (ladder.lua): those of the ladder that
-- priced the first unit. As long as no other ladder has followed they are false, and that ladder's
-- own are in force, with its fee as what is carried into its rows. Behind a closed segment the
-- terms are a table of their own, and carry the exact cost of all closed segments.

local function terms_of(pos)
  return pos[P_TERMS] or pos[P_LADDER]
end

-- Nothing switches, no grace, no volume pricing, no limit, no end: the short ways are for those.
-- Returns what units cost by the ladder, as far as it was asked before: most sessions of a
-- destination report and ask for the same round numbers.
local function plain_costs(pos)
  return not pos[P_TERMS] and not pos[P_PRICE][X_LATER] and pos[P_LADDER][L_PLAIN]
end

-- What `priced` units cost, without the grace.
local function cost_at(pos, priced)
  local terms, ladder = pos[P_TERMS], pos[P_LADDER]
  local w, r = rows_cost(ladder, pos[P_SEG_FROM], priced)
  local d = ladder[L_DEN]
  if not terms then
    terms = ladder
    local fee, fee_rest = ladder[L_FEE], ladder[L_FEE_REST]
    if fee > 0 or fee_rest > 0 then
      w, r = w + fee, r + fee_rest
      if r >= d then w, r = w + 1, r - d end
    end
  else
    w, r, d = add(terms[L_FEE], terms[L_FEE_REST], terms[L_DEN], w, r, d)
  end
  return bounded(w, r, d, terms)
end

-- The same, kept among the costs of a plain ladder.
local function note_cost(pos, costs, priced)
  return remember(costs, priced, cost_at(pos, priced), COSTS_KEPT)
end

-- The cost so far, as it is debited.
local function cost(pos)
  if pos[P_PRICED] == 0 then
    local ladder = pos[P_LADDER]
    if pos[P_FEE_DUE] == 0 or ladder[L_GRACE] > 0 then return 0 end
    return bounded(ladder[L_FEE], ladder[L_FEE_REST], ladder[L_DEN], ladder)
  end
  if pos[P_ELAPSED] < terms_of(pos)[L_GRACE] then return 0 end
  return pos[P_COST]
end

local function open_segment(pos, ladder)
  local terms, old = terms_of(pos), pos[P_LADDER]
  if pos[P_PRICED] > 0 then
    local w, r = rows_cost(old, pos[P_SEG_FROM], pos[P_PRICED])
    local d
    w, r, d = add(terms[L_FEE], terms[L_FEE_REST], terms[L_DEN], w, r, old[L_DEN])
    if lcm(d, ladder[L_DEN]) > MAX_DENOMINATOR then
      w, r, d = rounded(w, r, d, terms[L_ROUNDING]), 0, 1
    end
    pos[P_TERMS] = { d, w, r, terms[L_GRACE], terms[L_MINIMUM], terms[L_MAXIMUM],
      terms[L_ROUNDING], terms[L_QUANTUM], 0, terms[L_LIMIT] }
    pos[P_COST] = bounded(w, r, d, terms)
  end
  pos[P_SEG_FROM], pos[P_LADDER] = pos[P_PRICED], ladder
end

-- Takes up the segment in force at this unit of elapsed time; returns the units up to the next
-- switch, or nil. Unit k is used at answer + k seconds.
local function enter_segment(pos)
  if anchor_ms == 0 then return nil end
  local later = pos[P_PRICE][X_LATER]
  local at, passed = anchor_ms + pos[P_ELAPSED] * 1000, pos[P_PASSED]
  local i = passed * LATER + 1
  while later[i] and later[i] <= at do i, passed = i + LATER, passed + 1 end
  if passed > pos[P_PASSED] then
    open_segment(pos, later[i - 2])
    pos[P_PASSED] = passed
  end
  if later[i] then return ceil_div(later[i] - anchor_ms, 1000) - pos[P_ELAPSED] end
end

-- Units up to where another segment takes over, after taking up the one in force. What was begun is
-- used to its end first.
local function until_switch(pos)
  local priced = pos[P_PRICED]
  local rest = edge(pos[P_LADDER], pos[P_SEG_FROM], priced) - priced
  if rest > 0 then return rest end
  local switch = enter_segment(pos)
  if not switch then return BOUNDLESS end
  return edge(pos[P_LADDER], pos[P_SEG_FROM], priced + switch) - priced
end

-- What the answer says of the price in force.
local function rating_of(svc)
  local price, passed = svc[P_PRICE], svc[P_PASSED]
  if passed > 0 then return price[X_LATER][passed * LATER] end
  return price[X_RATING]
end

-- The last edge in (low, high] of a row up to which all cost at most `budget`; `low` if there is
-- none. Also whether it is the last of all. A division of doubles guesses; the loops put right the
-- unit or two by which it may be off.
local function last_within(pos, row, low, high, budget)
  local ladder, terms, base, w, r = pos[P_LADDER], terms_of(pos), pos[P_SEG_FROM], 0, 0
  if ladder[L_BY_TOTAL] == 0 then
    base = most(base, ladder[row])
    w, r = rows_cost(ladder, pos[P_SEG_FROM], base)
  end
  local step, price = ladder[row + 1], ladder[row + 2] + ladder[row + 3] / ladder[L_DEN]
  local none, all = floor((low - base) / step), ceil_div(high - base, step)
  local fits = all
  if price > 0 then
    local d
    w, r, d = add(terms[L_FEE], terms[L_FEE_REST], terms[L_DEN], w, r, ladder[L_DEN])
    local free = (budget - w) + (slack(budget, d, terms) - r) / d
    fits = least(all, most(none, floor(free / price)))
  elseif cost_at(pos, high) > budget then
    fits = none -- free of charge, but what came before is not paid
  end
  while fits > none and cost_at(pos, least(base + fits * step, high)) > budget do fits = fits - 1 end
  while fits < all and cost_at(pos, least(base + (fits + 1) * step, high)) <= budget do
    fits = fits + 1
  end
  return most(low, least(base + fits * step, high)), fits == all
end

-- The greatest cost of a stop behind the priced units up to `last`, which costs `all`. With volume
-- pricing it may be where a row ends; but a one-shot event stops at its end only.
local function dearest_stop(pos, last, all)
  local ladder, priced, dearest = pos[P_LADDER], pos[P_PRICED], all
  if ladder[L_BY_TOTAL] == 0 or one_shot then return dearest end
  for row = L_ROWS + L_ROW, #ladder, L_ROW do
    local stop = ladder[row]
    if stop > priced and stop < last then dearest = most(dearest, cost_at(pos, stop)) end
  end
  return dearest
end

-- Of how many of `limit` units every stop costs at most `budget` in all (all of them, or up to the
-- greatest edge); the whole cost behind them, and that of the dearest stop.
local function afford(pos, budget, limit)
  local priced = pos[P_PRICED]
  local last = priced + limit
  local all = cost_at(pos, last)
  local dearest = dearest_stop(pos, last, all)
  if dearest <= budget then return limit, all, dearest end
  if terms_of(pos)[L_MINIMUM] > budget then return 0, pos[P_COST], 0 end
  local ladder, best = pos[P_LADDER], priced
  for row = L_ROWS, #ladder, L_ROW do
    local low, high = most(ladder[row], priced), ladder[row + L_ROW]
    if not high or high > last then high = last end
    if high > low then
      local whole
      best, whole = last_within(pos, row, low, high, budget)
      if not whole then break end
    end
  end
  if best <= priced then return 0, pos[P_COST], 0 end
  all = cost_at(pos, best)
  return best - priced, all, dearest_stop(pos, best, all)
end

-- Lets money pay for up to `n` units while the whole cost stays within `budget`; what is granted
-- keeps within limit and end of the price too. Returns how many, and the cost of the dearest stop.
local function pay_money(pos, n, budget, granting)
  local paid, dearest = 0, 0
  while n > 0 do
    local limit, priced, money = n, pos[P_PRICED], budget
    if pos[P_PRICE][X_LATER] then limit = least(n, until_switch(pos)) end
    local ladder = pos[P_LADDER]
    if granting then
      money, limit = least(budget, terms_of(pos)[L_LIMIT]), least(limit, ladder[L_END] - priced)
      if limit <= 0 then break end
    end
    local m, whole, most_of_them = afford(pos, money, limit)
    pos[P_PRICED], pos[P_ELAPSED], pos[P_COST] = priced + m, pos[P_ELAPSED] + m, whole
    paid, n, dearest = paid + m, n - m, most(dearest, most_of_them)
    if m < limit then break end
  end
  return paid, dearest
end

-- Lets a units bucket with `amount` to give pay for up to `n` units, in whole increments; returns
-- the units and what the bucket is debited.
local function pay_bucket(pos, name, increment, factor, n, amount)
  local m = least(n, floor(amount / (increment * factor)) * increment)
  if m <= 0 then return 0, 0 end
  local taken, i, paid = pos[P_TAKEN], 1, ceil_div(m, increment) * increment
  while taken[i] and (taken[i] ~= name or taken[i + 1] < 0) do i = i + TAKEN end
  if taken[i] then
    taken[i + 1], taken[i + 2] = taken[i + 1] + m, taken[i + 2] + paid
  elseif i == 1 then
    pos[P_TAKEN] = { name, m, paid }
  else
    taken[i], taken[i + 1], taken[i + 2] = name, m, paid
  end
  pos[P_ELAPSED] = pos[P_ELAPSED] + m
  return m, paid * factor
end

-- Uses up to `n` units of what was begun and paid for; returns how many. Its cost is in the cost so
-- far already. What is granted keeps within the end of the price. Only where use has gone back may
-- there be more than one begun increment.
local function use_room(pos, n, granting, unpaid)
  if n <= 0 then return 0 end
  local priced, seg_from, taken, rest = pos[P_PRICED], pos[P_SEG_FROM], pos[P_TAKEN], n
  if priced > seg_from and not unpaid then
    local ladder = pos[P_LADDER]
    local m = edge(ladder, seg_from, priced) - priced
    if granting and m > ladder[L_END] - priced then m = ladder[L_END] - priced end
    if m > n then m = n end
    if m > 0 then
      pos[P_PRICED], pos[P_ELAPSED] = priced + m, pos[P_ELAPSED] + m
      rest = n - m
      if rest == 0 then return n end
    end
  end
  for i = 1, #taken, TAKEN do
    if taken[i + 2] > taken[i + 1] then
      local m = least(rest, taken[i + 2] - taken[i + 1])
      taken[i + 1], pos[P_ELAPSED], rest = taken[i + 1] + m, pos[P_ELAPSED] + m, rest - m
    end
  end
  return n - rest
end

-- Undoes the last `n` units of use, as far as it goes: of money's first, though not out of closed
-- segments, then of the buckets', the one that was used first last. Buckets get back what is not
-- begun any more.
local function undo_use(pos, n, payers)
  local m = least(n, pos[P_PRICED] - pos[P_SEG_FROM])
  local priced, taken, rest = pos[P_PRICED] - m, pos[P_TAKEN], n - m
  pos[P_PRICED], pos[P_COST] = priced, priced > 0 and cost_at(pos, priced) or 0
  for i = #taken - TAKEN + 1, 1, -TAKEN do
    local place, used, paid = nil, taken[i + 1], taken[i + 2]
    for k = 1, #payers, PAYER do
      if payers[k + 1] > 0 and wallet[payers[k]][B_NAME] == taken[i] then place = k end
    end
    if place and used > 0 and rest > 0 then
      local increment, back = payers[place + 1], least(rest, used)
      local covered = least(paid, ceil_div(used - back, increment) * increment)
      debit(wallet[payers[place]], (covered - paid) * payers[place + 2])
      taken[i + 1], taken[i + 2], rest = used - back, covered, rest - back
    end
  end
  pos[P_ELAPSED] = pos[P_ELAPSED] - (n - rest)
end

-- A copy on which a hold may be tried.
local function try_from(svc)
  local pos = { unpack(svc, 1, P_CHARGED) }
  local taken = pos[P_TAKEN]
  if taken[1] then pos[P_TAKEN] = { unpack(taken) } end
  return pos
end
