"""Which rate applies: a plan's tariffs, in their order, in the generation that is loaded.

A *generation* is one load of all tariff files. It never changes: a reload builds a new one and
swaps the reference, so a request in flight keeps the generation that it began with.

The first tariff of the plan with a match wins; within a tariff, the longest prefix that has a row
in force at the time of use. Tariffs of another usage type than the one used are passed over.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ocs.domain.ladder import Step, steps
from ocs.domain.ladder import cost as cost_of
from ocs.domain.money import Currency, currency, format_fraction, format_money
from ocs.domain.tariff import ALWAYS_FROM_MS, CATCH_ALL, NEVER_ENDS_MS, Deck, Rate

__all__ = [
    "ALWAYS_FROM_MS",
    "CATCH_ALL",
    "NEVER_ENDS_MS",
    "USAGE_TYPES",
    "ExplainedStep",
    "Explanation",
    "Generation",
    "Plan",
    "Rate",
    "TariffMeta",
    "check_plan",
    "explain",
]

USAGE_TYPES: Final = ("voice", "data", "sms", "mms", "event")
"""What can be used. Units: seconds, bytes, and one for each message or event."""

# By usage type: granted when a request names no amount, the least worth granting, the most at once.
_DEFAULT_QUOTAS: Final = {
    "voice": (300, 1, 3_600),
    "data": (10_485_760, 1, 1_073_741_824),  # 10 MiB, and 1 GiB at most
    "sms": (1, 1, 100),
    "mms": (1, 1, 100),
    "event": (1, 1, 1_000_000),
}
_DEFAULT_VALIDITY_S: Final = 600


class Plan(msgspec.Struct, frozen=True):
    """What a subscriber pays by: tariffs in order of precedence, and the sizes of grants.

    The three mappings go by usage type; what a plan leaves out has a default. `quota_units` is
    granted when the client names no amount, `minimum_units` is the least worth granting,
    `maximum_units` the most at once. `validity_s` is how long a grant may be used.
    """

    name: str
    tariffs: tuple[str, ...]
    quota_units: Mapping[str, int] = {}
    minimum_units: Mapping[str, int] = {}
    maximum_units: Mapping[str, int] = {}
    validity_s: int = _DEFAULT_VALIDITY_S

    def __post_init__(self) -> None:
        """Fill in the defaults; ValueError names what cannot hold."""
        for position, field in enumerate(("quota_units", "minimum_units", "maximum_units")):
            defaults = {usage: units[position] for usage, units in _DEFAULT_QUOTAS.items()}
            msgspec.structs.force_setattr(self, field, defaults | dict(getattr(self, field)))
        if self.validity_s < 1:
            raise ValueError(f"plan {self.name}: validity_s must be at least 1")
        for usage in {*self.quota_units, *self.minimum_units, *self.maximum_units}:
            self._check(usage)

    def _check(self, usage: str) -> None:
        if usage not in USAGE_TYPES:
            raise ValueError(f"plan {self.name}: {usage!r} is not one of {', '.join(USAGE_TYPES)}")
        least, usual, most = (
            self.minimum_units[usage],
            self.quota_units[usage],
            self.maximum_units[usage],
        )
        if not 1 <= least <= usual <= most:
            raise ValueError(
                f"plan {self.name}: {usage} units must satisfy "
                f"1 <= minimum {least} <= quota {usual} <= maximum {most}"
            )


class TariffMeta(msgspec.Struct, frozen=True):
    """What a loaded tariff is: for `/metrics`, `ocs check` and the log line of a reload."""

    name: str
    currency: str
    usage_type: str
    rates: int


class Generation:
    """One load of all tariffs. `id` is the hash of what it was built from."""

    __slots__ = ("_by_name", "_paths", "decks", "id", "tariffs")

    def __init__(self, generation_id: str, decks: Sequence[Deck]) -> None:
        self.id = generation_id
        self.decks = tuple(decks)
        self.tariffs = tuple(
            TariffMeta(deck.tariff, deck.currency.code, deck.usage, len(deck)) for deck in decks
        )
        self._by_name = {deck.tariff: deck for deck in decks}
        self._paths: dict[tuple[tuple[str, ...], str], tuple[bool, tuple[Deck, ...]]] = {}

    def find(
        self, tariffs: tuple[str, ...], number: str, usage_type: str, at_ms: int
    ) -> Rate | None:
        """Return the rate of the first tariff that has one for `number` at that time."""
        path = self._paths.get((tariffs, usage_type)) or self._path(tariffs, usage_type)
        for deck in path[1]:
            rate = deck.find(number, at_ms)
            if rate is not None:
                return rate
        return None

    def schedule(
        self, tariffs: tuple[str, ...], number: str, usage_type: str, at_ms: int, until_ms: int
    ) -> tuple[tuple[int, Rate], ...]:
        """Return the rate at `at_ms` and each later one with the instant at which it takes over.

        Empty where there is no rate at `at_ms`. Where a rate ends and nothing follows that can be
        charged, it stays: a call that was begun at a price is finished at it. Where the same price
        follows, it stays too, so that a renewed price list cuts no increment in two.
        """
        rate = self.find(tariffs, number, usage_type, at_ms)
        if rate is None:
            return ()
        is_dated, decks = self._paths[(tariffs, usage_type)]
        if not is_dated:
            return ((at_ms, rate),)
        schedule = [(at_ms, rate)]
        instants = {instant for deck in decks for instant in deck.trie.changes(number)}
        for instant in sorted(instants):
            if at_ms < instant < until_ms:
                following = self.find(tariffs, number, usage_type, instant)
                if following is not None and _takes_over(following, schedule[-1][1]):
                    schedule.append((instant, following))
        return tuple(schedule)

    def _path(self, tariffs: tuple[str, ...], usage_type: str) -> tuple[bool, tuple[Deck, ...]]:
        """Return the decks that a plan's tariffs mean, remembered; unknown names mean none."""
        known = (self._by_name.get(name) for name in tariffs)
        decks = tuple(deck for deck in known if deck is not None and deck.usage == usage_type)
        path = any(deck.is_dated for deck in decks), decks
        self._paths[(tariffs, usage_type)] = path
        return path


