"""What is wrong, or probably not meant, with a plan in the generation that is loaded.

A fault is what could not be charged: `ocs` refuses to start with it. A warning is a price that can
never apply, because a tariff further up the plan has an answer for its numbers. That may be meant
(a special tariff for one country, before one for the world), so it is told by `ocs check` only.

Only rows that hold at any time and for any caller are taken to hide others.
"""

from collections.abc import Iterator, Sequence

from ocs.domain.generation import Generation
from ocs.domain.offers import bands_at
from ocs.domain.plan import Plan
from ocs.domain.prefix_trie import NO_PREFIX
from ocs.domain.tariff import CATCH_ALL, WHOLE_PERCENT, Deck, PlanTariff


def check_plan(plan: Plan, generation: Generation) -> tuple[str, ...]:
    """Return the faults of a plan in this generation, as sentences; empty if there is none."""
    known = {tariff.name: tariff for tariff in generation.tariffs}
    faults = [
        f"plan {plan.name}: there is no tariff {tariff.name!r}"
        for tariff in plan.tariffs
        if tariff.name not in known
    ]
    loaded = [tariff for tariff in plan.tariffs if tariff.name in known]
    codes = sorted({known[tariff.name].currency for tariff in loaded})
    if len(codes) > 1:
        faults.append(f"plan {plan.name}: its tariffs are in different currencies: {codes}")
    for tariff in loaded:
        faults += _inexact(plan, tariff, generation)
    return tuple(faults)


def plan_warnings(plan: Plan, generation: Generation) -> tuple[str, ...]:
    """Return which tariffs of a plan are hidden by those before them, as sentences."""
    warnings: list[str] = []
    for position, tariff in enumerate(plan.tariffs):
        decks = generation.decks_of(tariff.name)
        usage_types = {deck.head.usage_type for deck in decks}
        hiding = [
            deck
            for earlier in plan.tariffs[:position]
            for deck in generation.decks_of(earlier.name)
            if _hides(deck) and deck.head.usage_type in usage_types
        ]
        if hiding:
            warnings += _hidden(plan, tariff, decks, hiding)
    return tuple(warnings)


def _inexact(plan: Plan, tariff: PlanTariff, generation: Generation) -> Iterator[str]:
    """Yield the first price of each deck that cannot be taken at the plan's percentage."""
    if tariff.percent == WHOLE_PERCENT:
        return
    for deck in generation.decks_of(tariff.name):
        for number in range(len(deck.rows.price_records)):
            try:
                bands_at(deck.price(number), tariff.percent)
            except ValueError as error:
                percent = float(tariff.percent)
                yield f"plan {plan.name}: tariff {tariff.name} at {percent:g} per cent: {error}"
                break


def _hides(deck: Deck) -> bool:
    return deck.is_plain and not deck.head.from_prefix and not deck.head.trunk


def _hidden(
    plan: Plan, tariff: PlanTariff, decks: Sequence[Deck], hiding: Sequence[Deck]
) -> Iterator[str]:
    """Yield a sentence where a tariff has no use left, or loses prefixes to a shorter one."""
    total, hidden, shorter, example = 0, 0, 0, ""
    for deck in decks:
        for prefix in deck.trie.spelled():
            total += 1
            cover = _cover(prefix, hiding)
            if cover is None:
                continue
            hidden += 1
            if len(cover[1]) < len(prefix):
                shorter += 1
                example = example or f"{prefix}: {cover[0]} has {cover[1] or CATCH_ALL}"
    if hidden == total:
        names = ", ".join(dict.fromkeys(deck.head.tariff for deck in hiding))
        yield (
            f"plan {plan.name}: tariff {tariff.name} is never used: "
            f"{names}, before it, has a price for all its prefixes"
        )
    elif shorter:
        yield (
            f"plan {plan.name}: {shorter} of {total} prefixes of tariff {tariff.name} are never "
            f"used, as a shorter one before them decides, such as {example}"
        )


def _cover(prefix: str, hiding: Sequence[Deck]) -> tuple[str, str] | None:
    """Return the tariff that decides about all numbers with a prefix, and by which of its own."""
    for deck in hiding:
        found = deck.trie.longest(prefix)
        if found != NO_PREFIX:
            return deck.head.tariff, prefix[: deck.trie.lengths[found]]
    return None
