-- Holding: units that the client may use now, and what is set aside for them. A hold is tried on a
-- copy of the service and then placed.

-- Sets `need` aside over the money payers i..j, in their order; returns the entries of the hold.
local function set_aside(entries, payers, i, j, need)
  for k = i, j, PAYER do
    local b = wallet[payers[k]]
    if need > 0 and valid_at(b, event_ms) then
      local x = least(need, available(b))
      if x > 0 then
        local e = #entries
        if e == 0 then
          entries = { payers[k], x, 0, 1 }
        else
          entries[e + 1], entries[e + 2], entries[e + 3], entries[e + 4] = payers[k], x, 0, 1
        end
      end
      need = need - x
    end
  end
  return entries
end

-- Grants what was begun and is paid for. Within the grace nobody has paid yet for what money began:
-- that has to be covered like the rest.
local function grant_room(pos, n, covered)
  local unpaid = pos[P_PRICED] > 0 and pos[P_COST] > covered and terms_of(pos)[L_GRACE] > 0
  return use_room(pos, n, true, unpaid)
end

-- Walks the payers for up to `cap` units. Returns the units, what is to be held, the position
-- behind them, the cost covered up to there, and the money set aside. A price that is `coming` is
-- tried as if it had come.
local function try_hold(svc, cap, payers, coming)
  local pos, entries, covered, money = try_from(svc), NOTHING, svc[P_CHARGED], 0
  if coming then open_segment(pos, coming[X_LADDER]) end
  local n = cap - grant_room(pos, cap, covered)
  local i = 1
  while n > 0 and payers[i] do
    local b = wallet[payers[i]]
    if b[B_MONEY] == 1 then
      local j = pool_end(payers, i, PAYER)
      local budget = covered + pool_budget(payers, i, j, event_ms)
      local m, dearest = pay_money(pos, n, budget, true)
      if m > 0 then
        local need = most(0, dearest - covered)
        entries = set_aside(entries, payers, i, j, need)
        covered, money, n = covered + need, money + need, n - m
      end
      i = j
    elseif valid_at(b, event_ms) then
      local m, x = pay_bucket(pos, b[B_NAME], payers[i + 1], payers[i + 2], n, available(b))
      if m > 0 then
        local e = #entries
        if e == 0 then
          entries = { payers[i], x, payers[i + 1], payers[i + 2] }
        else
          entries[e + 1], entries[e + 2] = payers[i], x
          entries[e + 3], entries[e + 4] = payers[i + 1], payers[i + 2]
        end
      end
      n = n - m
    end
    i = i + PAYER
  end
  return cap - n, entries, pos, covered, money
end

