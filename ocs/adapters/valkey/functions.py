"""The function library: `lua/*.lua`, joined in a listed order and named by its own content.

    #!lua name=ocs_v1_3fa4c901          <- 8 hex digits of the SHA-256 of everything below
    ... header.lua, clock.lua, ... park.lua

Functions are data of the store: they survive its restart, and all workers share them. Therefore the
name must tell the code. Named by a version number alone, a worker with an edited file would either
overwrite what others are running or silently run the old code; named by content, both lie side by
side, each worker calls its own, "already exists" means "the very same", and loading needs no lock.

The sources write `@LIBRARY@` where the name stands, so every function is `<library>_<verb>`. And a
line `local PLACE, OTHER = 1, 2` of theirs names numbers for the reader only: each name in capitals
is replaced by its number. Lua allows a chunk 200 locals, which the places of records would use up,
and it reads a number in one step but a local of the file in two. For the same reason the files that
nothing is built upon stand in blocks of their own.

Rejected: EVALSHA (the script cache is lost with every restart and failover, and each worker has to
send the source again); one library per file (shared parts would be copied).
"""

import hashlib
import re
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Protocol

from ocs.adapters.valkey.faults import ReplyError
from ocs.adapters.valkey.pipeline import Argument, Reply

# Each file may use what the files before it define.
LUA_FILES = (
    "header.lua",
    "clock.lua",
    "states.lua",
    "ladder.lua",
    "records.lua",
    "session.lua",
    "position.lua",
    "repeats.lua",
    "settle.lua",
    "hold.lua",
    "charge.lua",
    "adjusted.lua",
    "credit.lua",
    "reverse.lua",
    "debit.lua",
    "expire.lua",
    "define.lua",
    "park.lua",
    "settle_parked.lua",
)
_IN_BLOCKS = frozenset(LUA_FILES[LUA_FILES.index("credit.lua") :])
"""Files whose locals no other one uses."""
GENERATION = "ocs_v1"
PLACEHOLDER = "@LIBRARY@"
_FUNCTION = re.compile(re.escape(PLACEHOLDER) + r"_([a-z][a-z0-9_]*)")
_CAPITALS = r"[A-Z][A-Z0-9_]*"
_NUMBERS = re.compile(
    rf"^local ({_CAPITALS}(?:, {_CAPITALS})*) = (\d+(?:, \d+)*)(?= --|$)", re.MULTILINE
)
# Not inside quotes: 'NO_CREDIT' is a text.
_NAME = re.compile(rf"'[^'\n]*'|\b{_CAPITALS}\b")


@dataclass(frozen=True, slots=True)
class FunctionLibrary:
    name: str
    code: str = field(repr=False)
    verbs: frozenset[str]

    def function(self, verb: str) -> str:
        """What FCALL calls `verb`. A verb that the sources do not register is a bug."""
        assert verb in self.verbs, f"no function {verb!r} among {sorted(self.verbs)}"
        return f"{self.name}_{verb}"


class Execute(Protocol):
    def __call__(self, *arguments: Argument) -> Awaitable[Reply]: ...


def assemble(
    overrides: Mapping[str, str] | None = None,
    *,
    directory: Traversable | None = None,
    files: Sequence[str] = LUA_FILES,
) -> FunctionLibrary:
    """Joins the sources. `overrides` replaces listed files by other text, for tests."""
    overrides = overrides or {}
    unknown = sorted(set(overrides) - set(files))
    assert not unknown, f"not among the listed Lua files: {unknown}"
    source = directory or resources.files(__package__) / "lua"
    # The file names help to find the place that a Lua error names by line.
    body = "\n".join(_placed(name, _text(source, name, overrides)) for name in files)
    digest = hashlib.sha256(body.encode()).hexdigest()
    name = f"{GENERATION}_{digest[:8]}"
    code = f"#!lua name={name}\n{_numbered(body).replace(PLACEHOLDER, name)}"
    return FunctionLibrary(name, code, frozenset(_FUNCTION.findall(body)))


def _placed(name: str, text: str) -> str:
    return f"do -- {name}\n{text}\nend" if name in _IN_BLOCKS else f"-- {name}\n{text}"


def _text(source: Traversable, name: str, overrides: Mapping[str, str]) -> str:
    if name in overrides:
        return overrides[name]
    return (source / name).read_text(encoding="utf-8")


@lru_cache(maxsize=4)
def _numbered(body: str) -> str:
    """Writes the numbers where their names stand. Line numbers stay as they are.

    It is most of the work of `assemble`, which a command asks for several times.
    """
    numbers: dict[str, str] = {}
    for names, values in _NUMBERS.findall(body):
        numbers.update(zip(names.split(", "), values.split(", "), strict=True))
    lines = _NUMBERS.sub("", body).split("\n")
    # A comment may use any words, and is left alone.
    return "\n".join(
        _NAME.sub(lambda hit: numbers.get(hit[0], hit[0]), code) + dashes + comment
        for code, dashes, comment in (line.partition("--") for line in lines)
    )


async def load(execute: Execute, library: FunctionLibrary) -> None:
    """Puts the library into the store unless it is there. Raises the faults of `execute`."""
    # Looked for first: a store that is out of memory refuses to load what it already has.
    if await execute("FUNCTION", "LIST", "LIBRARYNAME", library.name):
        return
    try:
        await execute("FUNCTION", "LOAD", library.code)
    except ReplyError as error:
        if "already exists" not in error.message:
            raise
