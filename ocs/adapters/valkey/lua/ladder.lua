-- Prices. A ladder is a flat array, as `packed()` in ocs/domain/ladder.py writes it:
--
--   1 den   2 fee whole   3 fee rest   4 grace   5 minimum   6 maximum (-1 none)   7 rounding
--   8 start   9 increment   10 price whole   11 price rest      and so on, four numbers a row
--
-- and here two more in each row, whole and rest of what all rows before it cost together.
--
-- Its first seven numbers are terms: what is carried into the rows (whole + rest/den), and how the
-- sum is bounded. A position whose first ladder has been left has terms of its own (position.lua).
--
-- A price is whole + rest/den money units for each increment. Amounts stay exact as (whole, rest)
-- over a denominator and are rounded once, at the end. With den <= 2^26 and everything else below
-- 2^53 the quotients below are exact: a true quotient that is no integer is at least 1/den away
-- from one, and the rounding error of the division is less than that. The same holds for `%`, which
-- is a - floor(a / b) * b: so (a - a % b) / b is the quotient without a call of floor.
local ROUND_HALF_UP, ROUND_HALF_EVEN, ROUND_UP = 0, 1, 2
local L_DEN, L_FEE, L_FEE_REST, L_GRACE, L_MINIMUM, L_MAXIMUM, L_ROUNDING = 1, 2, 3, 4, 5, 6, 7
local L_ROWS, L_ROW = 8, 6

local function ceil_div(a, b)
  local over = a % b
  if over > 0 then return (a - over) / b + 1 end
  return a / b
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

local function rounded(w, r, d, mode)
  if r == 0 then return w end
  if mode == ROUND_HALF_UP then
    if 2 * r >= d then return w + 1 end
  elseif mode == ROUND_HALF_EVEN then
    if 2 * r > d or (2 * r == d and w % 2 == 1) then return w + 1 end
  elseif mode == ROUND_UP then
    return w + 1
  end
  return w
end

-- Rounds once, then applies minimum and maximum. A sum above 2^53 is no longer exact, but above
-- every budget; whoever must pay it fails (settle.lua).
local function bounded(w, r, d, terms)
  if r > 0 then w = rounded(w, r, d, terms[L_ROUNDING]) end
  local minimum, maximum = terms[L_MINIMUM], terms[L_MAXIMUM]
  if w < minimum then w = minimum end
  if maximum >= 0 and w > maximum then w = maximum end
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

-- What `units` of the row at `i` cost, added to whole + rest; the last increment costs a whole
-- price.
local function add_row(ladder, i, units, whole, rest)
  local step, price_rest = ladder[i + 1], ladder[i + 3]
  local over = units % step
  local count = (units - over) / step
  if over > 0 then count = count + 1 end
  whole = whole + count * ladder[i + 2]
  if price_rest > 0 then
    -- count * rest/den: of count = thick * den + thin, thick * rest is whole already
    local den = ladder[L_DEN]
    local thin = count % den
    local more = thin * price_rest
    local left = more % den
    whole, rest = whole + (count - thin) / den * price_rest + (more - left) / den, rest + left
    if rest >= den then return whole + 1, rest - den end
  end
  return whole, rest
end

-- A ladder from its numbers, four in a row.
local function ladder_from(numbers)
  local ladder, whole, rest = { unpack(numbers, 1, L_ROWS - 1) }, 0, 0
  for n = L_ROWS, #numbers, 4 do
    local i, next_start = #ladder + 1, numbers[n + 4]
    ladder[i], ladder[i + 1], ladder[i + 2] = numbers[n], numbers[n + 1], numbers[n + 2]
    ladder[i + 3], ladder[i + 4], ladder[i + 5] = numbers[n + 3], whole, rest
    if next_start then
      whole, rest = add_row(ladder, i, next_start - numbers[n], whole, rest)
    end
  end
  return ladder
end

-- What the units [from, to) cost by the rows, exactly. Increments are counted from the row's start
-- or from `from`, whichever is later.
local function rows_cost(ladder, from, to)
  local i, whole, rest = L_ROWS, 0, 0
  if from == 0 then
    local start = ladder[L_ROWS + L_ROW]
    while start and start < to do
      i = i + L_ROW
      start = ladder[i + L_ROW]
    end
    whole, rest = ladder[i + 4], ladder[i + 5]
  end
  local low = ladder[i]
  while low and low < to do
    local high = ladder[i + L_ROW] -- where the next row begins
    if low < from then low = from end
    local units = to - low
    if high and high < to then units = high - low end
    if units > 0 then whole, rest = add_row(ladder, i, units, whole, rest) end
    i, low = i + L_ROW, high
  end
  return whole, rest
end

-- The end of the increment in which the unit before `to` lies, counted as in rows_cost.
local function edge(ladder, from, to)
  local i, low, high = L_ROWS, ladder[L_ROWS], ladder[L_ROWS + L_ROW]
  while high and high < to do
    i, low = i + L_ROW, high
    high = ladder[i + L_ROW]
  end
  if low < from then low = from end
  local step = ladder[i + 1]
  local over = (to - low) % step
  if over > 0 then to = to + step - over end
  if high and high < to then return high end
  return to
end
