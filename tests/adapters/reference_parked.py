"""What `docs/design.md` 2.15 says of parked use, on the books of the reference ledger."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from ocs.domain.events import Kind
from ocs.domain.session import State, row
from ocs.usecases.parked import (
    Begun,
    Looked,
    Note,
    ParkedOrder,
    ParkedRef,
    ParkedReply,
    ParkedStatus,
    TakenOver,
    UnderWay,
)
from ocs.usecases.ports import ChargeResult, Reply, SessionKey, Settler, WalletKey
from tests.adapters.reference_charge import Charge
from tests.adapters.reference_ledger import ReferenceLedger
from tests.adapters.reference_price import Meter
from tests.adapters.reference_records import Service, Session, Wallet, wallet_of

_OTHERS = {Settler.CDR: ParkedStatus.BY_CDRS, Settler.NOBODY: ParkedStatus.BY_NOBODY}


@dataclass
class ParkedBooks:
    """What all runs share."""

    folder: str = ""
    epoch: int = 0
    fence: int = 0
    under_way: dict[str, UnderWay] = field(default_factory=dict)


@dataclass
class ReferenceParked:
    """Implements `ocs.usecases.parked.ParkedStore`; all is in partition 0."""

    ledger: ReferenceLedger
    books: ParkedBooks = field(default_factory=ParkedBooks)
    epoch: int = 0
    partitions: int = 1

    def partition_of(self, wallet: WalletKey | SessionKey) -> int:
        assert wallet.tenant
        return 0

    async def begin(self, folder: str, *, moves: bool) -> Begun:
        if self.books.folder not in ("", folder) and not moves:
            return Begun(0)
        self.books.folder = folder
        self.books.epoch += 1
        self.epoch = self.books.epoch
        return Begun(self.epoch)

    async def claim(self, partition: int) -> None:
        assert partition == 0
        if self.books.fence > self.epoch:
            raise TakenOver
        self.books.fence = self.epoch

    async def store_ms(self) -> int:
        return self.ledger.now_ms

    async def read(
        self, partition: int, stream: str, after: str, count: int
    ) -> Sequence[tuple[str, bytes]]:
        assert partition == 0
        entries = list(self.ledger.parked.get(stream, {}).values())
        numbered = [(f"{n + 1}-0", entry) for n, entry in enumerate(entries)]
        behind = int(after.partition("-")[0])
        return [each for each in numbered[behind:] if each[1]][:count]

    async def under_way(self, partition: int) -> Sequence[UnderWay]:
        assert partition == 0
        return list(self.books.under_way.values())

    async def look(self, session: SessionKey) -> Looked:
        found = self.ledger._session(session)
        if found.state is State.NONE:
            return Looked(is_live=False)
        return Looked(found.live or found.state is State.EXPIRED, repr(found).encode())

    async def settle(self, order: ParkedOrder) -> ParkedReply:
        if self.epoch != self.books.fence:
            raise TakenOver
        known = self.books.under_way.get(order.note.name)
        if known is not None and known.result is not None:
            return ParkedReply(ParkedStatus.SETTLED, replace(known.result, hit=True))
        if (await self.look(order.call.session)).mark != order.mark:
            return ParkedReply(ParkedStatus.MOVED)
        key = wallet_of(order.call.session)
        wallet = self.ledger.books.wallets.get(key)
        if wallet is None:
            return ParkedReply(ParkedStatus.NO_WALLET)
        definition = wallet.definition
        if definition.settled_by in _OTHERS:
            return ParkedReply(_OTHERS[definition.settled_by])
        if len(definition.buckets) > 1 and definition.version != order.call.wallet_version:
            return ParkedReply(ParkedStatus.STALE, stale=definition)
        return self._settled(order, self.ledger.books.copy(key))

    def _settled(self, order: ParkedOrder, wallet: Wallet) -> ParkedReply:
        """One use of its own: no session is looked at, and none is left behind."""
        call, books = order.call, self.ledger.books
        wallet.last_ms = max(self.ledger.now_ms, wallet.last_ms)
        charge = Charge(call, wallet, _begun(order))
        results = charge.run(row(State.NONE, call.kind))
        if not wallet.within_limits():
            return ParkedReply(ParkedStatus.OVERFLOW)
        money = wallet.money(wallet.last_ms)
        result = ChargeResult(
            code=results[0].code,
            transaction_id=books.next_id(),
            services=tuple(results),
            available_amount=sum(numbers.left - numbers.held for numbers in money),
            held_amount=sum(numbers.held for numbers in money),
            overrun_amount=charge.overrun,
            late_start=False,
        )
        books.write(call.kind, wallet_of(call.session), wallet, call.session)
        reply = Reply(result.code, result, charge.ratings())
        self.books.under_way[order.note.name] = UnderWay(0, order.note, reply)
        return ParkedReply(ParkedStatus.SETTLED, reply)

    async def note(self, partition: int, note: Note) -> None:
        assert partition == 0
        if self.epoch != self.books.fence:
            raise TakenOver
        self.books.under_way[note.name] = UnderWay(0, note)

    async def remove(self, entries: Collection[ParkedRef]) -> None:
        for ref in entries:
            parked = self.ledger.parked[ref.stream]
            parked[list(parked)[int(ref.entry.partition("-")[0]) - 1]] = b""

    async def forget(self, partition: int, names: Collection[str]) -> None:
        assert partition == 0
        for name in names:
            self.books.under_way.pop(name, None)

    async def waiting(self) -> Mapping[str, int]:
        return {
            stream: sum(map(bool, self.ledger.parked.get(stream, {}).values()))
            for stream in ("unrated", "late", "emergency")
        }


def _begun(order: ParkedOrder) -> Session:
    """A session in which each service stands behind what was charged before."""
    session = Session()
    if order.call.kind is Kind.EVENT:
        return session
    for named, (elapsed, priced) in zip(order.call.services, order.before, strict=True):
        meter = Meter(bool(named.timed), named.subject, named.segments)
        if priced:
            meter.price(priced)
            meter.elapsed = elapsed
            meter.charged = meter.cost_so_far()
        meter.elapsed = elapsed
        session.services[named.rating_group] = Service(meter)
    return session
