"""`ocs rate`: what a use costs, step by step, as the service would price it."""

from typing import Annotated, Final

import typer
from msgspec import Struct
from rich.table import Table
from rich.text import Text

from ocs.bootstrap.pricing import opened_tariffs
from ocs.bootstrap.stores import CannotStart
from ocs.cli.instants import instant_ms
from ocs.cli.office import Office, Place, at_office, people, show_json, unknown
from ocs.cli.options import (
    ASKED_WRONGLY,
    ConfigOption,
    DirectoryOption,
    JsonOption,
    fail,
    settings_of,
)
from ocs.config.settings import Settings, Tenant
from ocs.domain.explain import ExplainedPart, Explanation, explain
from ocs.domain.money import MAX_UNITS
from ocs.domain.numbers import clean_number
from ocs.domain.plan import Plan
from ocs.domain.tariff import Used
from ocs.domain.usage import USAGE_TYPES
from ocs.domain.zones import zone_named

_BLOCKED: Final = 1
_COUNTED: Final = ("fee", "row")
"""The steps that have units, a number of times, and a price; the others only an amount."""


class _Asked(Struct, frozen=True, kw_only=True):
    """What the command was asked, as far as it has to be read."""

    number: str
    caller: str
    trunk: str
    usage_type: str
    at: str


def rate(
    number: Annotated[str, typer.Argument(help="The called number, as switches send it.")],
    *,
    seconds: Annotated[
        int,
        typer.Option(
            "--seconds",
            "--units",
            "-s",
            min=0,
            max=MAX_UNITS,
            help="Units used; bytes or events for others.",
        ),
    ],
    at: Annotated[
        str,
        typer.Option(
            help="When it is answered: RFC 3339, without an offset the tenant's time; "
            "or epoch seconds. Now unless named."
        ),
    ] = "",
    plan: Annotated[str, typer.Option(help="A plan; the first of the configuration.")] = "",
    subscriber: Annotated[
        str, typer.Option(help="By whose plan, and from whose number; asks the store.")
    ] = "",
    caller: Annotated[str, typer.Option(help="The calling number, for rates by origin.")] = "",
    trunk: Annotated[str, typer.Option(help="The trunk it comes in by, for rates by trunk.")] = "",
    usage_type: Annotated[str, typer.Option(help=f"One of {', '.join(USAGE_TYPES)}.")] = "voice",
    tenant: Annotated[str, typer.Option(help="The tenant; the provisioned one.")] = "",
    config: ConfigOption = None,
    directory: DirectoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Explain the price of so many seconds to a number."""
    settings = settings_of(config, directory)
    if usage_type not in USAGE_TYPES:
        raise fail(f"{usage_type!r} is none of {', '.join(USAGE_TYPES)}", ASKED_WRONGLY)
    asked = _Asked(
        number=number, caller=caller or subscriber, trunk=trunk, usage_type=usage_type, at=at
    )
    used = _used(asked, _tenant(settings, tenant))
    chosen = _plan(settings, plan or _plan_of(subscriber, Place(config, directory, tenant=tenant)))
    explanation = _explain(settings, chosen, used, seconds)
    if as_json:
        show_json(explanation)
    else:
        _show(explanation)
    if explanation.blocked:
        name = explanation.destination or explanation.prefix
        raise fail(f"RATE_BLOCKED: {name} may not be called", _BLOCKED)


def _tenant(settings: Settings, name: str) -> Tenant:
    wanted = name or settings.provision.tenant
    for tenant in settings.tenants:
        if tenant.name == wanted:
            return tenant
    known = ", ".join(tenant.name for tenant in settings.tenants)
    raise fail(f"there is no tenant {wanted!r}; known: {known}", ASKED_WRONGLY)


def _used(asked: _Asked, tenant: Tenant) -> Used:
    rules, zone = tenant.rules(), zone_named(tenant.zone)
    return Used(
        number=clean_number(asked.number, rules),
        usage_type=asked.usage_type,
        at_ms=instant_ms("--at", asked.at, zone),
        zone=zone,
        caller=clean_number(asked.caller, rules) if asked.caller else "",
        trunk=asked.trunk,
    )


def _plan_of(subscriber: str, place: Place) -> str:
    if not subscriber:
        return ""

    async def work(office: Office) -> str:
        found = await office.stores.directory.subscriber(office.tenant, office.clean(subscriber))
        if found is None:
            unknown(f"subscriber {subscriber}")
        return found.plan

    return at_office(place, work)


def _plan(settings: Settings, name: str) -> Plan:
    plans = {known.name: known for known in settings.plans}
    if name and name not in plans:
        raise fail(f"there is no plan {name!r}; known: {', '.join(plans)}", ASKED_WRONGLY)
    return (plans[name] if name else next(iter(plans.values()))).plan()


def _explain(settings: Settings, plan: Plan, used: Used, units: int) -> Explanation:
    try:
        with opened_tariffs(settings) as generation:
            life_s = settings.ledger.voice_life_s
            explanation = explain(generation, plan, used, units, life_s=life_s)
    except CannotStart as error:
        raise fail(str(error)) from None
    if explanation is None:
        names = ", ".join(tariff.name for tariff in plan.tariffs)
        what = f"{used.usage_type} to {used.number or 'nothing'}"
        raise fail(f"NO_RATE: no tariff of {names} has a rate for {what}")
    return explanation


def _show(explanation: Explanation) -> None:
    console = people()
    units = "seconds" if explanation.usage_type == "voice" else "units"
    about = f"{explanation.units} {units}, {explanation.currency or 'any currency'}"
    name = explanation.destination or "unnamed"
    console.print(Text.assemble((explanation.number, "bold"), f" is {name}: {about}"))
    for place, part in enumerate(explanation.parts, 1):
        number = f"{place}. " if len(explanation.parts) > 1 else ""
        console.print(f"{number}{_heading(part)}")
    console.print(_table(explanation))
    if explanation.granted_at_most:
        console.print(f"No more than {explanation.granted_at_most} are granted at this price.")


def _table(explanation: Explanation) -> Table:
    table = Table("what", box=None, pad_edge=False)
    for name in ("from", "to", "times", "price", "amount"):
        table.add_column(name, justify="right")
    for place, part in enumerate(explanation.parts, 1):
        number = f"{place}. " if len(explanation.parts) > 1 else ""
        for step in part.steps:
            counted = step.what in _COUNTED
            spans = step.what == "row"
            table.add_row(
                f"{number}{step.what}",
                str(step.from_units) if spans else "",
                str(step.to_units) if spans else "",
                str(step.increments) if counted else "",
                step.price if counted else "",
                step.amount,
            )
    table.add_section()
    rounded = f"total (rounded {explanation.rounding} to {explanation.rounded_to})"
    table.add_row(Text(rounded, "bold"), "", "", "", "", Text(explanation.total, "bold"))
    taxes = " and ".join(dict.fromkeys(part.tax for part in explanation.parts))
    if taxes != "0":
        table.add_row("net", "", "", "", "", explanation.net)
        table.add_row(f"tax of {taxes}", "", "", "", "", explanation.tax_amount)
    return table


def _heading(part: ExplainedPart) -> str:
    words = [f"{part.at}  tariff {part.tariff}, prefix {part.prefix or '*'} ({part.model})"]
    if part.from_prefix:
        words.append(f"from {part.from_prefix}")
    if part.trunk:
        words.append(f"by trunk {part.trunk}")
    if part.percent != "100":
        words.append(f"at {part.percent} %")
    return ", ".join(words)
