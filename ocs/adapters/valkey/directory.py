"""Who is who, in the store: one key a subscriber identity, one key an account.

    n:<tenant>/<identity>  →  version byte, msgpack of `Subscriber`
    a:<tenant>/<account>   →  version byte, msgpack of `Account`

An identity is looked up before the account, and so the partition, is known. Hence these keys carry
no partition's hash tag and spread over the whole store; each is written alone, and nothing here
takes part in an atomic step with money. Creation is `SET NX GET`: one round trip that writes, or
tells who was there first. Records are maps, not arrays: a later version may add fields without a
new version byte, which stands for the changes that an older reader must not guess at.

An identity never changes hands here, which makes the one update that there is (another plan for
the same account) safe without a compare-and-set: two writers can differ in the plan only, and the
later one wins.

`CachedDirectory` stands before it in a worker. A hot event costs one dict look-up; what it learns
is at most `seconds` old, which is the stated staleness of a changed plan. An unknown identity is
remembered for a second only, so that a stranger who keeps calling does not load the store, and a
subscriber who was just created does not wait. Rejected: invalidation by server push (CLIENT
TRACKING), which would make staleness shorter and its bound unknowable when a push is lost.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

import msgspec

from ocs.adapters.valkey.faults import OutcomeUnknown as StoreOutcomeUnknown
from ocs.adapters.valkey.faults import ReplyError, StoreUnavailable, not_executed
from ocs.adapters.valkey.keys import account_key, subscriber_key
from ocs.usecases.ports import Account, Directory, LedgerUnavailable, OutcomeUnknown, Subscriber

RECORD_VERSION: Final = 1
SCAN_COUNT: Final = 1_000
"""Keys that the store looks at in one step of a listing: below a millisecond of its time."""
READ_BATCH: Final = 500
"""Records asked for at once when listing."""

DEFAULT_SECONDS: Final = 10.0
DEFAULT_MAX_ENTRIES: Final = 100_000
"""About 60 MB in a worker at the most."""
UNKNOWN_SECONDS: Final = 1.0

_Reply = object
_RecordT = TypeVar("_RecordT", Subscriber, Account)
_encode: Final = msgspec.msgpack.Encoder().encode


class Store(Protocol):
    """What is needed of a connection."""

    def execute(self, *arguments: str | bytes | int) -> Awaitable[_Reply]:
        """Send one command; the reply comes with the future."""
        ...


class ValkeyDirectory:
    """The port `Directory` over a connection."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._subscriber = msgspec.msgpack.Decoder(Subscriber).decode
        self._account = msgspec.msgpack.Decoder(Account).decode

    async def subscriber(self, tenant: str, identity: str) -> Subscriber | None:
        found = await self._read("GET", subscriber_key(tenant, identity))
        return _record(found, self._subscriber)

    async def account(self, tenant: str, account: str) -> Account | None:
        found = await self._read("GET", account_key(tenant, account))
        return _record(found, self._account)

    async def put_subscriber(self, tenant: str, subscriber: Subscriber) -> bool:
        key, value = subscriber_key(tenant, subscriber.identity), _packed(subscriber)
        former = _record(await self._write("SET", key, value, "NX", "GET"), self._subscriber)
        if former is None or former == subscriber:
            return True
        if former.account != subscriber.account:
            return False
        await self._write("SET", key, value)
        return True

    async def put_account(self, tenant: str, account: Account) -> bool:
        key = account_key(tenant, account.account)
        former = await self._write("SET", key, _packed(account), "NX", "GET")
        return _record(former, self._account) in (None, account)

    async def subscribers(self, tenant: str) -> list[Subscriber]:
        found = await self._list(subscriber_key(tenant, ""), self._subscriber)
        return sorted(found, key=lambda subscriber: subscriber.identity)

    async def accounts(self, tenant: str) -> list[Account]:
        found = await self._list(account_key(tenant, ""), self._account)
        return sorted(found, key=lambda account: account.account)

    async def _list(self, prefix: str, decode: Callable[[bytes], _RecordT]) -> list[_RecordT]:
        keys = sorted(await self._scan(f"{prefix}*"))
        found: list[_RecordT] = []
        for start in range(0, len(keys), READ_BATCH):
            # One GET a key, sent together: a single MGET would cross the slots of a cluster.
            reads = [self._store.execute("GET", key) for key in keys[start : start + READ_BATCH]]
            values = await _answered(asyncio.gather(*reads), writes=False)
            assert isinstance(values, list), "gather answers with a list"
            records = (_record(value, decode) for value in values)
            found.extend(record for record in records if record is not None)
        return found

    async def _scan(self, pattern: str) -> set[bytes]:
        """All keys that match; SCAN may name one twice. Encoded parts hold no pattern signs."""
        keys: set[bytes] = set()
        cursor: bytes | str = "0"
        while True:
            reply = await self._read("SCAN", cursor, "MATCH", pattern, "COUNT", SCAN_COUNT)
            cursor, page = msgspec.convert(reply, tuple[bytes, list[bytes]])
            keys.update(page)
            if cursor == b"0":
                return keys

    async def _read(self, *command: str | bytes | int) -> _Reply:
        return await _answered(self._store.execute(*command), writes=False)

    async def _write(self, *command: str | bytes | int) -> _Reply:
        return await _answered(self._store.execute(*command), writes=True)


