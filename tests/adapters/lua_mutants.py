"""Faults for the ledger's script, each a small edit of its text: what if this line were not there?

A mutant names a file, a piece of it that occurs once, and what stands there instead. The suite has
to catch each of them (`test_lua_mutants.py`); Lua has no measure of coverage that would say more.
"""

from typing import NamedTuple


class Mutant(NamedTuple):
    name: str
    file: str
    text: str
    instead: str


MUTANTS = (
    # Requests that come twice
    Mutant(
        "no repeat check", "repeats.lua", "local new = not seen(number, asked)", "local new = true"
    ),
    Mutant(
        "fingerprints do not matter", "repeats.lua", "if first ~= fingerprint then", "if false then"
    ),
    Mutant(
        "window one too short",
        "repeats.lua",
        "if d >= WINDOW then return true end",
        "if d >= WINDOW - 1 then return true end",
    ),
    Mutant(
        "window one too long",
        "repeats.lua",
        "if d >= WINDOW then return true end",
        "if d > WINDOW then return true end",
    ),
    Mutant(
        "the far half of the window is lost",
        "repeats.lua",
        "low, high = 0, low % 2 ^ (64 - d) * 2 ^ (d - 32)",
        "low, high = 0, 0",
    ),
    Mutant(
        "one result less is kept",
        "repeats.lua",
        "elseif kept_count < RESULTS_KEPT then",
        "elseif kept_count < RESULTS_KEPT - 1 then",
    ),
    Mutant(
        "a closed session keeps all", "repeats.lua", "if state == 'closed' then", "if false then"
    ),
    Mutant(
        "refusals are not stored",
        "charge.lua",
        "if number == top + 1 and",
        "if state == 'refused' then elseif number == top + 1 and",
    ),
    Mutant("a dry run writes", "charge.lua", "if dry_run == 1 then return 'OK  ' .. frame end", ""),
    Mutant("repeats are not counted", "charge.lua", "        count_repeat()\n", ""),
    # Wallets
    Mutant(
        "floor off by one",
        "records.lua",
        "local free = b[B_LEFT] - b[B_HELD] - b[B_FLOOR]",
        "local free = b[B_LEFT] - b[B_HELD] - b[B_FLOOR] + 1",
    ),
    Mutant(
        "no floor below zero",
        "records.lua",
        "local free = b[B_LEFT] - b[B_HELD] - b[B_FLOOR]",
        "local free = b[B_LEFT] - b[B_HELD]",
    ),
    Mutant(
        "what is held counts as free",
        "records.lua",
        "local free = b[B_LEFT] - b[B_HELD] - b[B_FLOOR]",
        "local free = b[B_LEFT] - b[B_FLOOR]",
    ),
    Mutant(
        "no stale check",
        "charge.lua",
        "and wallet[W_BUCKETS + 1] then return 'STALE' end",
        "and false then return 'STALE' end",
    ),
    Mutant(
        "validity begins one late",
        "records.lua",
        "return b[B_FROM_MS] <= ms and ms < b[B_UNTIL_MS]",
        "return b[B_FROM_MS] < ms and ms < b[B_UNTIL_MS]",
    ),
    Mutant(
        "validity ends one late",
        "records.lua",
        "return b[B_FROM_MS] <= ms and ms < b[B_UNTIL_MS]",
        "return b[B_FROM_MS] <= ms and ms <= b[B_UNTIL_MS]",
    ),
    Mutant(
        "the clock of the wallet is ignored",
        "charge.lua",
        "  if last_ms > now_ms then now_ms = last_ms end\n",
        "",
    ),
    Mutant(
        "debits are not counted",
        "records.lua",
        "b[B_LEFT], b[B_DEBITED] = b[B_LEFT] - amount, b[B_DEBITED] + amount",
        "b[B_LEFT] = b[B_LEFT] - amount",
    ),
    Mutant(
        "money of a bucket that is left out is lost",
        "define.lua",
        "if not holder or (old and loses_money(old, holder)) then return 0 end",
        "if not holder then return 0 end",
    ),
    Mutant(
        "any version may follow",
        "define.lua",
        "if definition[D_VERSION] ~= version + 1 then return 0 end",
        "if definition[D_VERSION] <= version then return 0 end",
    ),
    # Credits
    Mutant("a credit is carried out again", "credit.lua", "  if first then\n", "  if false then\n"),
    Mutant(
        "a reference may be used otherwise",
        "credit.lua",
        "if answer[1] ~= fingerprint then status = 'CONFLICT' end",
        "",
    ),
    Mutant(
        "a debit takes what is held",
        "credit.lua",
        "if available(b) < -amount then",
        "if b[B_LEFT] - b[B_FLOOR] < -amount then",
    ),
    # The journal
    Mutant(
        "a charge is not journaled",
        "charge.lua",
        "local id = call('XADD', keys[4], '*', 'e',",
        "local id = (function() return call('INCR', keys[4] .. '-id') .. '-0' end)(",
    ),
    Mutant(
        "an expiry is not journaled",
        "expire.lua",
        "  call('XADD', keys[4], '*', 'e', entry_bytes(args[2], wallet, 'expired'))\n",
        "",
    ),
    # Settling
    Mutant(
        "the hold is not given back",
        "settle.lua",
        "    b[B_HELD] = b[B_HELD] - held[i + 1]\n",
        "",
    ),
    Mutant(
        "what was held is not used first",
        "settle.lua",
        "n = settle_from_holds(svc, n - use_room(svc, n))",
        "n = n - use_room(svc, n)",
    ),
    Mutant(
        "the list does not pay",
        "settle.lua",
        "  if n > 0 then n = settle_from_list(svc, n, payers) end\n",
        "",
    ),
    Mutant(
        "room is ignored",
        "settle.lua",
        "n = settle_from_holds(svc, n - use_room(svc, n))",
        "n = settle_from_holds(svc, n)",
    ),
    Mutant(
        "overrun is not told",
        "settle.lua",
        "  overrun_amount = overrun_amount + most(0, due - available(main))\n",
        "",
    ),
    Mutant("overrun is given away", "settle.lua", "    overrun(svc, n, payers)\n", ""),
    Mutant(
        "a bucket pays on after its end",
        "settle.lua",
        "  return ceil_div(next_ms - anchor_ms, 1000) - svc[P_ELAPSED]\n",
        "  return nil\n",
    ),
    Mutant(
        "an unanswered call owes the fee",
        "settle.lua",
        "if answered and svc[P_ELAPSED] == 0",
        "if svc[P_ELAPSED] == 0",
    ),
    Mutant(
        "a release frees only what it names",
        "charge.lua",
        "    for s = 1, #services do give_back(services[s]) end\n",
        "",
    ),
    Mutant(
        "what is free takes units",
        "charge.lua",
        "if free == 1 then\n      use[U_PAYERS]",
        "if false then\n      use[U_PAYERS]",
    ),
    # Prices
    Mutant(
        "the fee is due with each segment",
        "position.lua",
        "pos[P_TERMS] = { d, w, r,",
        "pos[P_TERMS] = { d, w + ladder[L_FEE], r,",
    ),
    Mutant(
        "grace is charged",
        "position.lua",
        "if pos[P_ELAPSED] < terms_of(pos)[L_GRACE] then return 0 end",
        "",
    ),
    Mutant(
        "grace ends one late",
        "position.lua",
        "if pos[P_ELAPSED] < terms_of(pos)[L_GRACE] then",
        "if pos[P_ELAPSED] <= terms_of(pos)[L_GRACE] then",
    ),
    Mutant(
        "prices run from the report",
        "charge.lua",
        "known_answer_ms = most(1, event_ms - use[U_USED] * 1000)",
        "known_answer_ms = event_ms",
    ),
    Mutant("never rounded up", "ladder.lua", "if 2 * r >= d then return w + 1 end", ""),
    Mutant("no minimum", "ladder.lua", "if w < minimum then w = minimum end", ""),
    Mutant("no maximum", "ladder.lua", "if maximum >= 0 and w > maximum then w = maximum end", ""),
    Mutant(
        "a bucket gives half an increment",
        "position.lua",
        "local m = least(n, floor(amount / (increment * factor)) * increment)",
        "local m = least(n, floor(amount / factor))",
    ),
    Mutant(
        "the factor is forgotten",
        "position.lua",
        "  return m, paid * factor\n",
        "  return m, paid\n",
    ),
    # Holding
    Mutant(
        "the hold is one short",
        "hold.lua",
        "local need = most(0, dearest - covered)",
        "local need = most(0, dearest - covered - 1)",
    ),
    Mutant(
        "grace is not held for",
        "hold.lua",
        "return use_room(pos, n, true, unpaid)",
        "return use_room(pos, n, true)",
    ),
    Mutant(
        "only the first anchor is held for",
        "hold.lua",
        "for i = 1, #anchors do\n    anchor_ms = anchors[i]\n    local _,",
        "for i = 1, 1 do\n    anchor_ms = anchors[i]\n    local _,",
    ),
    Mutant(
        "the ringing time is endless",
        "hold.lua",
        "and later[i] <= event_ms + limits[LIMIT_MAX_RING_S] * 1000 then",
        "then",
    ),
    Mutant(
        "no minimum of a grant",
        "hold.lua",
        "most(1, least(minimum, ask)) - units",
        "1 - units",
    ),
    Mutant(
        "never held elsewhere",
        "hold.lua",
        "if could_buy(pos, covered, minimum, payers, held_by_others()) then",
        "if false then",
    ),
    Mutant(
        "never final", "hold.lua", "  return validity_s, true\n", "  return validity_s, false\n"
    ),
    Mutant(
        "a call may last for ever",
        "hold.lua",
        "if life < cap then cap = life end",
        "",
    ),
    # States
    Mutant(
        "blocked accounts may call",
        "charge.lua",
        "if wallet[W_DEFINITION][D_ACTIVE] == 0 then return 'SUBSCRIBER_BLOCKED' end",
        "",
    ),
    Mutant(
        "one session too many",
        "charge.lua",
        "if opens and wallet[W_OPEN] >= limits[LIMIT_MAX_SESSIONS] then",
        "if opens and wallet[W_OPEN] > limits[LIMIT_MAX_SESSIONS] then",
    ),
    Mutant(
        "an event gives what there is",
        "charge.lua",
        "if units < ask then return why_not(pos, covered, ask - units), 0, 0 end",
        "",
    ),
    Mutant(
        "open sessions are not counted off",
        "charge.lua",
        "if was and not is then wallet[W_OPEN] = wallet[W_OPEN] - 1 end",
        "",
    ),
    Mutant("what was refused is open", "charge.lua", "new = row.refused", "new = row.granted"),
    Mutant(
        "an unknown session is opened",
        "charge.lua",
        "if can_open ~= 1 and (before == 'none' or can_open == 2) then return 'UNKNOWN_SESSION' end",
        "",
    ),
    Mutant(
        "a grant does not prolong",
        "charge.lua",
        "if granted > 0 and svc[P_PRICE][X_TIMED] == 1 then",
        "if false then",
    ),
    Mutant(
        "idle sessions live on",
        "charge.lua",
        "if state == 'idle' then return now_ms + limits[LIMIT_COME_BACK_S] * 1000 end",
        "",
    ),
    Mutant(
        "expired before its time", "expire.lua", "if now_ms < deadline_ms then", "if false then"
    ),
    Mutant(
        "expired sessions keep their holds",
        "expire.lua",
        "  for s = 1, #services do give_back(services[s]) end\n",
        "",
    ),
    Mutant("parked twice", "park.lua", "  if before then return before end\n", ""),
)
