"""A CGRateS tariff plan as price lists and plans of ours.

    rating plan, for the time of one activation   ->  a tariff, dated
    profile: its activations, then its fallbacks  ->  the tariffs of a plan, in order
    subject *any                                  ->  the plan "any", and what a subject lacks

The peer looks a number up in the plan that is active, and where its destination is not in it, in
the plans of the fallback subjects, in order, `fallback_depth` subjects deep. A plan of ours takes
the first of its tariffs that has a price; so the fallbacks' plans stand behind, as tariffs dated to
the activation that names them. A profile that is not there is *any's; one that is there is never.

Categories are usage types here: data, sms, mms and generic say so, everything else is calls. Where
a subject is called by several categories of calls, `call` makes its plan, and each other one a plan
of its own.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import groupby, islice
from typing import Final

import msgspec

from ocs.adapters.tariff_import.cgrates_plan import ANY, Activation, Profile, TariffPlan
from ocs.adapters.tariff_import.cgrates_rows import Rows
from ocs.domain.money import Currency, currency
from ocs.usecases.price_lists import (
    Fault,
    Imported,
    ImportedPlan,
    PlanTariffName,
    PriceList,
    name_of,
)

FALLBACK_DEPTH: Final = 3
"""How many subjects deep fallbacks are followed, the subject itself included; theirs as well."""

_USAGE_TYPES: Final = {"data": "data", "sms": "sms", "mms": "mms", "generic": "event"}
_CALLS: Final = "voice"
_RAW_UNITS: Final = "event"  # what is not known to be calls is not held to whole seconds
_FIRST_CATEGORY: Final = "call"
_PROFILES: Final = "RatingProfiles.csv"
_PLANS: Final = "RatingPlans.csv"
_ALWAYS: Final = 0
_NEVER: Final = 2**53 - 1
_MILLISECONDS: Final = 1000
_MOST_TARIFFS: Final = 1_000  # of one profile; fallbacks that fan out must not fill the memory


class _Span(msgspec.Struct, frozen=True, order=True):
    """A rating plan for one usage type, in force for a time."""

    plan: str
    usage_type: str
    from_ms: int
    to_ms: int


class _Terms(msgspec.Struct, frozen=True):
    """What the caller says about the whole import."""

    money: Currency
    zone: str
    usage_types: Mapping[str, str]
    fallback_depth: int
    plus: str

    def usage_type(self, category: str) -> str:
        return self.usage_types.get(category) or _USAGE_TYPES.get(category, _CALLS)


def compile_plan(
    plan: TariffPlan,
    currency_code: str,
    *,
    zone: str = "",
    usage_types: Mapping[str, str] | None = None,
    fallback_depth: int = FALLBACK_DEPTH,
    plus: str = "",
) -> Imported:
    """Translate a whole tariff plan; ValueError for a currency that is none.

    `usage_types` by category, where it is not what the category's name says; `plus` is what a
    leading + of a prefix becomes.
    """
    terms = _Terms(currency(currency_code), zone, usage_types or {}, fallback_depth, plus)
    return _Compiler(plan, terms).imported()


class _Compiler:
    """One import: what was found to be wrong, and the tariffs that were named."""

    def __init__(self, plan: TariffPlan, terms: _Terms) -> None:
        self._plan = plan
        self._terms = terms
        self._faults: list[Fault] = []
        self._warnings: list[Fault] = []
        self._profiles = {
            (profile.tenant, profile.category, profile.subject): profile
            for profile in plan.rating_profiles
        }

    def imported(self) -> Imported:
        spans = {key: self._spans_of(profile) for key, profile in self._profiles.items()}
        names = self._names(sorted({span for each in spans.values() for span in each}))
        self._check_unused({span.plan for span in names})
        lists = tuple(self._price_lists(names))
        profiles = {
            key: tuple(names[span] for span in each if span in names) for key, each in spans.items()
        }
        return Imported(
            lists=lists,
            plans=tuple(_plans(profiles, self._terms)),
            profiles=profiles,
            warnings=tuple(dict.fromkeys(self._warnings)),
            faults=tuple(sorted(set(self._faults))),
        )

    def _spans_of(self, profile: Profile) -> tuple[_Span, ...]:
        found = list(islice(self._spans(profile, (_ALWAYS, _NEVER), 1), _MOST_TARIFFS + 1))
        if len(found) > _MOST_TARIFFS:
            reason = f"{profile.subject!r} leads to more than {_MOST_TARIFFS} rating plans"
            line = profile.activations[0].line
            self._fault(_PROFILES, line, "RatesFallbackSubject", reason)
        return tuple(dict.fromkeys(found))

    def _spans(self, profile: Profile, window: tuple[int, int], level: int) -> Iterator[_Span]:
        """Yield what a subject pays by within a time, in order of precedence."""
        if level > self._terms.fallback_depth:
            return
        usage_type = self._terms.usage_type(profile.category)
        for activation, from_ms, to_ms in self._activations(profile):
            within = max(from_ms, window[0]), min(to_ms, window[1])
            if within[0] >= within[1]:
                continue
            yield _Span(activation.plan, usage_type, *within)
            for subject in activation.fallback_subjects:
                fallback = self._profiles.get((profile.tenant, profile.category, subject))
                if fallback is None:
                    reason = f"there is no profile of {subject!r}: it has no part in the fallback"
                    self._warn(_PROFILES, activation.line, "RatesFallbackSubject", reason)
                    continue
                yield from self._spans(fallback, within, level + 1)

    def _activations(self, profile: Profile) -> list[tuple[Activation, int, int]]:
        """Return a profile's activations with the times in which they are in force."""
        dated = []
        for activation in profile.activations:
            try:
                dated.append((_instant_ms(activation.time), activation))
            except ValueError as error:
                self._fault(_PROFILES, activation.line, "ActivationTime", str(error))
        dated.sort(key=lambda each: each[0])
        ends = [*(from_ms for from_ms, _ in dated), _NEVER][1:]
        return [
            (activation, from_ms, to_ms)
            for (from_ms, activation), to_ms in zip(dated, ends, strict=True)
        ]

    def _names(self, spans: list[_Span]) -> dict[_Span, str]:
        """Name the tariff of each span after its plan, and after what else tells it apart."""
        names: dict[_Span, str] = {}
        taken: set[str] = set()
        for plan, group in groupby(spans, key=lambda span: span.plan):
            same_plan = list(group)
            by_usage = len({span.usage_type for span in same_plan}) > 1
            by_time = len({(span.from_ms, span.to_ms) for span in same_plan}) > 1
            for span in same_plan:
                text = f"{plan}-{span.usage_type}" if by_usage else plan
                names[span] = name_of(f"{text}-{_day(span.from_ms)}" if by_time else text, taken)
                taken.add(names[span])
        return names

    def _price_lists(self, names: dict[_Span, str]) -> Iterator[PriceList]:
        """Compile each tariff; one without rows is forgotten, one that is not there a fault."""
        for span in list(names):
            if span.plan not in self._plan.rating_plans:
                self._unknown_plan(span.plan)
                continue
            rows = Rows(self._plan, span.usage_type, self._terms.money, self._terms.plus)
            rows.read(span.plan)
            self._faults += rows.faults
            self._warnings += rows.warnings
            if not rows.rows:
                self._warn(_PLANS, 0, "Id", f"{span.plan!r} prices no number: left out")
                del names[span]
                continue
            yield PriceList(
                name=names[span],
                currency=self._terms.money.code,
                usage_type=span.usage_type,
                model="timed",
                rows=tuple(rows.rows),
                timings=rows.timings,
                zone=self._terms.zone or "UTC",
                gaps=rows.has_gaps,
                valid_from_ms=None if span.from_ms == _ALWAYS else span.from_ms,
                valid_to_ms=None if span.to_ms == _NEVER else span.to_ms,
                comments=(f"Rating plan {span.plan} of CGRateS",),
            )

    def _check_unused(self, used: set[str]) -> None:
        """Look for faults in rating plans that nobody has, too: somebody may get one."""
        for name in sorted(set(self._plan.rating_plans) - used):
            rows = Rows(self._plan, _RAW_UNITS, self._terms.money, self._terms.plus)
            rows.read(name)
            self._faults += rows.faults
            line = self._plan.rating_plans[name][0].line
            self._warn(_PLANS, line, "Id", f"{name!r} is in force for nobody: left out")

    def _unknown_plan(self, name: str) -> None:
        for profile in self._plan.rating_profiles:
            for activation in profile.activations:
                if activation.plan == name:
                    reason = f"there is no rating plan {name!r}"
                    self._fault(_PROFILES, activation.line, "RatingPlanId", reason)

    def _fault(self, file: str, line: int, column: str, reason: str) -> None:
        self._faults.append(Fault(file, line, "", column, reason))

    def _warn(self, file: str, line: int, column: str, reason: str) -> None:
        self._warnings.append(Fault(file, line, "", column, reason))


