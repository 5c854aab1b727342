"""What a session does with an event: one table.

The table is RFC 8506 table 6 with its deviations, which `docs/design.md` lists beside the diagram
that is generated from here. A row says, for a session in `state` that receives `kind`, which steps
happen and which state follows when units are granted (or nothing was asked) and when they are
refused. The Lua twin in `charge.lua` is generated from these rows, so the two cannot drift.

Settling comes before holding in every row: reported use is debited whatever the answer is.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from ocs.domain.events import Kind
from ocs.domain.results import ResultCode


class State(StrEnum):
    """Where a session stands. `NONE`: the store knows nothing of it."""

    NONE = "none"
    OPEN = "open"
    IDLE = "idle"
    CLOSED = "closed"
    EXPIRED = "expired"
    REFUSED = "refused"


class Row(Struct, frozen=True):
    """One line of the table.

    `holds`: units may be granted. `granted` and `refused`: the states that follow. `code`: what is
    answered when nothing goes wrong; `None` is OK (or NOT_CHARGED).
    `repeats_start`: an unseen start here is the same start again (equal fingerprint) or a CONFLICT.
    """

    state: State
    kind: Kind
    holds: bool
    granted: State
    refused: State
    code: ResultCode | None = None
    repeats_start: bool = False


_S, _K = State, Kind

TABLE: Final[tuple[Row, ...]] = (
    # A start opens; refused, it leaves a short memory so that a repeat stays refused.
    Row(_S.NONE, _K.START, True, _S.OPEN, _S.REFUSED),
    Row(_S.REFUSED, _K.START, True, _S.OPEN, _S.REFUSED),
    Row(_S.EXPIRED, _K.START, True, _S.OPEN, _S.IDLE),
    Row(_S.OPEN, _K.START, False, _S.OPEN, _S.OPEN, repeats_start=True),
    Row(_S.IDLE, _K.START, False, _S.IDLE, _S.IDLE, repeats_start=True),
    Row(_S.CLOSED, _K.START, False, _S.CLOSED, _S.CLOSED, ResultCode.SESSION_CLOSED),
    # An update settles and asks again. Without a start it opens the session (late start).
    Row(_S.NONE, _K.UPDATE, True, _S.OPEN, _S.IDLE),
    Row(_S.REFUSED, _K.UPDATE, True, _S.OPEN, _S.IDLE),
    Row(_S.OPEN, _K.UPDATE, True, _S.OPEN, _S.IDLE),
    Row(_S.IDLE, _K.UPDATE, True, _S.OPEN, _S.IDLE),
    Row(_S.EXPIRED, _K.UPDATE, True, _S.OPEN, _S.IDLE),
    Row(_S.CLOSED, _K.UPDATE, False, _S.CLOSED, _S.CLOSED, ResultCode.SESSION_CLOSED),
    # Only a client's release is final.
    Row(_S.NONE, _K.RELEASE, False, _S.CLOSED, _S.CLOSED),
    Row(_S.REFUSED, _K.RELEASE, False, _S.CLOSED, _S.CLOSED),
    Row(_S.OPEN, _K.RELEASE, False, _S.CLOSED, _S.CLOSED),
    Row(_S.IDLE, _K.RELEASE, False, _S.CLOSED, _S.CLOSED),
    Row(_S.EXPIRED, _K.RELEASE, False, _S.CLOSED, _S.CLOSED),
    Row(_S.CLOSED, _K.RELEASE, False, _S.CLOSED, _S.CLOSED, ResultCode.SESSION_CLOSED),
    # A one-shot event never changes a session that is there, and leaves a closed one where none is.
    Row(_S.NONE, _K.EVENT, True, _S.CLOSED, _S.CLOSED),
    Row(_S.REFUSED, _K.EVENT, True, _S.REFUSED, _S.REFUSED),
    Row(_S.OPEN, _K.EVENT, True, _S.OPEN, _S.OPEN),
    Row(_S.IDLE, _K.EVENT, True, _S.IDLE, _S.IDLE),
    Row(_S.EXPIRED, _K.EVENT, True, _S.EXPIRED, _S.EXPIRED),
    Row(_S.CLOSED, _K.EVENT, True, _S.CLOSED, _S.CLOSED),
)


def row(state: State, kind: Kind) -> Row:
    """Return the line for a session in `state` that receives `kind`; every pair has one."""
    return _BY_PAIR[state, kind]


_BY_PAIR: Final = {(line.state, line.kind): line for line in TABLE}
