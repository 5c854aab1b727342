"""Parked use that was settled, on disk: rows and rejects as those of rated CDRs, in one folder.

Whoever reads rated CDRs finds the same columns. A row's `file` is the stream that the use lay
parked in; what has no column of its own (the service, the transaction of the debit) stands in
`attributes`, beside what the events said.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl

from ocs.adapters.columns.call_rating import ADDED
from ocs.adapters.columns.rated_files import RatedFiles
from ocs.domain.results import ResultCode
from ocs.domain.usage import VOICE
from ocs.domain.zones import UTC_ZONE, Zone
from ocs.usecases.offline_rating import Chunk, Money, Rated
from ocs.usecases.parked import SettledUse
from ocs.usecases.rejects import OWN_FORMAT, Reading, Reject
from ocs.usecases.settling_cdrs import Settled

DROPPED: Final = "DROPPED"
"""The code of the reject of what an operator gave up."""
_SECOND_MS: Final = 1_000
_json: Final = msgspec.json.Encoder().encode


class ParkedFiles:
    """Implements the port `ParkedOutput` in a folder of rated CDRs.

    `columns` are those of a CDR; `zones` are the tenants' clocks, by which rows lie in days.
    """

    def __init__(self, folder: Path, columns: Mapping[str, Any], zones: Mapping[str, Zone]) -> None:
        self._files = RatedFiles(folder)
        self._columns = dict(columns)
        self._zones = dict(zones)

    def has(self, chunk: str) -> bool:
        """As `ParkedOutput.has`."""
        with self._files.claimed(chunk) as is_ours:
            if not is_ours:
                raise BlockingIOError(f"another run writes {chunk}")
            return self._files.report(chunk) is not None

    def put(self, chunk: str, rows: Sequence[SettledUse]) -> None:
        """As `ParkedOutput.put`."""
        kept = [row for row in rows if not row.use.dropped]
        rejects = [self._reject(row) for row in rows if row.use.dropped]
        table = pl.DataFrame(
            [self._row(row) for row in kept], schema={**self._columns, **ADDED}, orient="row"
        )
        debited = [row for row in kept if row.use.settled is Settled.DEBITED]
        money = tuple(_money(debited))
        done = Chunk(
            name=chunk,
            file="parked",
            table=table,
            rejects=(),
            entries=len(rows),
            used=len(rows),
            skipped=0,
            reading=Reading(OWN_FORMAT),
            position=0,
        )
        rated = Rated(
            table=table,
            rejects=rejects,
            money=money,
            newest_ms=max((row.use.used_ms for row in kept), default=0),
            generation=next((row.use.generation for row in debited), ""),
            settled=dict(table.group_by("settled").len().iter_rows()),
            debited=money,
        )
        with self._files.claimed(chunk) as is_ours:
            if not is_ours:
                raise BlockingIOError(f"another run writes {chunk}")
            if self._files.report(chunk) is None:
                self._files.put(done, rated)

    def _row(self, row: SettledUse) -> dict[str, Any]:
        use, is_debited = row.use, row.use.settled is Settled.DEBITED
        wall_ms = self._zones.get(use.tenant, UTC_ZONE).wall_ms(use.used_ms)
        shown = datetime.fromtimestamp(wall_ms // _SECOND_MS, UTC)
        price = row.rating
        return self._cdr(row) | {
            "identity": use.subscriber,
            "account": use.account,
            "wallet_group": use.wallet_group,
            "plan": use.plan,
            "called_number": use.rated_number or use.called_number,
            "calling_number": use.calling_number,
            "used_ms": use.used_ms,
            "day": shown.date(),
            "hour": shown.hour,
            "amount": row.amount,
            "fee_amount": 0,
            "currency": use.currency if is_debited else "",
            "tariff": price.tariff if price else "",
            "prefix": price.prefix if price else "",
            "destination": price.destination if price else "",
            "model": price.model if price else "",
            "code": (ResultCode.OK if is_debited else ResultCode.NOT_CHARGED).value,
            "generation": use.generation,
            "settled": use.settled.value,
            "settled_amount": row.amount,
            "settled_reason": use.reason,
        }

    def _cdr(self, row: SettledUse) -> dict[str, Any]:
        use = row.use
        return {
            "cdr_id": row.name,
            "file": use.stream,
            "line": 0,
            "tenant": use.tenant,
            "session_id": use.session_id,
            "subscriber": use.subscriber,
            "calling": use.calling_number,
            "called": use.called_number or use.rated_number,
            "trunk_in": use.trunk_in,
            "trunk_out": "",
            "start_ms": use.used_ms,
            "answer_ms": use.used_ms if use.usage_type == VOICE else None,
            "end_ms": max(use.end_ms, use.used_ms),
            "duration_ms": None,
            "units": row.units,
            "usage_type": use.usage_type,
            "direction": use.direction,
            "answered": row.units > 0,
            "cause": "",
            "attributes": _attributes(row),
        }

    def _reject(self, row: SettledUse) -> Reject:
        told = {name: value for name, value in self._cdr(row).items() if value not in (None, "")}
        for place in ("file", "line"):
            told.pop(place, None)
        reason = f"dropped by an operator; it had no other way to go: {row.use.dropped}"
        return Reject(row.use.stream, 0, "", reason, DROPPED, _json(told).decode())


def _attributes(row: SettledUse) -> str:
    text = row.use.attributes
    try:
        said: Any = msgspec.json.decode(text)
    except msgspec.DecodeError:  # of an event that could not be read, all there is
        said = text
    told = {
        "rating_group": row.use.rating_group,
        "transaction_id": row.transaction_id,
        "event": said,
    }
    return _json({name: value for name, value in told.items() if value not in ("", {})}).decode()


def _money(rows: Sequence[SettledUse]) -> Iterator[Money]:
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for row in rows:
        key = row.use.tenant, row.use.currency
        count, amount = sums.get(key, (0, 0))
        sums[key] = count + 1, amount + row.amount
    for key, (count, amount) in sorted(sums.items()):
        yield Money(*key, count, amount)
