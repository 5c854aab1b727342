"""The books of a running service, opened beside it and held against what its clients were told."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import msgspec
from msgspec import Struct

from ocs.adapters.reels.reading import open_journal
from ocs.adapters.valkey import records
from ocs.adapters.valkey.connection import Connection
from ocs.adapters.valkey.embedded import socket_path
from ocs.adapters.valkey.keys import Keys
from ocs.bootstrap.audit import books_of
from ocs.domain.events import Event
from ocs.usecases.addresses import parse_session_address
from ocs.usecases.journal import RawEntry, parse_id
from ocs.usecases.ports import UNRATED, ChargeResult, SessionKey
from ocs.usecases.verification import Image, verify
from tests.acceptance.client_log import Said

PARTITIONS = 256
EUR_SCALE = 6

_parked = msgspec.json.Decoder(tuple[Event, Any]).decode


class Charge(Struct, frozen=True):
    """One entry of the journal that a request of a client made."""

    session: SessionKey
    request: str
    result: ChargeResult


class Ledgered(Struct, frozen=True):
    """All that the books say. Amounts are by account, in millionths."""

    charges: dict[str, Charge]
    """By transaction id."""
    debited: dict[str, int]
    left: dict[str, int]


async def open_books(directory: Path) -> Ledgered:
    """Read the books of a service's data directory; they must be right in themselves."""
    async with _store(directory) as connection:
        books = await books_of(connection, directory / "journal")
        report = await verify(books)
        assert report.clean, report.findings
        streams = await asyncio.gather(*(_stream(connection, n) for n in range(PARTITIONS)))
        journals = [_journal(directory, n, streams[n]) for n in range(PARTITIONS)]
        buckets = [
            (key.wallet_group, bucket)
            async for image in books.images()
            for key, wallet in image.wallets
            for bucket in wallet.balances
        ]
    return Ledgered(
        charges={name: charge for part in journals for name, charge in part},
        debited={account: bucket.debited for account, bucket in buckets},
        left={account: bucket.left for account, bucket in buckets},
    )


async def images_of(directory: Path) -> list[Image]:
    """Read all partitions, their journals from the first entry on; they must be right."""
    async with _store(directory) as connection:
        books = await books_of(connection, directory / "journal", from_start=True)
        report = await verify(books)
        assert report.clean, report.findings
        return [image async for image in books.images()]


async def parked_in(directory: Path, stream: str = UNRATED) -> list[Event]:
    """Read the events of a stream, of all partitions, each in its order."""
    async with _store(directory) as connection:
        streams = [Keys(partition).stream(stream) for partition in range(PARTITIONS)]
        read = (connection.execute("XRANGE", stream, "-", "+") for stream in streams)
        pages = cast("list[list[tuple[bytes, list[bytes]]]]", await asyncio.gather(*read))
    return [_parked(fields[1])[0] for page in pages for _, fields in page]


def _store(directory: Path) -> Connection:
    return Connection(f"unix://{quote(str(socket_path(directory / 'store')))}")


async def _stream(connection: Connection, partition: int) -> list[RawEntry]:
    """Read what the store still has of a journal."""
    page = await connection.execute("XRANGE", Keys(partition).journal, "-", "+")
    found = cast("list[tuple[bytes, list[bytes]]]", page)
    return [(entry_id, fields[1]) for entry_id, fields in found]


def _whole(directory: Path, partition: int, stream: list[RawEntry]) -> list[RawEntry]:
    """Put files and stream together: what is in both is the same, and nothing is there twice."""
    journal = open_journal(directory / "journal")
    written = list(journal.history(partition)) if journal else []
    whole = dict(written)
    assert len(whole) == len(written)
    for entry_id, record in stream:
        assert whole.setdefault(entry_id, record) == record
    ids = [parse_id(entry_id.decode()) for entry_id in whole]
    assert ids == sorted(ids)
    return list(whole.items())


def _journal(directory: Path, partition: int, stream: list[RawEntry]) -> list[tuple[str, Charge]]:
    keys = Keys(partition)
    found = []
    for entry_id, record in _whole(directory, partition, stream):
        entry = records.decode_entry(record)
        if entry.frame:
            name = f"{keys.label}-{entry_id.decode()}"
            session = parse_session_address(entry.subject)
            result = records.result_of(entry.frame, name)
            found.append((name, Charge(session, entry.frame.request, result)))
    return found


def hold_against(books: Ledgered, told: Iterable[Said]) -> None:
    """Each answer that names a transaction is in the journal, once and the same; nothing else is.

    `told` are the answers to distinct requests, all that were ever answered.
    """
    answers = [answer for answer in told if answer.transaction_id]
    requests = Counter((c.session.session_id, c.request) for c in books.charges.values())
    assert set(requests.values()) <= {1}, requests.most_common(3)
    assert len(answers) == len({answer.transaction_id for answer in answers})
    assert {answer.transaction_id for answer in answers} == books.charges.keys()
    settled = Counter[str]()
    for answer in answers:
        charge = books.charges[answer.transaction_id]
        (service,) = charge.result.services
        assert (
            (charge.session.session_id, charge.request),
            charge.result.code,
            service.granted_units,
            service.settled_amount,
            service.total_amount,
        ) == (
            (answer.session_id, str(answer.request_number)),
            answer.return_name,
            answer.granted_units,
            millionths(answer.cost.settled),
            millionths(answer.cost.total),
        )
        settled[charge.session.account] += service.settled_amount
    assert {name: amount for name, amount in books.debited.items() if amount} == {
        name: amount for name, amount in settled.items() if amount
    }


def millionths(amount: str) -> int:
    whole = Decimal(amount).scaleb(EUR_SCALE)
    assert whole == int(whole), amount
    return int(whole)
