-- Prices. A ladder is a flat array, as `packed()` in ocs/domain/ladder.py writes it:
--
--   1 den   2 fee whole   3 fee rest   4 grace   5 minimum   6 maximum (-1 none)   7 rounding
--   8 quantum   9 by total   10 limit (-1 none)   11 end (-1 none)
--   12 start   13 increment   14 price whole   15 price rest      and so on, four numbers a row
--
-- and here one more before the rows, whether it is plain (the short ways of settle.lua and hold.lua
-- are for those), and two more in each row, whole and rest of what all rows before it cost together.
--
-- Its first ten numbers are terms: what is carried into the rows (whole + rest/den), and how the
-- sum is bounded. A position whose first ladder has been left has terms of its own (position.lua).
--
-- A price is whole + rest/den money units for each increment. Amounts stay exact as (whole, rest)
-- over a denominator and are rounded once, at the end. With den <= 2^26 and everything else below
-- 2^53 the quotients below are exact: a true quotient that is no integer is at least 1/den away
-- from one, and the rounding error of the division is less than that. The same holds for `%`, which
-- is a - floor(a / b) * b: so (a - a % b) / b is the quotient without a call of floor.
local ROUND_HALF_UP, ROUND_HALF_EVEN, ROUND_UP = 0, 1, 2
local L_DEN, L_FEE, L_FEE_REST, L_GRACE, L_MINIMUM, L_MAXIMUM, L_ROUNDING = 1, 2, 3, 4, 5, 6, 7
local L_QUANTUM, L_BY_TOTAL, L_LIMIT, L_END, L_PLAIN = 8, 9, 10, 11, 12
local L_ROWS, L_ROW = 13, 6
local PACKED_ROWS = 12
local BOUNDLESS = 2 ^ 80 -- a limit or an end where there is none

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

-- Rounds once to a multiple of the quantum, then applies minimum and maximum. A sum above 2^53 is no
-- longer exact, and left as it is: above every budget; whoever must pay it fails (settle.lua).
local function bounded(w, r, d, terms)
  local quantum = terms[L_QUANTUM]
  if quantum > 1 and w <= MAX_AMOUNT then
    -- quantum <= 10^8 and d <= 2^26: their product is below 2^53
    local over = w % quantum
    local multiples = (w - over) / quantum
    w = rounded(multiples, over * d + r, quantum * d, terms[L_ROUNDING]) * quantum
  elseif r > 0 then
    w = rounded(w, r, d, terms[L_ROUNDING])
  end
  local minimum, maximum = terms[L_MINIMUM], terms[L_MAXIMUM]
  if w < minimum then w = minimum end
  if maximum >= 0 and w > maximum then w = maximum end
  return w
end

-- The greatest r for which budget + r/d still rounds to no more than budget.
local function slack(budget, d, terms)
  local quantum, mode = terms[L_QUANTUM], terms[L_ROUNDING]
  local over = budget % quantum
  local odd, fine, r = (budget - over) / quantum % 2 == 1, quantum * d, 0
  if mode == ROUND_HALF_UP or (mode == ROUND_HALF_EVEN and odd) then
    r = ceil_div(fine, 2) - 1
  elseif mode == ROUND_HALF_EVEN then
    r = floor(fine / 2)
  elseif mode ~= ROUND_UP then
    r = fine - 1
  end
  return r - over * d
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
    local den, more = ladder[L_DEN], count * price_rest
    if more > MAX_AMOUNT then
      -- count * rest/den: of count = thick * den + thin, thick * rest is whole already
      local thin = count % den
      whole, more = whole + (count - thin) / den * price_rest, thin * price_rest
    end
    local left = more % den
    whole, rest = whole + (more - left) / den, rest + left
    if rest >= den then return whole + 1, rest - den end
  end
  return whole, rest
end

-- A ladder from its numbers, four in a row.
local function ladder_from(numbers)
  local ladder, whole, rest = { unpack(numbers, 1, PACKED_ROWS - 1) }, 0, 0
  if ladder[L_LIMIT] < 0 then ladder[L_LIMIT] = BOUNDLESS end
  if ladder[L_END] < 0 then ladder[L_END] = BOUNDLESS end
  local unbounded = ladder[L_LIMIT] == BOUNDLESS and ladder[L_END] == BOUNDLESS
  ladder[L_PLAIN] = unbounded and ladder[L_GRACE] + ladder[L_BY_TOTAL] == 0 and { [0] = 0 }
  for n = PACKED_ROWS, #numbers, 4 do
    local i, next_start = #ladder + 1, numbers[n + 4]
    ladder[i], ladder[i + 1], ladder[i + 2] = numbers[n], numbers[n + 1], numbers[n + 2]
    ladder[i + 3], ladder[i + 4], ladder[i + 5] = numbers[n + 3], whole, rest
    if next_start then
      whole, rest = add_row(ladder, i, next_start - numbers[n], whole, rest)
    end
  end
  return ladder
end

-- What the units [from, to) cost by the row that `to` reaches, exactly.
local function volume_cost(ladder, from, to)
  local i, high = L_ROWS, ladder[L_ROWS + L_ROW]
  while high and high < to do
    i = i + L_ROW
    high = ladder[i + L_ROW]
  end
  return add_row(ladder, i, to - from, 0, 0)
end

-- What the units [from, to) cost by the rows, exactly. Increments are counted from the row's start
-- or from `from`, whichever is later; with volume pricing from `from`.
local function rows_cost(ladder, from, to)
  if ladder[L_BY_TOTAL] == 1 then return volume_cost(ladder, from, to) end
  local i, whole, rest = L_ROWS, 0, 0
  if from == 0 then
    local high = ladder[L_ROWS + L_ROW]
    while high and high < to do
      i = i + L_ROW
      high = ladder[i + L_ROW]
    end
    return add_row(ladder, i, to - ladder[i], ladder[i + 4], ladder[i + 5])
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
  if low < from or ladder[L_BY_TOTAL] == 1 then low = from end
  local step = ladder[i + 1]
  local over = (to - low) % step
  if over > 0 then to = to + step - over end
  if high and high < to then return high end
  return to
end
