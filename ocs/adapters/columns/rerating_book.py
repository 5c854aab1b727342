"""The folder of re-ratings: what was reported, what was decided, and what came of it.

    book.json                               which book this is
    reports/<id>/differences/*.parquet      what would change; nothing was moved for it
    reports/<id>/report.json
    pages/<number>-<id>/                    a page: what was decided to be moved
        differences/*.parquet, report.json    as above
        outcomes.ndjson                       what became of each account, while it is applied
        adjustments.parquet                   what was moved for each use; the page is closed
    .new/                                   what is being written

A page appears by one rename, with all that it needs to be applied in it, and is closed by another.
Pages are numbered in their order, and the next one is decided only when all before it are closed:
so the sum of all `adjustments.parquet` is what was moved for a use, whenever one looks.

The folder is locked by the process that works with it, as long as that lives.
"""

import fcntl
import os
import secrets
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
import polars as pl
from msgspec import Struct

from ocs.adapters.columns.charged_uses import KEY, ONLINE
from ocs.adapters.columns.rated_files import synced
from ocs.adapters.columns.rerating import ADJUSTED, DIFFERENCES, key_hashes
from ocs.domain.results import ResultCode
from ocs.usecases.ports import AdjustedUse, Adjusts, SessionKey
from ocs.usecases.rerating import Due, Outcome, Whose, whose
from ocs.usecases.rerating_report import Biggest, By, Line, Selection

_ID_BYTES: Final = 8
_BOOK: Final = "book.json"
_REPORT: Final = "report.json"
_DIFFERENCES: Final = "differences"
_OUTCOMES: Final = "outcomes.ndjson"
_ADJUSTMENTS: Final = "adjustments.parquet"
_NEAR_MS: Final = 2 * 86_400_000
_KEYS: Final = {
    By.DESTINATION: pl.col("destination"),
    By.ACCOUNT: pl.col("account"),
    By.DAY: pl.col("day").cast(pl.String),
}
_WHO: Final = ("tenant", "account", "wallet_group", "currency")
_MOVED: Final = ("use_id", "part", "difference")
_WHOSE: Final = dict.fromkeys(_WHO, pl.String)
_COUNTED: Final = frozenset({ResultCode.OK, ResultCode.OUTCOME_UNKNOWN})
"""Outcomes of accounts that are adjusted, or may be."""
_SUM: Final = pl.col("difference").cast(pl.Int128).sum()
ADJUSTMENTS: Final[dict[str, Any]] = {
    **{name: DIFFERENCES[name] for name in (*KEY, "wallet_group", "day", "used_ms", "currency")},
    "amount": pl.Int64,
    "transaction_id": pl.String,
    "page": pl.String,
}
"""What was moved for a use: `amount` was charged, below zero given back; null: nobody can tell."""


class BookInUse(Exception):
    """Another process works with the folder."""


class _About(Struct, frozen=True):
    id: str


class _Decided(Struct, frozen=True):
    decided_ms: int
    seen: dict[str, str] = {}


