"""Reads whole partitions for `ocs verify`: of the journal what came after a checkpoint.

One scan of the store sorts the names of wallets and sessions by partition. Each partition is then
read by one script, so that it is an image of one moment: what the scan named, and every session
that has a deadline by then, with its wallet. Every open session has one; so of a partition in which
calls come and go, nothing that holds money can be missed.

Rejected: a transaction over the names that are known, taken again until no session was opened
meanwhile. In a busy partition one always was.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Final, cast

import msgspec

from ocs.adapters.valkey import records
from ocs.adapters.valkey.connection import Connection
from ocs.adapters.valkey.keys import Keys, label
from ocs.usecases.addresses import parse_session_address, parse_wallet_address
from ocs.usecases.verification import BEGINNING, Base, Change, Entry, Image

_SCAN_COUNT: Final = 1_000
_PAGE: Final = 5_000
"""Entries of the journal read at once."""
_WALLET_PARTS: Final = 2

_IMAGE: Final = """
local session_key, wallet_key, definitions_key = ARGV[1], ARGV[2], ARGV[3]
local sessions, wallets, seen = {}, {}, {}

local function take(list, kind, address, ...)
  if seen[kind .. address] then return end
  seen[kind .. address] = true
  list[#list + 1] = address
  for _, key in ipairs({ ... }) do list[#list + 1] = redis.call('GET', key .. address) end
end

local function take_session(address)
  take(sessions, 's', address, session_key)
  local wallet = string.match(address, '^[^/]+/[^/]+')
  if wallet then take(wallets, 'w', wallet, wallet_key, definitions_key) end
end

for i = 4, #ARGV do
  local kind, address = string.sub(ARGV[i], 1, 1), string.sub(ARGV[i], 3)
  if kind == 's' then take_session(address)
  else take(wallets, 'w', address, wallet_key, definitions_key) end
end
local deadlines = redis.call('ZRANGE', KEYS[1], 0, -1)
for _, address in ipairs(deadlines) do take_session(address) end
local last, added = '0', 0
if redis.call('EXISTS', KEYS[2]) == 1 then
  local told = redis.call('XINFO', 'STREAM', KEYS[2])
  for i = 1, #told, 2 do
    if told[i] == 'last-generated-id' then last = told[i + 1] end
    if told[i] == 'entries-added' then added = told[i + 1] end
  end
end
return { last, added, deadlines, sessions, wallets }
"""
"""KEYS deadlines, journal; ARGV what the keys of sessions, wallets and definitions begin with, then
the names that are known (`w:` or `s:` and an address). All keys are of the one partition.
Returns the id of the journal's last entry and how many it ever got, the deadlines' sessions, then
address and record of each session, and address, record and definitions of each wallet; what is not
there is false (nil)."""


class ValkeyBooks:
    """Implements the port `Books`. `base_of` says from where on a partition's journal is read."""

    def __init__(
        self, connection: Connection, base_of: Callable[[int], Base] = lambda _: BEGINNING
    ) -> None:
        self._connection = connection
        self._base_of = base_of

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
        # Before the image: what is trimmed in between is missed by its count, and looked at again.
        base = self._base_of(partition)
        known = [name.partition("}")[2] for name in names]
        reply = await self._connection.execute(
            "EVAL_RO",
            _IMAGE,
            2,
            keys.deadlines,
            keys.journal,
            keys.session(""),
            keys.wallet(""),
            keys.definitions(""),
            *known,
        )
        last, added, deadlines, sessions, wallets = cast(
            "tuple[bytes, int, list[bytes], list[bytes | None], list[bytes | None]]", reply
        )
        # A closed session may have faded since the scan.
        found = {
            address: records.decode_session(parse_session_address(address), keys.label, data)
            for address, data in _tuples(sessions, 2)
            if data is not None
        }
        return Image(
            partition=partition,
            entries=tuple(
                [entry async for entry in self.entries(partition, last.decode(), base.last)]
            ),
            wallets=tuple(
                (parse_wallet_address(address), records.decode_wallet(wallet, definitions))
                for address, wallet, definitions in _tuples(wallets, 3)
                if wallet is not None and definitions is not None
            ),
            sessions=tuple(found.values()),
            deadlines=frozenset(member.decode() for member in deadlines),
            addresses=tuple(found),
            base=base,
            added=added,
        )

    async def entries(self, partition: int, until: str, after: str) -> AsyncIterator[Entry]:
        """Read the journal of a partition behind `after` and up to `until`, inclusive."""
        keys, start = Keys(partition), f"({after}"
        while True:
            reply = await self._connection.execute(
                "XRANGE", keys.journal, start, until, "COUNT", _PAGE
            )
            page = cast("list[tuple[bytes, list[bytes]]]", reply)
            for entry_id, fields in page:
                record = records.decode_entry(fields[1])
                yield entry_of(keys.label, entry_id.decode(), record)
            if len(page) < _PAGE:
                return
            start = f"({page[-1][0].decode()}"


def _tuples(flat: list[bytes | None], size: int) -> Iterable[tuple[Any, ...]]:
    """Take a flat list apart: an address, as text, and the records that belong to it."""
    for start in range(0, len(flat), size):
        address, *rest = flat[start : start + size]
        assert address is not None
        yield address.decode(), *rest


def entry_of(label: str, entry_id: str, record: records.JournalEntry) -> Entry:
    """Make an entry of a record, and of its id: the store's clock when it was written."""
    parts = record.subject.split("/")
    return Entry(
        transaction_id=f"{label}-{entry_id}",
        wallet=parse_wallet_address("/".join(parts[:_WALLET_PARTS])),
        subject=record.subject,
        kind=record.kind,
        request=record.frame.request if record.frame else "",
        at_ms=int(entry_id.partition("-")[0]),
        state=record.state,
        changes=tuple(
            Change(bucket=b, left_by=lb, held_by=hb, left=left, held=held, floor=floor)
            for b, lb, hb, left, held, floor in record.moves
        ),
    )
