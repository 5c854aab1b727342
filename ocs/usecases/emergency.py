"""Calls for help: answered from memory, written down here, put into the store when it is there.

    event ──► is it one? ── no ──► charging
                 │ yes
                 ├──► the spool: one line in a file of this machine
                 └──► the answer: granted as asked, for nothing

    the spool ──► ledger.park ──► the stream `emergency`              (EmergencyDrain, when it can)

Nothing is looked up, so nothing can refuse: no unknown or blocked subscriber, no empty wallet, no
store that is away. The answer is made of the event alone, so a repeat has the same one, whichever
worker it reaches. What there is to know of the call goes to a file first, because the store may be
away, and a worker that only remembered could be killed; from there it goes into a stream, once for
each session and request, however often it is tried.

Whether an event is one is decided by what was dialled, in each event anew: there is no session that
would remember. An update or a release that does not say what was dialled is known by `session_ref`.

Rejected: a session at price 0 in the ledger. It would need an account, and the store.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import msgspec
from msgspec import Raw, Struct

from ocs.domain.events import Event, Kind, ServiceUse
from ocs.domain.results import ResultCode
from ocs.domain.usage import VOICE
from ocs.usecases.addresses import parse_session_address, session_address
from ocs.usecases.answer import Answer, AnswerOfOne, ServiceAnswer
from ocs.usecases.ports import EMERGENCY, Ledger, LedgerUnavailable, OutcomeUnknown, SessionKey
from ocs.usecases.preparing import info_json

Charge = Callable[[Event], Awaitable[Answer]]
ChargeAll = Callable[[Sequence[Event]], Awaitable[Sequence[AnswerOfOne]]]

_GROUP: Final = "urn:service:sos"
"""Stands where a session's address has the wallet group: nobody pays."""
_QUOTA_S: Final = 3_600
_VALIDITY_S: Final = 3_600
"""What a client is granted that does not say, and when it is to report: no plan is asked."""
_BATCH: Final = 100
_PERIOD_S: Final = 1.0
_LAST_S: Final = 1.0
"""What a worker that ends spends on putting the rest into the store; its successor has time."""

_log = logging.getLogger(__name__)


class Spooled(Struct, frozen=True):
    """A call for help as it waits for the store: all that `Ledger.park` asks for."""

    key: SessionKey
    request: str
    entry: Raw
    """JSON text of the event and of what the journal keeps of any event."""


class Spool(Protocol):
    """A queue that outlives its process. Nothing in it waits; what cannot be kept is counted."""

    @property
    def waiting(self) -> int:
        """Records that are not drained yet."""
        ...

    def append(self, record: Spooled) -> None:
        """Write down one record; raises nothing."""
        ...

    def batch(self, most: int) -> Sequence[Spooled]:
        """Give the oldest records that wait, the same ones until `drained` is called."""
        ...

    def drained(self) -> None:
        """Forget the batch that was given: it is in the store."""
        ...


class EmergencyCalls:
    """Stands before charging and answers what is a call for help; it has its interface."""

    def __init__(self, charge: Charge, charge_all: ChargeAll, spool: Spool) -> None:
        self.answered = 0
        self._charge = charge
        self._charge_all = charge_all
        self._spool = spool

    def charge(self, event: Event) -> Awaitable[Answer]:
        if event.emergency:
            return _given(self._answer(event))
        return self._charge(event)

    async def charge_all(self, events: Sequence[Event]) -> Sequence[AnswerOfOne]:
        """Charge several events."""
        if not any(event.emergency for event in events):
            return await self._charge_all(events)
        answers = [self._answer(event) if event.emergency else None for event in events]
        ordinary = [event for event in events if not event.emergency]
        charged = iter(await self._charge_all(ordinary) if ordinary else ())
        return [next(charged) if answer is None else answer for answer in answers]

    def _answer(self, event: Event) -> Answer:
        self.answered += 1
        key = SessionKey(event.tenant, _GROUP, event.called_number, event.session_id)
        if not event.dry_run:
            request = event.request_key or str(event.request_number)
            about = Raw(info_json(event, "", ""))
            self._spool.append(Spooled(key, request, Raw(msgspec.json.encode((event, about)))))
        return Answer(
            code=ResultCode.NOT_CHARGED,
            session_id=event.session_id,
            request_number=event.request_number,
            session_ref=session_address(key),
            services=tuple([_service(event, use) for use in event.services]),
        )


class EmergencyDrain:
    """Puts what waits into the store. `run` until cancelled, then `finish`."""

    def __init__(self, ledger: Ledger, spool: Spool) -> None:
        self.drained = 0
        self._ledger = ledger
        self._spool = spool
        self._is_away = False

    async def run(self) -> None:
        while True:
            await self._try()
            await asyncio.sleep(_PERIOD_S)

    async def finish(self) -> None:
        """Try once more, for a moment."""
        try:
            async with asyncio.timeout(_LAST_S):
                await self._try()
        except TimeoutError:
            _log.warning("%d emergency events wait for the next start", self._spool.waiting)

    async def drain(self) -> None:
        """Put all that waits into the store; raises what keeps it from it."""
        while batch := self._spool.batch(_BATCH):
            outcomes = await asyncio.gather(*map(self._park, batch), return_exceptions=True)
            for outcome in outcomes:
                if isinstance(outcome, BaseException):
                    raise outcome
            self._spool.drained()
            self.drained += len(batch)

    async def _try(self) -> None:
        try:
            await self.drain()
        except (LedgerUnavailable, OutcomeUnknown) as fault:
            if not self._is_away:
                _log.warning("emergency events wait for the store: %s", fault)
            self._is_away = True
        except Exception:  # noqa: BLE001 -- told, with all that is known of it
            # They stay where they are; a worker that ended for it would answer none at all.
            _log.exception("emergency events could not be put into the store")
        else:
            self._is_away = False

    async def _park(self, record: Spooled) -> None:
        await self._ledger.park(EMERGENCY, record.key, record.request, bytes(record.entry))


def number_of(session_ref: str, tenant: str, session_id: str) -> str:
    """Return what was dialled in the session that an emergency answer named; empty if it is none.

    So a client that sends the reference along need not say again what was dialled.
    """
    if _GROUP not in session_ref:
        return ""
    try:
        key = parse_session_address(session_ref)
    except ValueError:
        return ""
    is_it = key.wallet_group == _GROUP and (key.tenant, key.session_id) == (tenant, session_id)
    return key.account if is_it else ""


async def _given(answer: Answer) -> Answer:
    return answer


def _service(event: Event, use: ServiceUse) -> ServiceAnswer:
    granted_units = _granted_units(event, use)
    comes_back = event.kind in (Kind.START, Kind.UPDATE)
    return ServiceAnswer(
        rating_group=use.rating_group,
        code=ResultCode.NOT_CHARGED,
        granted_units=granted_units,
        validity_s=_VALIDITY_S if comes_back else 0,
        quota_threshold_units=0,
        final_unit=False,
        settled_units=use.used_units,
        settled_amount=0,
        total_amount=0,
        rating=None,
    )


def _granted_units(event: Event, use: ServiceUse) -> int:
    if event.kind is Kind.RELEASE:
        return 0
    if use.requested_units is not None:
        return use.requested_units
    return _QUOTA_S if event.usage_type == VOICE else 1