class Differences:
    """What a re-rating found, in files; added up as often as one asks, in bounded memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, differences: pl.DataFrame) -> None:
        """Write some of them."""
        number = sum(1 for _ in self._folder.iterdir())
        path = self._folder / f"{number:08d}.parquet"
        differences.write_parquet(path, compression="zstd")
        synced(path)

    def changed(self) -> int:
        """Count the uses of which a price is told that is another one."""
        return self._counted(pl.col("difference").is_not_null())

    def not_applied(self) -> dict[str, int]:
        """Count what is not put right, by why."""
        left = self.rows().filter(~pl.col("applies")).group_by("reason").len().sort("reason")
        return dict(left.collect(engine="streaming").iter_rows())

    def old_generations(self) -> list[str]:
        """Give the tariffs by which the uses were charged."""
        found = self.rows().select(pl.col("old_generation").unique().sort())
        return found.collect(engine="streaming")["old_generation"].to_list()

    def lines(self, by: By) -> list[Line]:
        """Add up by one of the things that people ask for; days in their order, else the most."""
        groups = ("tenant", "currency", "key")
        last = "key" if by is By.DAY else pl.col("difference").abs()
        sums = (
            self.rows()
            .filter(pl.col("difference").is_not_null())
            .with_columns(key=_KEYS[by])
            .group_by(groups)
            .agg(
                pl.len().alias("uses"),
                pl.col("old_amount").cast(pl.Int128).sum(),
                pl.col("new_amount").cast(pl.Int128).sum(),
                _SUM,
                pl.col("difference").filter("applies").cast(pl.Int128).sum().alias("due"),
            )
            .sort(
                "tenant",
                "currency",
                last,
                "key",
                descending=[False, False, by is not By.DAY, False],
            )
        )
        return [Line(*row) for row in sums.collect(engine="streaming").iter_rows()]

    def biggest(self, most: int) -> list[Biggest]:
        """Give the uses whose price changes most."""
        columns = (
            "tenant", "account", "source", "use_id", "destination", "units", "currency",
            "old_amount", "new_amount", "difference",
        )  # fmt: skip
        told = self.rows().filter(pl.col("difference").is_not_null()).select(*columns, "part")
        order = (pl.col("difference").abs(), "tenant", "account", "use_id", "part")
        found = told.sort(order, descending=[True, *[False] * 4]).head(most).drop("part")
        return [Biggest(*row) for row in found.collect(engine="streaming").iter_rows()]

    def dues(self) -> list[Due]:
        """Say what each account is due."""
        sums = self.rows().filter("applies").group_by(_WHO).agg(_SUM, pl.len().alias("uses"))
        return [Due(*row) for row in sums.sort(_WHO).collect(engine="streaming").iter_rows()]

    def rows(self) -> pl.LazyFrame:
        """Give all of them."""
        if not any(self._folder.iterdir()):
            return pl.LazyFrame(schema=DIFFERENCES)
        return pl.scan_parquet(self._folder / "*.parquet", hive_partitioning=False)

    def _counted(self, which: pl.Expr) -> int:
        found: int = self.rows().filter(which).select(pl.len()).collect(engine="streaming").item()
        return found


class BookPage:
    """Implements the port `Page`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.differences = Differences(folder / _DIFFERENCES)
        self._whole_bytes = 0

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def decided_ms(self) -> int:
        return self._decided().decided_ms

    @property
    def is_begun(self) -> bool:
        """Whether what became of any account is written down."""
        return self.is_closed or bool(self.outcomes())

    @property
    def is_closed(self) -> bool:
        """Whether every account has its outcome."""
        return (self.folder / _ADJUSTMENTS).exists()

    def dues(self) -> Sequence[Due]:
        return self.differences.dues()

    def adjusts(self, dues: Sequence[Due]) -> Mapping[Whose, Adjusts]:
        seen = self._decided().seen
        wanted = pl.LazyFrame([whose(due) for due in dues], schema=_WHOSE, orient="row")
        online = self.differences.rows().filter("applies", pl.col("source") == ONLINE)
        found = online.join(wanted, on=_WHO, how="semi").collect(engine="streaming")
        uses = defaultdict[Whose, list[AdjustedUse]](list)
        for *who, session_id, part, amount in found.select(*_WHO, *_MOVED).iter_rows():
            tenant, account, group, currency = who
            begun_by, _, rating_group = part.partition("/")
            key = SessionKey(tenant, group, account, session_id)
            uses[tenant, account, group, currency].append(
                AdjustedUse(key, rating_group, begun_by, amount)
            )
        return {who: _adjusts(self.name, seen, some) for who, some in uses.items()}

    def outcomes(self) -> Sequence[Outcome]:
        """As `Page.outcomes`; a line that a kill cut short does not count."""
        path = self.folder / _OUTCOMES
        text = path.read_bytes() if path.exists() else b""
        self._whole_bytes = text.rfind(b"\n") + 1
        lines = text[: self._whole_bytes].splitlines()
        return [msgspec.json.decode(line, type=Outcome) for line in lines]

    def note(self, outcomes: Sequence[Outcome]) -> None:
        lines = b"".join(msgspec.json.encode(each) + b"\n" for each in outcomes)
        path = self.folder / _OUTCOMES
        with path.open("r+b" if path.exists() else "xb") as stream:
            stream.seek(self._whole_bytes)
            stream.write(lines)
            stream.truncate()
        synced(path)
        self._whole_bytes += len(lines)

    def close(self) -> None:
        counted = [
            (each.tenant, each.account, each.wallet_group, each.currency, each.transaction_id,
             each.code is ResultCode.OK)
            for each in self.outcomes()
            if each.code in _COUNTED
        ]  # fmt: skip
        schema = {**dict.fromkeys((*_WHO, "transaction_id"), pl.String), "is_known": pl.Boolean}
        accounts = pl.LazyFrame(counted, schema=schema, orient="row")
        rows = self.differences.rows().filter("applies").join(accounts, on=_WHO)
        amount = pl.when("is_known").then("difference")
        adjusted = rows.with_columns(amount=amount, page=pl.lit(self.name))
        new = self.folder / f"new-{_ADJUSTMENTS}"
        kept = adjusted.select(pl.col(name).cast(kind) for name, kind in ADJUSTMENTS.items())
        kept.sink_parquet(new, compression="zstd")
        synced(new)
        new.replace(self.folder / _ADJUSTMENTS)
        synced(self.folder)

    def _decided(self) -> _Decided:
        return msgspec.json.decode((self.folder / _REPORT).read_bytes(), type=_Decided)


