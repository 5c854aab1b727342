"""Faults for the script that debits CDRs, as `lua_mutants.py` has them for the others."""

from tests.adapters.lua_mutants import Mutant

FILE = "debit.lua"

DEBIT_MUTANTS = (
    Mutant("a known CDR is debited again", FILE, "elseif known[i] then", "elseif false then"),
    Mutant("twice in a call is twice", FILE, "if seen[digest] then", "if false then"),
    Mutant("a chunk does not know its own", FILE, "and its_mark ~= mark then", "and true then"),
    Mutant(
        "every chunk takes all for its own", FILE, "and its_mark ~= mark then", "and false then"
    ),
    Mutant("the price of today is told", FILE, "return fate, amount\nend", "return fate, 0\nend"),
    Mutant("online calls are debited", FILE, "if is_online(sessions[i]) then", "if false then"),
    Mutant(
        "a refused start counts as charged",
        FILE,
        "return session and read('<Bc0', session, 53) ~= 'refused'",
        "return session",
    ),
    Mutant("one day too few", FILE, "if day < today - CDR_DAYS", "if day <= today - CDR_DAYS"),
    Mutant("one day too many", FILE, "if day < today - CDR_DAYS", "if day < today - 46"),
    Mutant("the future is debited", FILE, "if day > today + 1 then return 'a' end", ""),
    Mutant("tomorrow is the future", FILE, "if day > today + 1", "if day > today"),
    Mutant(
        "accounts of events are debited",
        FILE,
        "  if settler == BY_EVENTS then return { 'EVENTS' } end\n",
        "",
    ),
    Mutant(
        "offline accounts are debited",
        FILE,
        "  if settler == BY_NOBODY then return { 'NOBODY' } end\n",
        "",
    ),
    Mutant("any currency will do", FILE, "[D_CURRENCY] ~= currency then", "[D_CURRENCY] == 0 then"),
    Mutant("nothing is debited", FILE, "    debit(main, total)\n", ""),
    Mutant(
        "what is held covers CDRs",
        FILE,
        "overrun = most(0, total - available(main))",
        "overrun = most(0, total - main[B_LEFT])",
    ),
    Mutant("the wallet is not written", FILE, "    call('SET', keys[1], new_wallet)\n", ""),
    Mutant("nothing is remembered", FILE, "    call('HSET', keys[2], unpack(news))\n", ""),
    Mutant(
        "an entry for nothing",
        FILE,
        "if count > 0 then\n    local main",
        "if true then\n    local main",
    ),
    Mutant("who settles may change", "define.lua", "{ D_CURRENCY, D_SETTLER }", "{ D_CURRENCY }"),
)