def current(plan: TariffPlan, at_ms: int) -> TariffPlan:
    """Return a tariff plan without what was in force before an instant.

    Customers who joined on different days have one plan from different days on: told apart, they
    would need a price list each, for a past that is not rated any more.
    """
    profiles = (_current_profile(profile, at_ms) for profile in plan.rating_profiles)
    return msgspec.structs.replace(plan, rating_profiles=tuple(profiles))


def _current_profile(profile: Profile, at_ms: int) -> Profile:
    """Return a profile without its past; as it is, where a time of it is yet to be reported."""
    try:
        dated = sorted(profile.activations, key=lambda each: _instant_ms(each.time))
        begun = [each for each in dated if _instant_ms(each.time) <= at_ms]
    except ValueError:
        return profile
    if begun:
        in_force = msgspec.structs.replace(begun[-1], time="")
        dated = [in_force, *dated[len(begun) :]]
    return msgspec.structs.replace(profile, activations=tuple(dated))


def _plans(
    profiles: Mapping[tuple[str, str, str], tuple[str, ...]], terms: _Terms
) -> Iterator[ImportedPlan]:
    """Yield a plan for each subject, and one more for each further category of calls."""
    taken: set[str] = set()
    subjects: dict[tuple[str, str], dict[str, tuple[str, ...]]] = {}
    for (tenant, category, subject), tariffs in profiles.items():
        subjects.setdefault((tenant, subject), {})[category] = tariffs
    has_tenants = len({tenant for tenant, _ in subjects}) > 1
    for (tenant, subject), own in subjects.items():
        first, further = _by_usage_type(subjects.get((tenant, ANY), {}) | own, terms)
        base = f"{tenant}-{subject}" if has_tenants else subject
        endings = [("", first), *((name, each) for name, each in further if name in own)]
        for ending, tariffs in endings:
            if not tariffs:
                continue
            name = name_of(f"{base}-{ending}" if ending else base, taken)
            taken.add(name)
            yield ImportedPlan(name, tuple(PlanTariffName(each) for each in tariffs), tenant)


def _by_usage_type(
    categories: Mapping[str, tuple[str, ...]], terms: _Terms
) -> tuple[tuple[str, ...], list[tuple[str, tuple[str, ...]]]]:
    """Return the tariffs of one category a usage type, and the categories that are left over."""
    ordered = sorted(categories, key=lambda category: category != _FIRST_CATEGORY)
    first: dict[str, tuple[str, ...]] = {}
    further = []
    for category in ordered:
        usage_type = terms.usage_type(category)
        if usage_type in first:
            further.append((category, categories[category]))
        else:
            first[usage_type] = categories[category]
    return tuple(dict.fromkeys(name for each in first.values() for name in each)), further


def _instant_ms(text: str) -> int:
    """Return an activation time; ValueError for what is none. Without an offset it is UTC."""
    stripped = text.strip()
    if stripped in {"", "*any", "*asap"}:
        return _ALWAYS
    try:
        time = datetime.fromisoformat(stripped)
        absolute = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text[:40]!r} is not a time such as 2026-01-31T00:00:00Z") from error
    return max(round(absolute * _MILLISECONDS), _ALWAYS)


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // _MILLISECONDS, UTC).strftime("%Y%m%d")
