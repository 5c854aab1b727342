"""The price of what an event asks for, step by step, in the answer to a dry run.

A dry run says what would be granted; `explain` adds why it costs what it costs. Each service is
explained as a use of its own: the units that it reports and those that it asks for, from the first
unit on. The price is that which charging finds, for the same number at the same time.
"""

from msgspec.structs import replace

from ocs.domain.events import Event
from ocs.domain.explain import explain
from ocs.domain.generation import Generation
from ocs.usecases.answer import Answer
from ocs.usecases.paying import Payment
from ocs.usecases.preparing import Preparer, asked_units


def explained(
    answer: Answer, event: Event, payment: Payment, preparer: Preparer, generation: Generation
) -> Answer:
    """Add the explanations to an answer that has services."""
    plan = payment.plan
    if plan is None or not answer.services:
        return answer
    pricer, quota_units = preparer.pricer, preparer.rules(event, plan).quota_units
    return replace(
        answer,
        explanations=tuple(
            explain(
                generation,
                plan,
                pricer.used(event, use),
                use.used_units + asked_units(event, use, quota_units),
                answered=event.answered,
                life_s=pricer.life_s,
            )
            for use in event.services
        ),
    )