def _adjusts(page: str, seen: Mapping[str, str], uses: Sequence[AdjustedUse]) -> Adjusts:
    """Put together the uses of one account, which are all of one partition."""
    return Adjusts(page, seen.get(uses[0].begun_by.partition("-")[0], ""), tuple(uses))


class Book:
    """A folder of re-ratings, locked while it is open. Raises `OSError` and `BookInUse`."""

    def __init__(self, folder: Path) -> None:
        for name in ("reports", "pages"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._new = folder / ".new"
        self._lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise BookInUse(f"{folder} is in use by another re-rating") from None
        self.id = self._id()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._lock)

    def pages(self) -> list[BookPage]:
        """Give all pages, in their order."""
        return [BookPage(path) for path in sorted((self._folder / "pages").iterdir())]

    def adjusted(self, selection: Selection) -> pl.DataFrame:
        """Say what was moved for uses of a selection (columns `ADJUSTED`)."""
        files = list(self._files())
        if not files:
            return pl.DataFrame(schema=ADJUSTED)
        near = [
            (pl.col("tenant") == tenant)
            & pl.col("used_ms").is_between(period.from_ms - _NEAR_MS, period.to_ms + _NEAR_MS)
            for tenant, period in selection.periods.items()
        ]
        rows = pl.scan_parquet(files, hive_partitioning=False).filter(pl.any_horizontal(near))
        sums = rows.select(*key_hashes(), "amount").group_by("h1", "h2")
        found = sums.agg(
            pl.col("amount").sum().alias("adjusted_amount"),
            pl.col("amount").is_null().any().alias("is_left_alone"),
        )
        return found.collect(engine="streaming").select(*ADJUSTED)

    def begin(self) -> Differences:
        """Make room for what a re-rating finds."""
        shutil.rmtree(self._new, ignore_errors=True)
        (self._new / _DIFFERENCES).mkdir(parents=True)
        return Differences(self._new / _DIFFERENCES)

    def report(self, name: str, told: object) -> Path:
        """Keep what was begun as a report; the same one again takes the place of the former."""
        self._write_report(told)
        place = self._folder / "reports" / name
        shutil.rmtree(place, ignore_errors=True)
        self._new.replace(place)
        return place

    def decide(self, name: str, told: object) -> BookPage:
        """Make what was begun the next page; `told` has a member `decided_ms`."""
        self._write_report(told)
        place = self._folder / "pages" / f"{len(self.pages()) + 1:04d}-{name}"
        synced(self._new / _DIFFERENCES)
        synced(self._new)
        self._new.replace(place)
        synced(place.parent)
        return BookPage(place)

    def _files(self) -> Iterator[Path]:
        for page in sorted((self._folder / "pages").iterdir()):
            yield page / _ADJUSTMENTS

    def _write_report(self, told: object) -> None:
        path = self._new / _REPORT
        path.write_bytes(msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n")
        synced(path)

    def _id(self) -> str:
        path = self._folder / _BOOK
        if not path.exists():
            new = self._folder / f"new-{_BOOK}"
            new.write_bytes(msgspec.json.encode(_About(secrets.token_hex(_ID_BYTES))))
            synced(new)
            new.replace(path)
            synced(self._folder)
        return msgspec.json.decode(path.read_bytes(), type=_About).id
