"""Cisco Unified CM: a line of names, a line of SQL types, then rows; columns are found by name.

Releases add columns and move none by promise, so no position means anything. Times are seconds of
UTC, 0 for never. Addresses are 32-bit integers that were stored in the byte order of the wire and
printed as signed little-endian: -1139627840 is 192.168.18.188 read from its lowest byte up. They
are kept as addresses, in `attributes`.

One call can be several rows with one call id (transfers, conferences); each is a CDR of its own.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Final

from ocs.adapters.cdr_files.batching import cells_of, check_width, read_lines
from ocs.adapters.cdr_files.cells import CellError, epoch_s, seconds
from ocs.adapters.cdr_files.layout import Layout, Maker, Told, cell_of
from ocs.adapters.cdr_files.opening import Source
from ocs.adapters.cdr_files.options import Options
from ocs.adapters.cdr_files.records import SKIPPED, Outcome, Skipped, Used

_FIRST_COLUMN: Final = "cdrRecordType"
_TYPES: Final = ("INTEGER", "VARCHAR", "UNIQUEIDENTIFIER")
_CALL: Final = "1"
_CAUSES: Final = ("destCause_value", "origCause_value")
_NO_CAUSE: Final = "0"
_ADDRESSES: Final = ("IpAddr", "TransportAddress_IP")
NEEDED: Final = frozenset(
    {_FIRST_COLUMN, "pkid", "finalCalledPartyNumber", "dateTimeConnect", "duration"}
)
"""The columns without which a file is none."""
_SESSION: Final = ("globalCallId_ClusterID", "globalCallID_callManagerId", "globalCallID_callId")

_LAYOUT: Final = Layout(
    cdr_id=("pkid",),
    session_id=("session",),
    subscriber=("callingPartyNumber",),
    calling=("callingPartyNumber",),
    called=("finalCalledPartyNumber", "originalCalledPartyNumber"),
    trunk_in=("origDeviceName",),
    trunk_out=("destDeviceName",),
    cause=("cause",),
    start=(("dateTimeOrigination", epoch_s),),
    answer=(("dateTimeConnect", epoch_s),),
    end=(("dateTimeDisconnect", epoch_s),),
    duration=(("duration", seconds),),
)


def read_cucm(source: Source, options: Options) -> Iterator[Outcome]:
    maker = Maker(_LAYOUT, options, source.name)
    names: list[str] = []

    def read(number: int, line: bytes, text: str) -> Used | Skipped:
        row = cells_of(text)
        if row[0] == _FIRST_COLUMN:
            names[:] = _checked(row)
            return SKIPPED
        if row[0].startswith(_TYPES):
            return SKIPPED
        if not names:
            raise CellError("", "has no line of names above it")
        check_width(row, len(names))
        cells = dict(zip(names, row, strict=True))
        if cells[_FIRST_COLUMN] != _CALL:
            return SKIPPED
        return Used((maker.cdr(_told(cells), number, line, _answered(cells)),))

    return read_lines(source, read)


def _checked(names: list[str]) -> list[str]:
    for name in sorted(NEEDED):
        if name not in names:
            raise CellError(name, "is not among the columns")
    if len(set(names)) != len(names):
        raise CellError("", "names a column twice")
    return names


def _answered(cells: dict[str, str]) -> Told:
    return Told(answered=cell_of(cells, "dateTimeConnect") not in {"", "0"})


def _told(cells: dict[str, str]) -> dict[str, str]:
    """Put what several columns say into one, and addresses into their own form."""
    told = {name: cell for name, cell in cells.items() if name != _FIRST_COLUMN}
    for name, cell in cells.items():
        if cell and name.endswith(_ADDRESSES):
            told[name] = address_of(name, cell)
    told["session"] = "-".join(part for name in _SESSION if (part := cell_of(cells, name)))
    told["cause"] = next(
        (cause for name in _CAUSES if (cause := cell_of(cells, name)) not in {"", _NO_CAUSE}), ""
    )
    return told


def address_of(column: str, cell: str) -> str:
    """Return the address that a signed little-endian number stands for; "" for 0."""
    try:
        number = int(cell)
        return str(IPv4Address(number.to_bytes(4, "little", signed=number < 0))) if number else ""
    except (ValueError, OverflowError):
        raise CellError(column, f"is {cell!r}, expected an address as a 32-bit integer") from None
