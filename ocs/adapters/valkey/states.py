"""The session table of `ocs.domain.session`, written as Lua.

`lua/states.lua` is this text; a test holds the two equal, so that the script cannot drift from the
table. To write it anew: `python -m ocs.adapters.valkey.states`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ocs.domain.session import TABLE, Row, State

LUA_FILE: Final = Path(__file__).parent / "lua" / "states.lua"
_HEAD: Final = """\
-- What a session in a state does with an event. Written from ocs/domain/session.py by
-- ocs/adapters/valkey/states.py; change it there.
local STATES = {
"""


def states_lua() -> str:
    """Return the text of `lua/states.lua`."""
    return _HEAD + "".join(_lines()) + "}\n"


def _lines() -> Iterator[str]:
    for state in State:
        yield f"  {state.value} = {{\n"
        for row in TABLE:
            if row.state is state:
                yield f"    {row.kind.value} = {{ {_fields(row)} }},\n"
        yield "  },\n"


def _fields(row: Row) -> str:
    parts = [
        f"holds = {str(row.holds).lower()}",
        f"granted = '{row.granted.value}'",
        f"refused = '{row.refused.value}'",
    ]
    if row.code is not None:
        parts.append(f"code = '{row.code.value}'")
    if row.repeats_start:
        parts.append("repeats_start = true")
    return ", ".join(parts)


if __name__ == "__main__":
    LUA_FILE.write_text(states_lua(), encoding="utf-8")
