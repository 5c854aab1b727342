"""The price of what an event asks for, step by step, in the answer to a dry run.

A dry run says what would be granted; `explain` adds why it costs what it costs. Each service is
explained as a use of its own: the units that it reports and those that it asks for, from the first
unit on. The price is that which charging finds, for the same number at the same time.
"""

from msgspec.structs import replace

from ocs.domain.events import Event
from ocs.domain.explain import explain
from ocs.domain.generation import Generation
from ocs.domain.plan import Plan
from ocs.usecases.answer import Answer
from ocs.usecases.preparing import Preparer, asked_units


def explained(
    answer: Answer, event: Event, plan: Plan | None, preparer: Preparer, generation: Generation
) -> Answer:
    """Add the explanations to an answer that has services."""
    if plan is None or not answer.services:
        return answer
    used = preparer.used(event)
    return replace(
        answer,
        explanations=tuple(
            explain(
                generation,
                plan,
                used,
                use.used_units + asked_units(event, use, plan),
                answered=event.answered,
                life_s=preparer.life_s,
            )
            for use in event.services
        ),
    )
