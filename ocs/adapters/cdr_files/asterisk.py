"""Asterisk: Master.csv, which has no header, and cdr_custom, whose order its writer chose.

    accountcode src dst dcontext clid channel dstchannel lastapp lastdata start answer end
    duration billsec disposition amaflags [uniqueid] [userfield] [peeraccount linkedid sequence]

Three switches of cdr.conf decide about the brackets, so the number of columns tells which are
there, but for 17 and 20: one of uniqueid and userfield, and which has to be told.

One call may give several rows with one uniqueid (a transfer, a queue that rings several). Where
there is no sequence to tell them apart, a piece of the row's hash does. The session is the
uniqueid, because that is what the caller's channel is called online.
"""

from collections.abc import Iterator
from typing import Final

from ocs.adapters.cdr_files.batching import cells_of, check_width, read_lines
from ocs.adapters.cdr_files.cells import CellError, moment, quoted, seconds
from ocs.adapters.cdr_files.layout import Cells, Layout, Maker, Told, cell_of, hash_of
from ocs.adapters.cdr_files.opening import Source
from ocs.adapters.cdr_files.options import CdrOptionError, Options
from ocs.adapters.cdr_files.records import SKIPPED, Outcome, Skipped, Used

_ALWAYS: Final = (
    "accountcode", "src", "dst", "dcontext", "clid", "channel", "dstchannel", "lastapp",
    "lastdata", "start", "answer", "end", "duration", "billsec", "disposition", "amaflags",
)  # fmt: skip
_OPTIONAL: Final = ("uniqueid", "userfield")
_NEW: Final = ("peeraccount", "linkedid", "sequence")
HEADER: Final = frozenset({"dst", "duration", "disposition"})
"""Names that a header has; a CDR has none of them in its cells."""

_LAYOUT: Final = Layout(
    cdr_id=("uniqueid",),
    session_id=("uniqueid", "linkedid"),
    subscriber=("accountcode", "src"),
    calling=("src",),
    called=("dst",),
    cause=("disposition",),
    start=(("start", moment),),
    answer=(("answer", moment),),
    end=(("end", moment),),
    duration=(("billsec", seconds),),
    hashed_id=True,
)
_DISPOSITIONS: Final = {
    "ANSWERED": True,
    "NO ANSWER": False,
    "BUSY": False,
    "FAILED": False,
    "CONGESTION": False,
    "CANCEL": False,
}
_ROW_HASH_CHARACTERS: Final = 8


def read_master(source: Source, options: Options) -> Iterator[Outcome]:
    """Read Master.csv."""
    extra = options.extra_column
    if extra and extra not in _OPTIONAL:
        raise CdrOptionError(f"extra_column: {quoted(extra)}, expected uniqueid or userfield")
    orders = {len(order): order for order in _orders(extra)}
    maker = Maker(_LAYOUT, options, source.name)

    def read(number: int, line: bytes, text: str) -> Used:
        row = cells_of(text)
        order = orders.get(len(row))
        if order is None:
            raise CellError("", _width_expected(len(row)))
        return _used(maker, number, line, dict(zip(order, row, strict=True)))

    return read_lines(source, read)


def read_custom(source: Source, options: Options) -> Iterator[Outcome]:
    """Read what cdr_custom wrote, in the order that is told, or else in that of its header."""
    order: list[str] = list(options.columns)
    maker = Maker(_LAYOUT, options, source.name)

    def read(number: int, line: bytes, text: str) -> Used | Skipped:
        row = cells_of(text)
        if number == 1 and set(row) >= HEADER:
            order[:] = order or row
            return SKIPPED
        if not order:
            raise CellError("", "has no header above it, and no columns were told")
        check_width(row, len(order))
        return _used(maker, number, line, dict(zip(order, row, strict=True)))

    return read_lines(source, read)


def _orders(extra: str) -> Iterator[tuple[str, ...]]:
    for optional in ((), (extra,) if extra else None, _OPTIONAL):
        if optional is not None:
            yield _ALWAYS + optional
            yield _ALWAYS + optional + _NEW


def _width_expected(width: int) -> str:
    if width in {len(_ALWAYS) + 1, len(_ALWAYS) + 1 + len(_NEW)}:
        return f"has {width} cells: the option extra_column has to say uniqueid or userfield"
    return f"has {width} cells, expected 16 to 21"


def _used(maker: Maker, number: int, line: bytes, cells: Cells) -> Used:
    disposition = cell_of(cells, "disposition").upper()
    if disposition not in _DISPOSITIONS:
        expected = ", ".join(_DISPOSITIONS)
        raise CellError("disposition", f"{quoted(disposition)}, expected one of {expected}")
    told = Told(
        answered=_DISPOSITIONS[disposition],
        cdr_id=_id_of(cells, line),
        trunk_in=peer_of(cell_of(cells, "channel")),
        trunk_out=peer_of(cell_of(cells, "dstchannel")),
    )
    return Used((maker.cdr(cells, number, line, told),))


def _id_of(cells: Cells, line: bytes) -> str:
    uniqueid = cell_of(cells, "uniqueid")
    if not uniqueid:
        return ""
    return f"{uniqueid}-{cell_of(cells, 'sequence') or hash_of(line)[:_ROW_HASH_CHARACTERS]}"


def peer_of(channel: str) -> str:
    """Return the peer in the name of a channel: PJSIP/north-0000002a -> north."""
    technology, _, rest = channel.partition("/")
    if technology == "Local" or "-" not in rest:
        return ""
    return rest.rpartition("-")[0]
