"""Faults for the ledger's script of parked use; `lua_mutants.py` says how they are used."""

from typing import Final

from tests.adapters.lua_mutants import Mutant

FILE: Final = "settle_parked.lua"
SESSION_READ: Final = """
  local its_session = call('GET', string.gsub(keys[3], 'j$', '') .. 's:'
    .. read('<Ic0', told, #kind + 11))
  if its_session then read_session(its_session) else new_session() end
"""
PARKED_MUTANTS: Final = tuple(
    Mutant(name, FILE, text, instead)
    for name, text, instead in (
        ("an earlier run settles on", "if call('GET', keys[4]) ~= args[2] then", "if false then"),
        ("what is under way is debited again", "  if known then return", "  if false then return"),
        (
            "the session may have moved",
            "if (call('GET', keys[5]) or '') ~= args[6] then",
            "if false then",
        ),
        ("the note stands before the result", "5 + read('<I', known)", "5"),
        ("CDR accounts pay twice", "if settler == BY_CDRS then", "if false then"),
        ("offline accounts pay", "if settler == BY_NOBODY then", "if false then"),
        (
            "an old version pays",
            "if version ~= definition[D_VERSION] and wallet[W_BUCKETS + 1] then return 'STALE' end",
            "",
        ),
        ("the fee is due again", "      svc[P_CHARGED] = cost(svc)\n", ""),
        ("what was charged is not counted", "if priced > 0 then", "if false then"),
        (
            "the use begins at nothing",
            "    svc[P_ELAPSED], svc[P_PRICED] = elapsed, priced\n",
            "",
        ),
        ("only money counts as used", "= elapsed, priced\n", "= priced, priced\n"),
        (
            "an event begins behind something",
            "if not one_shot then begin_behind",
            "one_shot = false; if true then begin_behind",
        ),
        ("prices run from nowhere", "one_shot and 0 or answer_ms", "0"),
        ("the wallet is not written", "  call('SET', keys[1], wallet_bytes(wallet))\n", ""),
        (
            "it is not under way",
            "  call('HSET', keys[2], args[1], pack('<I', #note) .. note .. id .. ' ' .. frame)\n",
            "",
        ),
        (
            "it is not journaled",
            "local id = call('XADD', keys[3], '*', 'e',",
            "local id = (function() return call('INCR', keys[3] .. '-id') .. '-0' end)(",
        ),
        (
            "sessions are believed",
            "  new_session()\n",
            SESSION_READ,
        ),
    )
)
