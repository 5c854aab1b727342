"""Faults for the forms of a price: volume pricing, quantum, limit and end (see `lua_mutants.py`)."""

from tests.adapters.lua_mutants import Mutant

PRICE_MUTANTS = (
    # Volume pricing
    Mutant(
        "volume prices are priced row by row",
        "ladder.lua",
        "if ladder[L_BY_TOTAL] == 1 then return volume_cost(ladder, from, to) end",
        "",
    ),
    Mutant(
        "increments of a volume price count from their row",
        "ladder.lua",
        "if low < from or ladder[L_BY_TOTAL] == 1 then low = from end",
        "if low < from then low = from end",
    ),
    Mutant(
        "edges of a volume price are sought from their row",
        "position.lua",
        "  if ladder[L_BY_TOTAL] == 0 then\n    base",
        "  if true then\n    base",
    ),
    Mutant(
        "only the end of a grant is held for",
        "position.lua",
        "if ladder[L_BY_TOTAL] == 0 or one_shot then return dearest end",
        "if true then return dearest end",
    ),
    Mutant(
        "a one-shot event stops on its way",
        "position.lua",
        "if ladder[L_BY_TOTAL] == 0 or one_shot then return dearest end",
        "if ladder[L_BY_TOTAL] == 0 then return dearest end",
    ),
    Mutant(
        "a call is one shot",
        "charge.lua",
        "  one_shot = kind == 'event'\n",
        "  one_shot = true\n",
    ),
    Mutant(
        "stops that are behind are to be paid again",
        "position.lua",
        "local low, high = most(ladder[row], priced), ladder[row + L_ROW]",
        "local low, high = most(ladder[row], pos[P_SEG_FROM]), ladder[row + L_ROW]",
    ),
    Mutant(
        "the dearest stop of a hold is forgotten behind it",
        "hold.lua",
        "covered, money, n = covered + need, money + need, n - m",
        "covered, money, n = most(covered, pos[P_COST]), money + need, n - m",
    ),
    # Switches
    Mutant(
        "a switch voids what was begun",
        "position.lua",
        "  if rest > 0 then return rest end\n",
        "",
    ),
    # Grace
    Mutant(
        "main pays what a grace had put off",
        "settle.lua",
        "local put_off = cost(svc) == 0 and svc[P_COST] or 0",
        "local put_off = 0",
    ),
    Mutant(
        "the payers pay the overrun too",
        "settle.lua",
        "#payers, time_of_use(svc), put_off)",
        "#payers, time_of_use(svc), MAX_AMOUNT)",
    ),
    # What is paid back
    Mutant(
        "nothing is paid back",
        "settle.lua",
        "  if used ~= 0 and svc[P_TAKEN] ~= NOTHING then pay_back(svc) end\n",
        "",
    ),
    Mutant(
        "who paid first gets back first",
        "settle.lua",
        "for i = #taken - TAKEN + 1, 1, -TAKEN do",
        "for i = 1, #taken, TAKEN do",
    ),
    Mutant(
        "one bucket gets back what others paid",
        "settle.lua",
        "local x = least(excess, -taken[i + 1])",
        "local x = excess",
    ),
    Mutant(
        "who pays again keeps its place",
        "settle.lua",
        "    if taken[i] == name and taken[i + 1] <= 0 then\n",
        "    if taken[i] == name and taken[i + 1] <= 0 then\n"
        "      taken[i + 1], taken[i + 2] = taken[i + 1] - amount, taken[i + 2] - amount\n"
        "      if true then return end\n",
    ),
    Mutant(
        "what was paid back is owed again",
        "settle.lua",
        "      svc[P_CHARGED], excess = svc[P_CHARGED] - x, excess - x\n",
        "      excess = excess - x\n",
    ),
    Mutant(
        "what was paid back may be paid back again",
        "settle.lua",
        "      taken[i + 1], taken[i + 2] = taken[i + 1] + x, taken[i + 2] + x\n",
        "",
    ),
    Mutant(
        "a fee without use is paid back",
        "settle.lua",
        "svc[P_PRICE][X_FALLS]) and svc[P_PRICED] > 0 then",
        "svc[P_PRICE][X_FALLS]) then",
    ),
    Mutant(
        "behind a switch nobody knows who paid",
        "records.lua",
        "falls = falls or next_ladder[L_BY_TOTAL] == 1",
        "falls = next_ladder[L_BY_TOTAL] == 1",
    ),
    Mutant(
        "money is paid back into units",
        "settle.lua",
        "if not b or b[B_MONEY] == 0 then b = bucket_of(wallet, 'main') end",
        "if not b then b = bucket_of(wallet, 'main') end",
    ),
    Mutant(
        "units are counted as money that was paid",
        "position.lua",
        "while taken[i] and (taken[i] ~= name or taken[i + 1] < 0) do",
        "while taken[i] and taken[i] ~= name do",
    ),
    # Quantum
    Mutant("no quantum", "ladder.lua", "if quantum > 1 and w <= MAX_AMOUNT then", "if false then"),
    Mutant(
        "the rest below a quantum is cut",
        "ladder.lua",
        "over * d + r, quantum * d, terms[L_ROUNDING]",
        "0, quantum * d, terms[L_ROUNDING]",
    ),
    Mutant(
        "a segment forgets the quantum",
        "position.lua",
        "terms[L_QUANTUM], 0, terms[L_LIMIT] }",
        "1, 0, terms[L_LIMIT] }",
    ),
    # Limit and end
    Mutant(
        "no limit",
        "position.lua",
        "money, limit = least(budget, terms_of(pos)[L_LIMIT]),",
        "money, limit = budget,",
    ),
    Mutant(
        "a segment forgets the limit",
        "position.lua",
        "terms[L_QUANTUM], 0, terms[L_LIMIT] }",
        "terms[L_QUANTUM], 0, BOUNDLESS }",
    ),
    Mutant(
        "settling knows the limit",
        "position.lua",
        "    if granting then\n      money,",
        "    if true then\n      money,",
    ),
    Mutant("no end", "position.lua", "least(limit, ladder[L_END] - priced)", "limit"),
    Mutant(
        "room behind the end is granted",
        "position.lua",
        "    if granting and m > ladder[L_END] - priced then m = ladder[L_END] - priced end\n",
        "",
    ),
    Mutant(
        "room of units waits for the grace to end",
        "position.lua",
        "if priced > seg_from and not unpaid then",
        "if unpaid then return 0 end\n  if priced > seg_from then",
    ),
    Mutant(
        "room behind the end is not used",
        "position.lua",
        "if granting and m > ladder[L_END] - priced then",
        "if m > ladder[L_END] - priced then",
    ),
    Mutant(
        "what no money can buy is no credit",
        "hold.lua",
        "return n > 0 and 'LIMIT_REACHED' or 'NO_CREDIT'",
        "return 'NO_CREDIT'",
    ),
    Mutant(
        "no credit is a limit",
        "hold.lua",
        "pay_money(pos, n, BOUNDLESS, true)",
        "pay_money(pos, n, covered, true)",
    ),
    # The short ways are for plain prices
    Mutant(
        "the short ways take volume prices",
        "ladder.lua",
        "unbounded and ladder[L_GRACE] + ladder[L_BY_TOTAL] == 0",
        "unbounded and ladder[L_GRACE] == 0",
    ),
    Mutant(
        "the short ways know no bounds",
        "ladder.lua",
        "unbounded and ladder[L_GRACE] + ladder[L_BY_TOTAL] == 0",
        "ladder[L_GRACE] + ladder[L_BY_TOTAL] == 0",
    ),
    Mutant(
        "the short ways forget the first price",
        "position.lua",
        "return not pos[P_TERMS] and not pos[P_PRICE][X_LATER] and",
        "return not pos[P_PRICE][X_LATER] and",
    ),
    Mutant(
        "the short ways pass over switches",
        "position.lua",
        "not pos[P_TERMS] and not pos[P_PRICE][X_LATER]",
        "not pos[P_TERMS]",
    ),
)
