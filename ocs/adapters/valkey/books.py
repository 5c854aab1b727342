"""Reads whole partitions for `ocs verify`.

One scan of the store sorts the names of wallets and sessions by partition. Each partition is then
read in one transaction, so that it is an image of one moment. Sessions that were opened since the
scan show in the list of deadlines, which is part of the image: it is then taken again with them.
"""

from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Final, cast

import msgspec

from ocs.adapters.valkey import records
from ocs.adapters.valkey.connection import Connection
from ocs.adapters.valkey.keys import Keys, label
from ocs.usecases.addresses import parse_session_address, parse_wallet_address, wallet_address
from ocs.usecases.verification import Change, Entry, Image

_SCAN_COUNT: Final = 1_000
_PAGE: Final = 5_000
"""Entries of the journal read at once."""
_WALLET_PARTS: Final = 2
_LOOKS: Final = 20
"""How often a partition is read anew until no session was opened since its names were known."""


class ValkeyBooks:
    """Implements the port `Books`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def images(self) -> AsyncIterator[Image]:
        """Read every partition that holds anything."""
        names = await self._names("{p*}[ws]:*")
        journals = await self._names("{p*}j")
        for partition in sorted(names.keys() | journals.keys()):
            yield await self._read(partition, names[partition])

    async def image(self, partition: int) -> Image:
        """Read one partition anew."""
        names = await self._names(f"{{p{label(partition)}}}[ws]:*")
        return await self._read(partition, names[partition])

    async def _names(self, pattern: str) -> dict[int, list[str]]:
        """Scan for keys, by partition."""
        found: dict[int, set[str]] = defaultdict(set)
        cursor = b"0"
        while True:
            reply = await self._connection.execute(
                "SCAN", cursor, "MATCH", pattern, "COUNT", _SCAN_COUNT
            )
            cursor, page = msgspec.convert(reply, tuple[bytes, list[bytes]])
            for name in page:
                text = name.decode()
                found[int(text[2 : text.index("}")])].add(text)
            if cursor == b"0":
                return defaultdict(list, {n: sorted(names) for n, names in found.items()})

    async def _read(self, partition: int, names: list[str]) -> Image:
        keys = Keys(partition)
        addresses = [name.partition("}")[2] for name in names]
        of_wallets = {a[2:] for a in addresses if a.startswith("w:")}
        of_sessions = {a[2:] for a in addresses if a.startswith("s:")}
        image = await self._look(keys, sorted(of_wallets), sorted(of_sessions))
        for _ in range(_LOOKS):
            # Every open session has a deadline: one that is not known yet was opened since.
            opened = image.deadlines - of_sessions
            if not opened:
                break
            of_sessions |= opened
            of_wallets |= {wallet_address(parse_session_address(address)) for address in opened}
            image = await self._look(keys, sorted(of_wallets), sorted(of_sessions))
        return image

    async def _look(self, keys: Keys, of_wallets: list[str], of_sessions: list[str]) -> Image:
        reads = [("GET", keys.wallet(address)) for address in of_wallets]
        reads += [("GET", keys.definitions(address)) for address in of_wallets]
        reads += [("GET", keys.session(address)) for address in of_sessions]
        values, members, last = await self._at_once(keys, reads)
        half = len(of_wallets)
        wallets = [
            (parse_wallet_address(address), records.decode_wallet(wallet, definitions))
            for address, wallet, definitions in zip(
                of_wallets, values[:half], values[half : 2 * half], strict=True
            )
            if wallet is not None and definitions is not None
        ]
        # A closed session may have faded since the scan.
        sessions = {
            address: records.decode_session(parse_session_address(address), keys.label, data)
            for address, data in zip(of_sessions, values[2 * half :], strict=True)
            if data is not None
        }
        return Image(
            partition=int(keys.label),
            entries=tuple([entry async for entry in self.entries(int(keys.label), last)]),
            wallets=tuple(wallets),
            sessions=tuple(sessions.values()),
            deadlines=frozenset(members),
            addresses=tuple(sessions),
        )

    async def _at_once(
        self, keys: Keys, reads: list[tuple[str, str]]
    ) -> tuple[list[bytes | None], list[str], str]:
        """Read the values, the deadlines and the id of the journal's last entry, as one image."""
        execute = self._connection.execute
        commands = (
            ("MULTI",),
            *reads,
            ("ZRANGE", keys.deadlines, 0, -1),
            ("XREVRANGE", keys.journal, "+", "-", "COUNT", 1),
        )
        # Sent in one tick, so nothing of this connection comes between.
        for command in commands:
            execute(*command).add_done_callback(lambda done: done.exception())
        reply = await execute("EXEC")
        *values, members, last = cast("list[list[bytes]]", reply)
        newest = cast("list[tuple[bytes, object]]", last)
        until = newest[0][0].decode() if newest else "0"
        return cast("list[bytes | None]", values), [member.decode() for member in members], until

    async def entries(self, partition: int, until: str = "+") -> AsyncIterator[Entry]:
        """Read the journal of a partition from its first entry up to `until`, inclusive."""
        keys, start = Keys(partition), "-"
        while True:
            reply = await self._connection.execute(
                "XRANGE", keys.journal, start, until, "COUNT", _PAGE
            )
            page = cast("list[tuple[bytes, list[bytes]]]", reply)
            for entry_id, fields in page:
                yield _entry(f"{keys.label}-{entry_id.decode()}", fields)
            if len(page) < _PAGE:
                return
            start = f"({page[-1][0].decode()}"


def _entry(transaction_id: str, fields: list[bytes]) -> Entry:
    """Make an entry of its one field."""
    _, data = fields
    record = records.decode_entry(data)
    parts = record.subject.split("/")
    return Entry(
        transaction_id=transaction_id,
        wallet=parse_wallet_address("/".join(parts[:_WALLET_PARTS])),
        subject=record.subject,
        kind=record.kind,
        request=record.frame.request if record.frame else "",
        at_ms=record.at_ms,
        state=record.state,
        changes=tuple(
            Change(bucket=b, left_by=lb, held_by=hb, left=left, held=held, floor=floor)
            for b, lb, hb, left, held, floor in record.moves
        ),
    )
