-- Prices. A ladder is a flat array, as `packed()` in ocs/domain/ladder.py writes it:
--
--   1 den   2 fee whole   3 fee rest   4 grace   5 minimum   6 maximum (-1 none)   7 rounding
--   8 start   9 increment   10 price whole   11 price rest      and so on, four numbers a row
--
-- A price is whole + rest/den money units for each increment. Amounts stay exact as (whole, rest)
-- over a denominator and are rounded once, at the end. With den <= 2^26 and everything else below
-- 2^53 the quotients below are exact: a true quotient that is no integer is at least 1/den away
-- from one, and the rounding error of the division is less than that.
local ROUND_HALF_UP, ROUND_HALF_EVEN, ROUND_UP = 0, 1, 2
local L_DEN, L_FEE, L_FEE_REST, L_GRACE, L_MINIMUM, L_MAXIMUM, L_ROUNDING = 1, 2, 3, 4, 5, 6, 7
local L_ROWS, L_ROW = 8, 4

local function ceil_div(a, b)
  local q = floor(a / b)
  if q * b < a then return q + 1 end
  return q
end

local function lcm(a, b)
  if a == b then return a end
  local x, y = a, b
  while y > 0 do
    x, y = y, x % y
  end
  return a / x * b
end

-- w1 + r1/d1 + w2 + r2/d2
local function add(w1, r1, d1, w2, r2, d2)
  local d = d1
  if d1 ~= d2 then
    d = lcm(d1, d2)
    r1, r2 = r1 * (d / d1), r2 * (d / d2)
  end
  local w, r = w1 + w2, r1 + r2
  if r >= d then return w + 1, r - d, d end
  return w, r, d
end

-- Rounds once, then applies minimum and maximum.
local function bounded(w, r, d, minimum, maximum, mode)
  if r > 0 then
    if mode == ROUND_HALF_UP then
      if 2 * r >= d then w = w + 1 end
    elseif mode == ROUND_HALF_EVEN then
      if 2 * r > d or (2 * r == d and w % 2 == 1) then w = w + 1 end
    elseif mode == ROUND_UP then
      w = w + 1
    end
  end
  if w < minimum then w = minimum end
  if maximum >= 0 and w > maximum then w = maximum end
  if w > MAX_AMOUNT then error('AMOUNT_OVERFLOW') end
  return w
end

-- The greatest r for which budget + r/d still rounds to budget.
local function slack(budget, d, mode)
  if mode == ROUND_UP then return 0 end
  if mode == ROUND_HALF_UP or (mode == ROUND_HALF_EVEN and budget % 2 == 1) then
    return ceil_div(d, 2) - 1
  end
  if mode == ROUND_HALF_EVEN then return floor(d / 2) end
  return d - 1
end

-- What the units [from, to) cost by the rows, exactly. Increments are counted from the row's start
-- or from `from`, whichever is later; a row's last increment costs a whole price.
local function rows_cost(ladder, from, to)
  local den, whole, rest = ladder[L_DEN], 0, 0
  for i = L_ROWS, #ladder, L_ROW do
    local low, high = ladder[i], ladder[i + L_ROW]
    if low < from then low = from end
    if low >= to then break end
    if not high or high > to then high = to end
    if high > low then
      local count, price_rest = ceil_div(high - low, ladder[i + 1]), ladder[i + 3]
      whole = whole + count * ladder[i + 2]
      if price_rest > 0 then
        -- count * rest/den: of count = thick * den + thin, thick * rest is whole already
        local thick = floor(count / den)
        local thin = (count - thick * den) * price_rest
        local carry = floor(thin / den)
        whole, rest = whole + thick * price_rest + carry, rest + thin - carry * den
        if rest >= den then whole, rest = whole + 1, rest - den end
      end
    end
  end
  return whole, rest
end

-- The end of the increment in which the unit before `to` lies, counted as in rows_cost.
local function edge(ladder, from, to)
  for i = L_ROWS, #ladder, L_ROW do
    local low, high = most(ladder[i], from), ladder[i + L_ROW]
    if not high or to <= high then
      local q = low + ceil_div(to - low, ladder[i + 1]) * ladder[i + 1]
      if high then return least(q, high) end
      return q
    end
  end
end