async def _answered(reply: Awaitable[_Reply], *, writes: bool) -> _Reply:
    """Translate faults. A read whose outcome is unknown changed nothing: it was unavailable."""
    try:
        return await reply
    except StoreUnavailable as fault:
        raise LedgerUnavailable(str(fault)) from fault
    except StoreOutcomeUnknown as fault:
        raise (OutcomeUnknown if writes else LedgerUnavailable)(str(fault)) from fault
    except ReplyError as fault:
        if writes and not not_executed(fault):
            raise OutcomeUnknown(str(fault)) from fault
        raise LedgerUnavailable(str(fault)) from fault


def _packed(record: Subscriber | Account) -> bytes:
    return bytes((RECORD_VERSION,)) + _encode(record)


def _record(value: _Reply, decode: Callable[[bytes], _RecordT]) -> _RecordT | None:
    if value is None:
        return None
    assert isinstance(value, bytes), "a directory key holds a string"
    if value[0] != RECORD_VERSION:
        raise LedgerUnavailable(
            f"the directory holds a record of version {value[0]}; this ocs reads {RECORD_VERSION}"
        )
    return decode(value[1:])


class CachedDirectory:
    """A bounded memory of subscribers before a directory; all else passes through."""

    def __init__(
        self,
        directory: Directory,
        clock_ms: Callable[[], int],
        seconds: float = DEFAULT_SECONDS,
        max_entries: int = DEFAULT_MAX_ENTRIES,
    ) -> None:
        assert max_entries > 0, "a cache without room cannot answer `peek`"
        self._directory = directory
        self._clock_ms = clock_ms
        self._known_ms = int(seconds * 1000)
        self._unknown_ms = int(min(seconds, UNKNOWN_SECONDS) * 1000)
        self._max_entries = max_entries
        # In the order of loading, so that the first one is the oldest. The time of loading is kept
        # beside the end: after the clock was set back, an entry from the future counts as stale.
        self._entries: dict[tuple[str, str], tuple[int, int, Subscriber | None]] = {}

    def peek(self, tenant: str, identity: str, now_ms: int) -> Subscriber | None:
        """Give what is remembered and fresh, without waiting; None: ask `subscriber`."""
        entry = self._entries.get((tenant, identity))
        if entry is not None and entry[0] <= now_ms < entry[1]:
            return entry[2]
        return None

    async def subscriber(self, tenant: str, identity: str) -> Subscriber | None:
        entry = self._entries.get((tenant, identity))
        if entry is not None and entry[0] <= self._clock_ms() < entry[1]:
            return entry[2]
        found = await self._directory.subscriber(tenant, identity)
        self._remember((tenant, identity), found)
        return found

    async def account(self, tenant: str, account: str) -> Account | None:
        return await self._directory.account(tenant, account)

    async def put_subscriber(self, tenant: str, subscriber: Subscriber) -> bool:
        # Forgotten on both sides of the write: a look-up in between may have loaded the former one.
        self._entries.pop((tenant, subscriber.identity), None)
        try:
            return await self._directory.put_subscriber(tenant, subscriber)
        finally:
            self._entries.pop((tenant, subscriber.identity), None)

    async def put_account(self, tenant: str, account: Account) -> bool:
        return await self._directory.put_account(tenant, account)

    async def subscribers(self, tenant: str) -> list[Subscriber]:
        return await self._directory.subscribers(tenant)

    async def accounts(self, tenant: str) -> list[Account]:
        return await self._directory.accounts(tenant)

    def _remember(self, key: tuple[str, str], subscriber: Subscriber | None) -> None:
        now_ms = self._clock_ms()
        life_ms = self._unknown_ms if subscriber is None else self._known_ms
        self._entries.pop(key, None)
        while len(self._entries) >= self._max_entries:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = (now_ms, now_ms + life_ms, subscriber)
