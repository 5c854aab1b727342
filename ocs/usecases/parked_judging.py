"""What becomes of parked events that are one use: debited by the ledger, noted, or left parked.

The price is the one that a release would have online that told the whole use at once, at the
tariffs of that time; what pays are the buckets that would have paid. So whoever was used to
bundles has them used up, fee and rounding come once, and nothing here knows of ladders.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ocs.domain.events import Event
from ocs.domain.generation import Generation
from ocs.domain.results import ResultCode
from ocs.domain.wallet import Wallet
from ocs.usecases.parked import (
    Note,
    Parked,
    ParkedOrder,
    ParkedStatus,
    ParkedStore,
    ParkedUse,
    UnderWay,
)
from ocs.usecases.parked_groups import Gatherer, Group
from ocs.usecases.parked_journal import Charged, ParkedTold
from ocs.usecases.parked_rows import fates_of, uses_of
from ocs.usecases.parked_summary import DROPPED, Waits
from ocs.usecases.parked_use import WholeUse, request_of, whole_use
from ocs.usecases.paying import Payment
from ocs.usecases.ports import ChargeCall
from ocs.usecases.preparing import Prepared, Preparer
from ocs.usecases.settling_cdrs import Settled

_MS: Final = 1_000
_STALE_TRIES: Final = 3
_UNUSED: Final = "nothing was used"
_NOT_BY_EVENTS: Final = {
    ParkedStatus.BY_CDRS: (Settled.RECONCILED, "the account is settled by CDRs, not by events"),
    ParkedStatus.BY_NOBODY: (Settled.RECORDED, "it is an offline account"),
}
_REFUSED: Final = {
    ParkedStatus.NO_WALLET: Waits.NO_WALLET.value,
    ParkedStatus.OVERFLOW: ResultCode.RATING_FAILED.value,
}
_FOR_HELP: Final = "a call for help"
_encode_json: Final = msgspec.json.Encoder().encode


class Judged(Struct, frozen=True):
    """A settlement that is under way, or why the events wait."""

    under_way: UnderWay | None = None
    waits: str = ""


class Quiet(Struct, frozen=True):
    """For how long nothing must have come of a session, and of a one-shot event, in seconds.

    As long as the ledger remembers them: what a client sends again until then may be charged as it
    comes, and is then found in the journal; what it sends later is late, and does not go past it.
    They count from when an event came, and from its own time if its client's clock is ahead: before
    that it would not be late.
    """

    session_s: int
    event_s: int


class Judge:
    """Decides what becomes of a group."""

    def __init__(
        self,
        *,
        store: ParkedStore,
        gatherer: Gatherer,
        preparer: Preparer,
        generation: Generation,
        quiet: Quiet,
    ) -> None:
        self.gatherer = gatherer
        self._store = store
        self._preparer = preparer
        self._generation = generation
        self._quiet = quiet

    async def over(self, group: Group, now_ms: int) -> Group | Waits:
        """Give a group that nothing more is to come of, with the mark of its session."""
        quiet = self._quiet
        wait_s = quiet.event_s if group.is_one_shot else quiet.session_s
        quiet_since_ms = now_ms - _MS * wait_s
        if quiet_since_ms < group.last_ms:
            return Waits.OPEN
        if group.payment is None:
            return group
        if quiet_since_ms < group.told_ms:
            return Waits.AHEAD
        looked = await self._store.look(group.payment.session)
        if looked.is_live and not group.is_one_shot:
            return Waits.OPEN
        return replace(group, mark=looked.mark)

    async def judge(self, group: Group, charged: Charged | None, chunk: str) -> Judged:
        """Settle a group. `charged` is what the journal says; None where it may not know all."""
        payment = group.payment
        if payment is None:
            whole = whole_use(group.events, Charged())
            return await self._noted(whole, Settled.RECORDED, _FOR_HELP, chunk)
        if charged is None:
            return Judged(waits=Waits.NOT_KNOWN)
        whole = whole_use(group.events, charged)
        event = whole.event
        if event is None:
            return await self._noted(whole, Settled.RECORDED, _UNUSED, chunk, payment)
        if not group.debits:
            return Judged(waits=Waits.NO_DEBIT)
        planned = await self.gatherer.with_plan(payment, event, charged.subscriber)
        if planned is None:
            return Judged(waits=Waits.NO_PLAN)
        if not event.rated_number:
            event = replace(event, rated_number=charged.rated_number)
        prepared = self._preparer.prepare(event, planned, self._generation, opens=True)
        why = next((each.code for each in prepared.prices if each.code is not ResultCode.OK), None)
        if why is not None:
            return Judged(waits=why)
        whole = replace(whole, event=event)
        uses = uses_of(whole, Settled.DEBITED, "", planned, self._generation.id)
        note = _note(whole, uses, chunk, fates_of(whole, Settled.DEBITED))
        order = ParkedOrder(_call(prepared, whole), _before(event, charged), note, group.mark)
        return await self._settled(whole, event, prepared, order)

    async def _settled(
        self, whole: WholeUse, event: Event, prepared: Prepared, order: ParkedOrder
    ) -> Judged:
        payment, note = prepared.payment, order.note
        reply = await self._store.settle(order)
        for _ in range(_STALE_TRIES):
            if reply.stale is None:
                break
            wallet = Wallet(reply.stale.version, reply.stale.buckets)
            prepared = self._preparer.for_wallet(event, prepared, wallet)
            reply = await self._store.settle(replace(order, call=_call(prepared, whole)))
        if reply.status is ParkedStatus.SETTLED:
            partition = self._store.partition_of(payment.session)
            return Judged(UnderWay(partition, note, reply.reply))
        if reply.status in _NOT_BY_EVENTS:
            settled, reason = _NOT_BY_EVENTS[reply.status]
            return await self._noted(whole, settled, reason, note.chunk, payment)
        return Judged(waits=_REFUSED.get(reply.status, Waits.LATER))

    async def drop(self, events: Sequence[Parked], reason: str, chunk: str) -> UnderWay:
        """Give events up: what they say is kept, and nobody is debited."""
        read = [parked for parked in events if parked.event is not None]
        uses = [
            ParkedUse(
                stream=parked.ref.stream,
                rating_group="",
                session_id="",
                tenant="",
                settled=Settled.REJECTED,
                attributes=parked.text,
            )
            for parked in events
            if parked.event is None
        ]
        if read:
            uses += uses_of(whole_use(read, Charged()), Settled.REJECTED, "")
        whole = WholeUse(tuple(events), None, 0, {}, ())
        told = tuple(replace(use, dropped=reason) for use in uses)
        return await self._under_way(_note(whole, told, chunk, {DROPPED: len(events)}))

    async def _noted(
        self,
        whole: WholeUse,
        settled: Settled,
        reason: str,
        chunk: str,
        payment: Payment | None = None,
    ) -> Judged:
        """Have it under way without a debit."""
        uses = uses_of(whole, settled, reason, payment)
        note = _note(whole, uses, chunk, fates_of(whole, settled))
        return Judged(await self._under_way(note))

    async def _under_way(self, note: Note) -> UnderWay:
        partition = note.entries[0].partition
        await self._store.note(partition, note)
        return UnderWay(partition, note)


def _note(
    whole: WholeUse, uses: tuple[ParkedUse, ...], chunk: str, fates: Mapping[str, int]
) -> Note:
    entries = tuple(parked.ref for parked in whole.events)
    return Note(name=whole.name, chunk=chunk, entries=entries, uses=uses, fates=fates)


def _before(event: Event, charged: Charged) -> tuple[tuple[int, int], ...]:
    """Say what was charged of each service: so many units, and of them by money. 2.15."""
    units = [charged.units[use.rating_group] for use in event.services]
    paid = [charged.amounts[use.rating_group] > 0 for use in event.services]
    return tuple((n, n if by_money else 0) for n, by_money in zip(units, paid, strict=True))


def _call(prepared: Prepared, whole: WholeUse) -> ChargeCall:
    """Make the call; the journal is told which requests are in it."""
    requests = {
        request_of(parked.event): None
        for parked, fate in zip(whole.events, whole.fates, strict=True)
        if parked.event is not None and fate is Settled.DEBITED
    }
    told = ParkedTold(whole.events[0].ref.stream, tuple(requests))
    info = b'%b,"parked":%b}' % (prepared.call.info[:-1], _encode_json(told))
    return replace(
        prepared.call,
        request_number=-1,
        request_key=f"parked {whole.name}",
        fingerprint="",
        info=info,
    )
