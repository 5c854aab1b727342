"""Faults of the short ways of the ledger's script, and of the short shapes of what it keeps."""

from tests.adapters.lua_mutants import Mutant

SHORT_WAY_MUTANTS = (
    Mutant(
        "the short way settles more than was held",
        "settle.lua",
        "if due > amount then return false end",
        "",
    ),
    Mutant(
        "the short way keeps the rest of the hold",
        "settle.lua",
        "b[B_HELD] = b[B_HELD] - amount\n  if due > 0",
        "b[B_HELD] = b[B_HELD] - due\n  if due > 0",
    ),
    Mutant(
        "the short way forgets the grace",
        "ladder.lua",
        "unbounded and ladder[L_GRACE] + ladder[L_BY_TOTAL] == 0",
        "unbounded and ladder[L_BY_TOTAL] == 0",
    ),
    Mutant(
        "the short way of units takes more than was held",
        "settle.lua",
        "if x > amount then return false end",
        "",
    ),
    Mutant(
        "the short way of units keeps the rest of the hold",
        "settle.lua",
        "b[B_HELD] = b[B_HELD] - amount\n  return true",
        "b[B_HELD] = b[B_HELD] - paid * factor\n  return true",
    ),
    Mutant(
        "the short way of units pays a begun increment twice",
        "settle.lua",
        "room = taken[3] - taken[2]",
        "room = 0",
    ),
    Mutant(
        "the short way of units mixes two buckets",
        "settle.lua",
        "if taken[1] ~= name or taken[TAKEN + 1] then return false end",
        "",
    ),
    Mutant(
        "the short way of units passes over the room of money",
        "settle.lua",
        "if svc[P_PRICED] > 0 or svc[P_FEE_DUE] > 0 then return false end",
        "if svc[P_FEE_DUE] > 0 then return false end",
    ),
    Mutant(
        "the short way holds what is not there",
        "hold.lua",
        "if (costs[more] or note_cost(svc, costs, more)) - charged > free then return false end",
        "",
    ),
    Mutant(
        "the short way never says final",
        "hold.lua",
        "if (costs[more] or note_cost(svc, costs, more)) - charged > free then return false end",
        "if need > free then return false end",
    ),
    Mutant(
        "the short way takes a bucket before its time",
        "hold.lua",
        "if event_ms >= b[B_FROM_MS] and",
        "if",
    ),
    Mutant(
        "the short way passes over units",
        "hold.lua",
        "if b[B_MONEY] == 1 then return hold_money_plainly",
        "if true then return hold_money_plainly",
    ),
    Mutant(
        "the short way of units pays a begun increment twice when it holds",
        "hold.lua",
        "if taken[1] then n = cap - (taken[3] - taken[2]) end",
        "",
    ),
    Mutant(
        "the short way of units never sees the last ones",
        "hold.lua",
        "if need + more > free then return false end",
        "if need > free then return false end",
    ),
    Mutant(
        "the short way of units passes over the room of money when it holds",
        "hold.lua",
        "if taken[TAKEN + 1] or svc[P_PRICED] > 0 then return false end",
        "if taken[TAKEN + 1] then return false end",
    ),
    Mutant(
        "the short way of units passes over a pool before it",
        "hold.lua",
        "return i == 1 and hold_units_plainly(",
        "return hold_units_plainly(",
    ),
    # What the common cases are looked up by
    Mutant(
        "a service is taken for the one at its place",
        "charge.lua",
        "if one_shot or not svc or svc[P_PRICE] ~= price then",
        "if one_shot or not svc then",
    ),
    Mutant(
        "a switched price says what the first one said",
        "charge.lua",
        " and svc[P_PASSED] == 0 and price[X_OK]",
        " and price[X_OK]",
    ),
    Mutant(
        "the window loses a bit at the end of its word",
        "charge.lua",
        "if number == top + 1 and low < 2147483648 and high == 0 then",
        "if number == top + 1 and high == 0 then",
    ),
    Mutant(
        "the far half of the window stands still",
        "charge.lua",
        "if number == top + 1 and low < 2147483648 and high == 0 then",
        "if number == top + 1 and low < 2147483648 then",
    ),
    Mutant(
        "a balance counts what is not valid",
        "records.lua",
        "      definition[D_LIMITED] = true\n",
        "",
    ),
    Mutant(
        "costs are kept for the units before",
        "position.lua",
        "remember(costs, priced, cost_at",
        "remember(costs, priced + 1, cost_at",
    ),
    # What is written
    Mutant(
        "of two buckets that changed one is forgotten",
        "records.lua",
        "changed, last = changed + 1, i",
        "changed, last = 1, i",
    ),
    Mutant(
        "another bucket is written over",
        "records.lua",
        "local at = 20 + 32 * (place - W_BUCKETS)",
        "local at = 20",
    ),
    Mutant(
        "what is held has the name of what was taken",
        "session.lua",
        "elseif held[1] and wallet[held[1]][B_NAME] ~= taken[1] then",
        "elseif false then",
    ),
    Mutant(
        "no shape has room for segments",
        "session.lua",
        "if held[HELD + 1] or taken[TAKEN + 1] or is_rare(svc) then",
        "if held[HELD + 1] or taken[TAKEN + 1] then",
    ),
)
