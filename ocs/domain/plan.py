"""A plan: what a subscriber pays by, and what can be used at all.

Which of its tariffs decides is said by the generation (`generation.py`), and what does not go
together with the tariffs that are loaded by `plan_check.py`. `rates_of` joins the two: whoever
prices (charging, explaining, rating offline) asks it.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Literal

import msgspec

from ocs.domain.generation import Generation, Schedule
from ocs.domain.ladder import FREE, packed
from ocs.domain.tariff import (
    ALWAYS_FROM_MS,
    ANY_CURRENCY,
    NEVER_ENDS_MS,
    PlanTariff,
    Rate,
    Used,
    untimed,
)
from ocs.domain.usage import USAGE_TYPES, VOICE

LONGEST_LIFE_S: Final = 604_800
"""No call lasts longer, whatever is configured: its price is looked up for no later time."""

# By usage type: granted when a request names no amount, the least worth granting, the most at once.
_DEFAULT_QUOTAS: Final = {
    "voice": (300, 1, 3_600),
    "data": (10_485_760, 1, 1_073_741_824),  # 10 MiB, and 1 GiB at most
    "sms": (1, 1, 100),
    "mms": (1, 1, 100),
    "event": (1, 1, 1_000_000),
}
_DEFAULT_VALIDITY_S: Final = 600


FinalUnitPolicy = Literal["terminate", "redirect", "restrict"]
"""What becomes of a session when its final units are used."""
FailureHandling = Literal["", "terminate", "continue", "retry_and_terminate"]
"""What a client does that gets no answer (RFC 8506 8.14); empty leaves it to the client."""


class Plan(msgspec.Struct, frozen=True):
    """What a subscriber pays by: tariffs in order of precedence, and the sizes of grants.

    Numbers with one of `blocked_prefixes` are refused and those with one of `free_prefixes` cost
    nothing, whatever the tariffs say; of both, the longest prefix decides. They are for a handful;
    long lists belong into a tariff of their own, as blocked or free rows.

    The mappings go by usage type; what a plan leaves out has a default. `quota_units` is granted
    when the client names no amount, `minimum_units` is the least worth granting, `maximum_units`
    the most at once; when `threshold_units` of a grant are left, the client is to come back (0, the
    default: it is not told when). `validity_s` is how long a grant may be used.

    `redirect_address` is where a session is led at the end, `filter_id` what it is restricted to:
    each goes with its action, and only with it.
    """

    name: str
    tariffs: tuple[PlanTariff, ...]
    quota_units: Mapping[str, int] = {}
    minimum_units: Mapping[str, int] = {}
    maximum_units: Mapping[str, int] = {}
    validity_s: int = _DEFAULT_VALIDITY_S
    blocked_prefixes: tuple[str, ...] = ()
    free_prefixes: tuple[str, ...] = ()
    threshold_units: Mapping[str, int] = {}
    final_unit_action: FinalUnitPolicy = "terminate"
    redirect_address: str = ""
    filter_id: str = ""
    failure_handling: FailureHandling = ""

    def __post_init__(self) -> None:
        """Fill in the defaults; ValueError names what cannot hold."""
        for position, field in enumerate(("quota_units", "minimum_units", "maximum_units")):
            defaults = {usage: units[position] for usage, units in _DEFAULT_QUOTAS.items()}
            msgspec.structs.force_setattr(self, field, defaults | dict(getattr(self, field)))
        if self.validity_s < 1:
            raise ValueError(f"plan {self.name}: validity_s must be at least 1")
        contrary = set(self.blocked_prefixes) & set(self.free_prefixes)
        if contrary:
            raise ValueError(f"plan {self.name}: {min(contrary)} is both blocked and free")
        thresholds = dict.fromkeys(USAGE_TYPES, 0) | dict(self.threshold_units)
        msgspec.structs.force_setattr(self, "threshold_units", thresholds)
        for usage in {*self.quota_units, *self.minimum_units, *self.maximum_units, *thresholds}:
            self._check(usage)
        self._check_end()

    def exempt(self, number: str, usage_type: str) -> Rate | None:
        """Return the rate of a number that is blocked or free by the plan itself."""
        blocked, free = self.blocked_prefixes, self.free_prefixes
        if not (blocked or free) or not number.startswith(blocked + free):
            return None
        prefix = max((each for each in blocked + free if number.startswith(each)), key=len)
        return _exempt_rate(self.name, prefix, usage_type, prefix in blocked)

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
        threshold = self.threshold_units[usage]
        if not 0 <= threshold < most:
            raise ValueError(
                f"plan {self.name}: {usage} threshold {threshold} must be below maximum {most}"
            )

    def _check_end(self) -> None:
        """Each action has what it needs, and nothing that it would not use."""
        for needed, action in (
            ("redirect_address", "redirect"),
            ("filter_id", "restrict"),
        ):
            is_given, is_used = bool(getattr(self, needed)), self.final_unit_action == action
            if is_given != is_used:
                raise ValueError(
                    f"plan {self.name}: {needed} goes with final_unit_action {action}, and only "
                    f"with it; it is {self.final_unit_action}"
                )


def rates_of(generation: Generation, plan: Plan, used: Used, seconds: int) -> Schedule:
    """Return the rates of a use, each with the instant from which it holds; empty without one.

    Those of voice switch within `seconds` from its beginning, LONGEST_LIFE_S at most; other use
    keeps the rate it began at.
    """
    if used.usage_type == VOICE:
        life_s = min(seconds, LONGEST_LIFE_S)
        return rates_until(generation, plan, used, used.at_ms + life_s * 1000)
    rate = plan.exempt(used.number, used.usage_type) or generation.find(plan.tariffs, used)
    return () if rate is None else ((used.at_ms, rate),)


def rates_until(generation: Generation, plan: Plan, used: Used, until_ms: int) -> Schedule:
    """Return the rate at `used.at_ms` and each later one before `until_ms`, of whatever use."""
    exempt = plan.exempt(used.number, used.usage_type)
    if exempt is not None:
        return ((used.at_ms, exempt),)
    return generation.schedule(plan.tariffs, used, until_ms)


@lru_cache(maxsize=10_000)
def _exempt_rate(plan: str, prefix: str, usage_type: str, blocked: bool) -> Rate:
    return Rate(
        tariff=f"plan {plan}",
        prefix=prefix,
        destination="",
        model="blocked" if blocked else "free",
        currency=ANY_CURRENCY,
        ladder=FREE,
        packed=msgspec.msgpack.encode(packed(FREE)),
        valid_from_ms=ALWAYS_FROM_MS,
        valid_to_ms=NEVER_ENDS_MS,
        blocked=blocked,
        usage_type=usage_type,
        bands=untimed(FREE),
    )
