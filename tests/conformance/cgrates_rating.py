"""CGRateS's cases on the rating of `ocs`: a tariff plan goes the way that an imported one goes.

    case ──► cgrates.compile_plan ──► CSV text ──► read_tariff ──► a generation ──► find, schedule

Nothing is priced here: what a case expects is compared with what `ocs rate` would say.
"""

from datetime import datetime
from fractions import Fraction
from typing import Final

import msgspec

from ocs.adapters.tariff_files import Tariff, TariffBuild
from ocs.adapters.tariff_files.generation_file import decode, encode
from ocs.adapters.tariff_files.reading import read_tariff
from ocs.adapters.tariff_files.writing import text_of
from ocs.adapters.tariff_import.cgrates import compile_plan
from ocs.adapters.tariff_import.cgrates_plan import ANY, NANOSECONDS, TariffPlan, raw_units
from ocs.domain.generation import Generation, Schedule
from ocs.domain.ladder import Ladder
from ocs.domain.plan import Plan, rates_of
from ocs.domain.tariff import Used, plan_tariffs
from tests.conformance.cases import Case

_PLUS: Final = "00"
"""Some cases keep 49 and +49 apart; nobody dials 0049 in them."""
_USAGE_TYPES: Final = {"*voice": "voice", "*data": "data", "*sms": "sms", "*generic": "event"}
CURRENCY: Final = "EUR"


class Call(msgspec.Struct, frozen=True):
    """What a case asks about, and the rates that were found for it."""

    usage_type: str
    units: int
    at_ms: int
    schedule: Schedule

    @property
    def timed(self) -> bool:
        return self.usage_type == "voice"


class NoPlan(LookupError):
    """The subject has no rating plan at that time."""


def call_of(case: Case) -> Call:
    """Find the rates of a case's call; NoPlan where the subject has no plan at all."""
    asked = case["call"]
    usage_type = _USAGE_TYPES[asked["tor"]]
    imported = compile_plan(
        msgspec.convert(case["tariff"], TariffPlan),
        CURRENCY,
        zone="UTC",
        usage_types={asked["category"]: usage_type},
        fallback_depth=case.get("fallback_depth", 3),
        plus=_PLUS,
    )
    assert not imported.faults, imported.faults
    profiles = imported.profiles
    tenant, category, subject = asked["tenant"], asked["category"], asked["subject"]
    names = profiles.get((tenant, category, subject), profiles.get((tenant, category, ANY)))
    if names is None:
        raise NoPlan(subject)
    number = asked["destination"].removeprefix(ANY).replace("+", _PLUS)
    at_ms = int(datetime.fromisoformat(asked["start"]).timestamp() * 1000)
    units = _units(asked["usage"], usage_type)
    plan = Plan(name="case", tariffs=plan_tariffs(*names))
    used = Used(number, usage_type, at_ms)
    generation = _generation([(f"{each.name}.csv", text_of(each)) for each in imported.lists])
    return Call(usage_type, units, at_ms, rates_of(generation, plan, used, units))


def first_fee(ladder: Ladder) -> Fraction:
    """Return the connect fee of a ladder, in money units."""
    return Fraction(ladder.fee, ladder.den)


def _units(usage: str, usage_type: str) -> int:
    raw = raw_units(usage)
    if usage_type != "voice":
        return raw
    assert raw % NANOSECONDS == 0, f"{usage} is no whole number of seconds"
    return raw // NANOSECONDS


def _generation(files: list[tuple[str, str]]) -> Generation:
    tariffs: list[Tariff] = []
    for name, text in files:
        read = read_tariff(name, text.encode())
        assert not isinstance(read, list), read
        tariffs += read
    return decode(memoryview(b"".join(encode(TariffBuild("case", tuple(tariffs))))))