-- Before the answer is known, every switch within the ringing time may be where the call begins.
-- Returns nil when there is but one anchor.
local function anchors_of(svc)
  local later = svc[P_PRICE][X_LATER]
  if anchor_ms > 0 or not later then return nil end
  local anchors = { event_ms }
  for i = svc[P_PASSED] * LATER + 1, #later, LATER do
    if later[i] > event_ms and later[i] <= event_ms + limits[LIMIT_MAX_RING_S] * 1000 then
      anchors[#anchors + 1] = later[i]
    end
  end
  return anchors
end

-- The lesser grant of the price in force and the coming one, and the greater hold for it.
local function hold_for_both(svc, cap, payers, coming)
  local units = least((try_hold(svc, cap, payers)), (try_hold(svc, cap, payers, coming)))
  local _, entries, pos, covered, money = try_hold(svc, units, payers)
  local _, its_entries, its_pos, its_covered, its_money = try_hold(svc, units, payers, coming)
  if its_money > money then entries, pos, covered = its_entries, its_pos, its_covered end
  return units, entries, pos, covered, anchor_ms
end

-- The least grant over the anchors, and the greatest hold for it; the last value is its anchor.
local function best_hold(svc, cap, payers, coming)
  if coming then return hold_for_both(svc, cap, payers, coming) end
  local anchors, units = anchors_of(svc), cap
  if not anchors then
    local entries, pos, covered
    units, entries, pos, covered = try_hold(svc, cap, payers)
    return units, entries, pos, covered, anchor_ms
  end
  for i = 1, #anchors do
    anchor_ms = anchors[i]
    units = least(units, (try_hold(svc, cap, payers)))
  end
  local most_money, entries, pos, covered, best = -1, nil, nil, nil, nil
  for i = 1, #anchors do
    anchor_ms = anchors[i]
    local _, e, p, c, money = try_hold(svc, units, payers)
    if money > most_money then
      most_money, entries, pos, covered, best = money, e, p, c, anchor_ms
    end
  end
  anchor_ms = 0
  return units, entries, pos, covered, best
end

local function place(svc, units, entries)
  for i = 1, #entries, HELD do
    local b = wallet[entries[i]]
    b[B_HELD], b[B_PLACED] = b[B_HELD] + entries[i + 1], true
  end
  svc[P_HELD], svc[P_GRANTED] = entries, units
end

-- What could be taken from a bucket if `freed` were given back too.
local function free_with(b, freed)
  return most(0, b[B_LEFT] - b[B_HELD] - b[B_FLOOR] + (freed[b] or 0))
end

-- Whether `units` more could be bought behind a hold.
local function could_buy(from, covered, units, payers, freed)
  local pos, i = try_from(from), 1
  local n = units - grant_room(pos, units, covered)
  while n > 0 and payers[i] do
    local b = wallet[payers[i]]
    if b[B_MONEY] == 1 then
      local j, budget = pool_end(payers, i, PAYER), covered
      for k = i, j, PAYER do
        local one = wallet[payers[k]]
        if valid_at(one, event_ms) then budget = budget + free_with(one, freed) end
      end
      local m, dearest = pay_money(pos, n, budget, true)
      covered = most(covered, dearest)
      n, i = n - m, j
    elseif valid_at(b, event_ms) then
      local free = free_with(b, freed)
      n = n - pay_bucket(pos, b[B_NAME], payers[i + 1], payers[i + 2], n, free)
    end
    i = i + PAYER
  end
  return n <= 0
end

-- The short way to the same answer, for the common case: one of the payers has `units` more. If
-- others before it pay a part, it has the rest all the more. False says nothing.
local function surely_could_buy(pos, covered, units, payers)
  local due = nil
  for i = 1, #payers, PAYER do
    local b = wallet[payers[i]]
    local free = valid_at(b, event_ms) and available(b) or 0
    if b[B_MONEY] == 0 then
      local increment = payers[i + 1]
      if free >= ceil_div(units, increment) * increment * payers[i + 2] then return true end
    elseif free > 0 and plain_costs(pos) then
      due = due or cost_at(pos, pos[P_PRICED] + units) - covered
      if free >= due then return true end
    end
  end
  return false
end

-- What other sessions hold, by bucket.
local function held_by_others()
  local others = {}
  for i = W_BUCKETS, #wallet do others[wallet[i]] = wallet[i][B_HELD] end
  for s = 1, #services do
    local held = services[s][P_HELD]
    for i = 1, #held, HELD do
      local b = wallet[held[i]]
      others[b] = others[b] - held[i + 1]
    end
  end
  return others
end

-- How long a grant stands, and whether its units are the last: `minimum` units more can be bought,
-- or could if other sessions held nothing, or cannot.
local function outlook(pos, covered, minimum, payers)
  local validity_s = limits[LIMIT_VALIDITY_S]
  if surely_could_buy(pos, covered, minimum, payers)
    or could_buy(pos, covered, minimum, payers, NOTHING) then
    return validity_s, false
  end
  if could_buy(pos, covered, minimum, payers, held_by_others()) then
    return least(validity_s, limits[LIMIT_HELD_ELSEWHERE_S]), false
  end
  return validity_s, true
end

-- The first of the payers that can pay anything: valid, and with at least one increment or some
-- money. Returns its place among them, itself, and what it has.
local function first_able(payers)
  for i = 1, #payers, PAYER do
    local b = wallet[payers[i]]
    if event_ms >= b[B_FROM_MS] and event_ms < b[B_UNTIL_MS] then
      local free = b[B_LEFT] - b[B_HELD] - b[B_FLOOR]
      if free > 0 and free >= payers[i + 1] * payers[i + 2] then return i, b, free end
    end
  end
end

-- The short ways to the same result for the common cases: the first payer that can pay has what
-- `cap` units and `minimum` more take. Both return whether they went.

-- It is the first of all, and a bucket of units; nothing was priced yet.
local function hold_units_plainly(svc, cap, minimum, payers, b, free)
  local taken, n = svc[P_TAKEN], cap
  if taken[TAKEN + 1] or svc[P_PRICED] > 0 then return false end
  if taken[1] then n = cap - (taken[3] - taken[2]) end
  local increment, factor, need = payers[2], payers[3], 0
  if n > 0 then
    local over = n % increment
    need = over > 0 and (n + increment - over) * factor or n * factor
  end
  local more = minimum % increment
  more = more > 0 and (minimum + increment - more) * factor or minimum * factor
  if need + more > free then return false end
  if need > 0 then
    svc[P_HELD], b[B_HELD] = { payers[1], need, increment, factor }, b[B_HELD] + need
    b[B_PLACED] = true
  end
  svc[P_GRANTED] = cap
  return true
end

-- It is of money, the price is plain, no units were taken from a bucket.
local function hold_money_plainly(svc, cap, minimum, place, b, free)
  local costs, taken = plain_costs(svc), svc[P_TAKEN]
  if not costs or (taken ~= NOTHING and not all_money(taken)) then return false end
  local charged, last = svc[P_CHARGED], svc[P_PRICED] + cap
  local more = last + minimum
  local need = (costs[last] or note_cost(svc, costs, last)) - charged
  if (costs[more] or note_cost(svc, costs, more)) - charged > free then return false end
  if need > 0 then
    svc[P_HELD], b[B_HELD], b[B_PLACED] = { place, need, 0, 1 }, b[B_HELD] + need, true
  end
  svc[P_GRANTED] = cap
  return true
end

local function hold_plainly(svc, cap, minimum, payers)
  local i, b, free = first_able(payers)
  if not i then return false end
  if b[B_MONEY] == 1 then return hold_money_plainly(svc, cap, minimum, payers[i], b, free) end
  return i == 1 and hold_units_plainly(svc, cap, minimum, payers, b, free)
end

-- Why `missing` units more cannot be held: no money could buy them, or there is none.
local function why_not(from, covered, missing)
  local pos = try_from(from)
  local n = missing - grant_room(pos, missing, covered)
  if n > 0 then n = n - pay_money(pos, n, BOUNDLESS, true) end
  return n > 0 and 'LIMIT_REACHED' or 'NO_CREDIT'
end

-- Holds for a service what it held before.
local function keep_hold(svc, units, entries)
  for i = 1, #entries, HELD do
    local b = wallet[entries[i]]
    b[B_HELD] = b[B_HELD] + entries[i + 1]
  end
  svc[P_HELD], svc[P_GRANTED] = entries, units
end

-- Holds for `cap` units more than the `former` that are granted and not settled yet: for all of them
-- anew; returns what `hold` does.
local function hold_on_top(svc, use, cap, former)
  local ask, minimum, payers, kept = use[U_ASK], use[U_MINIMUM], use[U_PAYERS], svc[P_HELD]
  give_back(svc)
  local units, entries, pos, covered, anchor = best_hold(svc, former + cap, payers, use[U_COMING])
  local known_ms, missing = anchor_ms, former + most(1, least(minimum, ask)) - units
  anchor_ms = anchor
  local code, validity_s, final = 'OK', 0, false
  if missing > 0 then
    code, units = why_not(pos, covered, missing), former
    keep_hold(svc, former, kept)
  else
    place(svc, units, entries)
    validity_s, final = outlook(pos, covered, minimum, payers)
  end
  anchor_ms = known_ms
  return code, units - former, validity_s, final
end

-- Holds for one service what `use` asks; returns code, grant, validity and whether it is final.
local function hold(svc, use)
  local ask, cap, minimum, former = use[U_ASK], use[U_CAP], use[U_MINIMUM], svc[P_GRANTED]
  if ask <= 0 then return 'OK', 0, limits[LIMIT_VALIDITY_S], false end
  if svc[P_PRICE][X_TIMED] == 1 then
    local life = limits[LIMIT_LIFE_UNITS] - svc[P_ELAPSED] - former
    if life < cap then cap = life end
  end
  if cap <= 0 then return 'LIMIT_REACHED', 0, 0, false end
  if use[U_FREE] == 1 then
    svc[P_GRANTED] = former + cap
    return 'NOT_CHARGED', cap, limits[LIMIT_VALIDITY_S], false
  end
  if (cap >= minimum or cap >= ask)
    and not (special and (former > 0 or use[U_COMING]))
    and hold_plainly(svc, cap, minimum, use[U_PAYERS]) then
    return 'OK', cap, limits[LIMIT_VALIDITY_S], false
  end
  return hold_on_top(svc, use, cap, former)
end
