"""Faults of what is remembered for how long, and of what re-ratings have moved for uses."""

from tests.adapters.lua_mutants import Mutant

MEMORY_MUTANTS = (
    # For how long a session is remembered
    Mutant(
        "a clock that is ahead is not reckoned with",
        "charge.lua",
        "if one_shot or limits[LIMIT_LEAD_S] > 0 then remember_request(now_ms) end",
        "if one_shot then remember_request(now_ms) end",
    ),
    Mutant(
        "an event is forgotten with its session",
        "charge.lua",
        "if one_shot or limits[LIMIT_LEAD_S] > 0 then remember_request(now_ms) end",
        "if limits[LIMIT_LEAD_S] > 0 then remember_request(now_ms) end",
    ),
    Mutant(
        "a lead adds nothing", "charge.lua", "(its_keep_s + lead_s) * 1000", "its_keep_s * 1000"
    ),
    Mutant(
        "an event with a lead is kept like a session",
        "charge.lua",
        "limits[one_shot and LIMIT_EVENT_KEEP_S or LIMIT_CLOSED_KEEP_S]",
        "limits[LIMIT_CLOSED_KEEP_S]",
    ),
    Mutant(
        "the end forgets what came before",
        "charge.lua",
        "remembered_ms(keep_s() * 1000, now_ms)",
        "keep_s() * 1000",
    ),
    Mutant(
        "expiry forgets what came before",
        "expire.lua",
        "remembered_ms(kept_s(wallet, a[2]) * 1000, now_ms)",
        "kept_s(wallet, a[2]) * 1000",
    ),
    Mutant(
        "a smaller lead takes the place of a greater one",
        "repeats.lua",
        "elseif keys[1] < ms then",
        "else",
    ),
    Mutant(
        "what was over before is forgotten sooner",
        "charge.lua",
        "    keep_ms = most(keep_ms, call('PTTL', keys[2])) -- it was over before\n",
        "",
    ),
    Mutant(
        "a lead stands for a key",
        "repeats.lua",
        "local first = type(keys[1]) == 'number' and 2 or 1",
        "local first = 1",
    ),
    Mutant(
        "a refusal forgets what was settled",
        "charge.lua",
        "if services[s][P_ELAPSED] > 0 or services[s][P_CHARGED] ~= 0 then return false end",
        "",
    ),
    Mutant(
        "a refusal forgets a fee",
        "charge.lua",
        "if services[s][P_ELAPSED] > 0 or services[s][P_CHARGED] ~= 0 then return false end",
        "if services[s][P_ELAPSED] > 0 then return false end",
    ),
    Mutant(
        "a refusal with a lead is kept",
        "charge.lua",
        "or is_mere_refusal() then return end",
        "then return end",
    ),
    Mutant(
        "what is too far ahead is charged in a known session",
        "charge.lua",
        "(before == 'none' or can_open == 2)",
        "before == 'none'",
    ),
    # What re-ratings have moved
    Mutant(
        "a page is not noted",
        "credit.lua",
        "  if page then note_adjusted(keys[4], page, seen, args[3], id) end\n",
        "",
    ),
    Mutant(
        "a page moves what was reversed",
        "credit.lua",
        "if page and was_reversed_since(keys[4], seen) then",
        "if false then",
    ),
    Mutant(
        "a page that has seen a reversal moves nothing",
        "adjusted.lua",
        "  local ms, n = parts_of_id(seen)\n  return is_before(ms, n, parts_of_id(last))\n",
        "  return true\n",
    ),
    Mutant(
        "a reversal is not noted", "reverse.lua", "  call('HSET', keys[5], 'reversed', id)\n", ""
    ),
    Mutant(
        "of two accounts of a wallet one is noted",
        "adjusted.lua",
        "call('HGET', key, name) or ''",
        "''",
    ),
    Mutant(
        "pages are forgotten too soon",
        "adjusted.lua",
        "if seen and parts_of_id(seen) < old_ms then",
        "if seen then",
    ),
    Mutant(
        "adjustments stay when their event goes", "adjusted.lua", "  return total\n", "  return 0\n"
    ),
    Mutant(
        "an adjustment goes back in the answer only",
        "reverse.lua",
        "  debit(bucket_of(wallet, 'main'), -adjusted)\n",
        "",
    ),
    Mutant(
        "an adjustment is not told",
        "reverse.lua",
        "  money = money + adjusted\n",
        "",
    ),
    Mutant(
        "a session is reversed behind an adjustment",
        "adjusted.lua",
        "if session and amount ~= 0 then",
        "if false then",
    ),
    Mutant(
        "a session stays adjusted when that was taken back",
        "adjusted.lua",
        "if session and amount ~= 0 then",
        "if session then",
    ),
    Mutant(
        "services of a session make up for each other",
        "adjusted.lua",
        "sub(rows, at, at + KEY_BYTES - 1)",
        "sub(rows, at, at + 7)",
    ),
    Mutant(
        "a reversal is nobody's",
        "reverse.lua",
        "id, money, units) .. keys[1]",
        "id, money, units)",
    ),
    Mutant(
        "a reversal is forgotten while its charge could be reversed",
        "reverse.lua",
        "tonumber(ms_text(id)) - REVERSAL_KEEP_MS",
        "tonumber(ms_text(id))",
    ),
    Mutant("reversals are kept for ever", "reverse.lua", "'('", "'-inf' or '('"),
    Mutant(
        "a charge is reversed however old it is",
        "reverse.lua",
        "most(last_ms, call('TIME')[1] * 1000) - ms <= REVERSIBLE_MS",
        "true",
    ),
    Mutant(
        "where nothing is charged a charge stays young",
        "reverse.lua",
        "most(last_ms, call('TIME')[1] * 1000) - ms",
        "last_ms - ms",
    ),
    Mutant(
        "a clock that goes back makes a charge young",
        "reverse.lua",
        "most(last_ms, call('TIME')[1] * 1000) - ms",
        "call('TIME')[1] * 1000 - ms",
    ),
    Mutant(
        "a charge that the store never made is reversed",
        "reverse.lua",
        "  if is_before(last_ms, last_n, ms, n) then return false end\n",
        "",
    ),
    Mutant(
        "what was forgotten of re-ratings was nothing",
        "reverse.lua",
        "  if was_forgotten(keys[5], entry) then return { 'RERATED' } end\n",
        "",
    ),
    Mutant("pages are never forgotten", "adjusted.lua", "  forget_pages(key, id)\n", ""),
    Mutant(
        "an older page takes back what was forgotten",
        "adjusted.lua",
        "if not was_forgotten(key, seen) then call",
        "if true then call",
    ),
    Mutant(
        "an event is taken for its session", "reverse.lua", "not one_time and args[3]", "args[3]"
    ),
    Mutant(
        "an event does not know its own",
        "adjusted.lua",
        "is_before(its_ms, its_n, ms, n) or is_its_own then",
        "is_before(its_ms, its_n, ms, n) then",
    ),
    Mutant(
        "a later session of the name counts",
        "adjusted.lua",
        "and is_before(its_ms, its_n, ms, n) or",
        "or",
    ),
    Mutant("another session counts", "adjusted.lua", "its_session == session and", ""),
)