class ExplainedStep(msgspec.Struct, frozen=True):
    """One line of an explanation; price (of one increment) and amount are exact, as text."""

    what: str
    from_units: int
    to_units: int
    increments: int
    price: str
    amount: str


class Explanation(msgspec.Struct, frozen=True):
    """Why so many units to a number cost what they cost. The amounts of the steps add up to it."""

    generation: str
    tariff: str
    prefix: str
    destination: str
    model: str
    usage_type: str
    currency: str
    blocked: bool
    units: int
    rounding: str
    steps: tuple[ExplainedStep, ...]
    total: str


def explain(
    generation: Generation,
    tariffs: tuple[str, ...],
    number: str,
    usage_type: str,
    at_ms: int,
    units: int,
) -> Explanation | None:
    """Explain the price of `units` to `number` row by row; None where there is no rate."""
    rate = generation.find(tariffs, number, usage_type, at_ms)
    if rate is None:
        return None
    money = currency(rate.currency)
    return Explanation(
        generation=generation.id,
        tariff=rate.tariff,
        prefix=rate.prefix,
        destination=rate.destination,
        model=rate.model,
        usage_type=rate.usage_type,
        currency=rate.currency,
        blocked=rate.blocked,
        units=units,
        rounding=rate.ladder.rounding.value,
        steps=tuple(_explained(step, money) for step in steps(rate.ladder, units)),
        total=format_money(cost_of(rate.ladder, units), money),
    )


def check_plan(plan: Plan, generation: Generation) -> tuple[str, ...]:
    """Return what is wrong with a plan in this generation, as sentences; empty if nothing is."""
    known = {tariff.name: tariff for tariff in generation.tariffs}
    faults = [
        f"plan {plan.name}: there is no tariff {name!r}"
        for name in plan.tariffs
        if name not in known
    ]
    codes = sorted({known[name].currency for name in plan.tariffs if name in known})
    if len(codes) > 1:
        faults.append(f"plan {plan.name}: its tariffs are in different currencies: {codes}")
    return tuple(faults)


def _takes_over(rate: Rate, former: Rate) -> bool:
    """Whether a rate that comes into force in mid-call changes what the call costs."""
    return not rate.blocked and not former.blocked and rate.ladder != former.ladder


def _explained(step: Step, money: Currency) -> ExplainedStep:
    return ExplainedStep(
        what=step.what,
        from_units=step.from_units,
        to_units=step.to_units,
        increments=step.increments,
        price=format_fraction(step.price, money),
        amount=format_fraction(step.amount, money),
    )
