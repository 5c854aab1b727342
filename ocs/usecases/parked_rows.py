"""The rows of a settlement: what is known before it is debited, and with what the ledger said.

One row for each service that owes something, and one for each of which something was settled
before; where there is neither, one says that there was nothing. Rows are made of what stands in the
note of a settlement that is under way and of nothing else, so it makes no difference which run
writes them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from ocs.domain.events import Event
from ocs.usecases.parked import ParkedUse, SettledUse, UnderWay
from ocs.usecases.parked_use import WholeUse
from ocs.usecases.paying import Payment
from ocs.usecases.ports import RatingInfo
from ocs.usecases.settling_cdrs import Settled

_SETTLED_BEFORE: Final = "it was settled before, says the journal"
_decode_rating: Final = msgspec.json.Decoder(RatingInfo).decode


def fates_of(whole: WholeUse, settled: Settled) -> Mapping[str, int]:
    """Count the events of a settlement by their fates; `settled` is that of those that owe."""
    return Counter(settled if fate is Settled.DEBITED else fate for fate in whole.fates)


def uses_of(
    whole: WholeUse,
    settled: Settled,
    reason: str,
    payment: Payment | None = None,
    generation: str = "",
) -> tuple[ParkedUse, ...]:
    """Make the rows of a settlement as far as they are known."""
    return tuple(_uses(whole, _about(whole, payment, generation), settled, reason))


def _uses(whole: WholeUse, about: ParkedUse, settled: Settled, reason: str) -> Iterator[ParkedUse]:
    replace = msgspec.structs.replace
    for use in whole.event.services if whole.event else ():
        yield replace(
            about,
            rating_group=use.rating_group,
            units=use.used_units,
            rated_number=use.rated_number or about.rated_number,
            settled=settled,
            reason=reason,
        )
    for group, units in whole.duplicates.items():
        yield replace(
            about,
            rating_group=group,
            units=units,
            settled=Settled.DUPLICATE,
            reason=_SETTLED_BEFORE,
        )
    if whole.event is None and not whole.duplicates:
        is_covered = Settled.DUPLICATE in whole.fates
        yield replace(
            about,
            settled=Settled.DUPLICATE if is_covered else settled,
            reason=_SETTLED_BEFORE if is_covered else reason,
        )


def _about(whole: WholeUse, payment: Payment | None, generation: str) -> ParkedUse:
    """Say what all rows of a settlement have in common."""
    events = [parked.event for parked in whole.events if parked.event is not None]
    event, session = whole.event or events[0], payment and payment.session
    return ParkedUse(
        stream=whole.events[0].ref.stream,
        rating_group=event.services[0].rating_group if event.services else "",
        session_id=event.session_id,
        tenant=event.tenant,
        settled=Settled.RECORDED,
        subscriber=event.subscriber,
        account=session.account if session else "",
        wallet_group=session.wallet_group if session else "",
        plan=payment.plan.name if payment and payment.plan else "",
        currency=payment.currency if payment else "",
        calling_number=event.calling_number,
        called_number=event.called_number,
        rated_number=event.rated_number,
        trunk_in=event.trunk_in,
        direction=event.direction,
        usage_type=event.usage_type,
        used_ms=whole.used_ms,
        end_ms=_end_ms(events),
        generation=generation,
        attributes=event.attributes.decode() or "{}",
    )


def _end_ms(events: Sequence[Event]) -> int:
    return max(event.event_ms for event in events)


def rows_of(one: UnderWay) -> list[SettledUse]:
    """Make the rows of a settlement that is under way."""
    note, result = one.note, one.result.result if one.result else None
    debited: dict[str, tuple[int, int, RatingInfo | None]] = {}
    if one.result is not None and result is not None:
        for service, rating in zip(result.services, one.result.ratings, strict=True):
            told = _decode_rating(rating) if rating else None
            debited[service.rating_group] = service.settled_units, service.settled_amount, told
    rows = []
    for number, use in enumerate(note.uses):
        units, amount, price, transaction_id = use.units, 0, None, ""
        if use.settled is Settled.DEBITED:
            assert result is not None, "what was debited has a result"
            units, amount, price = debited[use.rating_group]
            transaction_id = result.transaction_id
        overrun = result.overrun_amount if result and not number else 0
        rows.append(
            SettledUse(
                name=f"{note.name}-{number}",
                use=use,
                units=units,
                amount=amount,
                overrun=overrun,
                rating=price,
                transaction_id=transaction_id,
            )
        )
    return rows
