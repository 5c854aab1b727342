"""`ocs rate`: what a number costs, row by row, as the service would price it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from ocs.adapters.clock import wall_ms
from ocs.bootstrap.pricing import opened_tariffs
from ocs.bootstrap.seeds import cleaner
from ocs.bootstrap.stores import CannotStart
from ocs.cli.office import Office, Place, at_office, people, show_json, unknown
from ocs.cli.options import (
    ASKED_WRONGLY,
    ConfigOption,
    DirectoryOption,
    JsonOption,
    fail,
    settings_of,
)
from ocs.config.settings import Settings
from ocs.domain.plan import USAGE_TYPES, Explanation, explain

_BLOCKED = 1


def rate(
    number: Annotated[str, typer.Argument(help="The called number, as switches send it.")],
    *,
    seconds: Annotated[
        int, typer.Option("--seconds", "-s", min=0, help="Units used; bytes or events for others.")
    ],
    at: Annotated[str, typer.Option(help="RFC 3339 or epoch seconds; now unless named.")] = "",
    plan: Annotated[str, typer.Option(help="A plan; the first of the configuration.")] = "",
    subscriber: Annotated[str, typer.Option(help="By whose plan; asks the store.")] = "",
    usage_type: Annotated[str, typer.Option(help=f"One of {', '.join(USAGE_TYPES)}.")] = "voice",
    config: ConfigOption = None,
    directory: DirectoryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Explain the price of so many seconds to a number."""
    settings = settings_of(config, directory)
    at_ms = _time_ms(at)
    if usage_type not in USAGE_TYPES:
        raise fail(f"{usage_type!r} is none of {', '.join(USAGE_TYPES)}", ASKED_WRONGLY)
    tariffs = _tariffs(settings, plan or _plan_of(subscriber, config, directory))
    rated_number = cleaner(settings)(number)
    try:
        with opened_tariffs(settings) as generation:
            explanation = explain(generation, tariffs, rated_number, usage_type, at_ms, seconds)
    except CannotStart as error:
        raise fail(str(error)) from None
    if explanation is None:
        raise fail(f"NO_RATE: no tariff of {', '.join(tariffs)} has a rate for {rated_number}")
    if as_json:
        show_json(explanation)
    else:
        _show(explanation, rated_number)
    if explanation.blocked:
        raise fail(f"RATE_BLOCKED: {explanation.destination} may not be called", _BLOCKED)


def _time_ms(text: str) -> int:
    if not text:
        return wall_ms()
    try:
        if text.isdecimal():
            return int(text) * 1000
        time = datetime.fromisoformat(text)
    except ValueError:
        raise fail(f"--at: {text!r} is neither RFC 3339 nor epoch seconds", ASKED_WRONGLY) from None
    return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


def _plan_of(subscriber: str, config: Path | None, directory: Path | None) -> str:
    if not subscriber:
        return ""

    async def work(office: Office) -> str:
        identity = office.clean(subscriber)
        found = await office.stores.directory.subscriber(office.tenant, identity)
        if found is None:
            unknown(f"subscriber {subscriber}")
        return found.plan

    return at_office(Place(config, directory), work)


def _tariffs(settings: Settings, plan: str) -> tuple[str, ...]:
    plans = {known.name: known.tariffs for known in settings.plans}
    if plan and plan not in plans:
        raise fail(f"there is no plan {plan!r}; known: {', '.join(plans)}", ASKED_WRONGLY)
    return plans[plan] if plan else next(iter(plans.values()))


def _show(explanation: Explanation, number: str) -> None:
    console = people()
    about = (
        f" is {explanation.destination or 'unnamed'}: prefix"
        f" {explanation.prefix or '(any)'} of tariff {explanation.tariff}"
        f" ({explanation.model}, {explanation.currency}), {explanation.units} units"
    )
    console.print(Text.assemble((number, "bold"), about))
    table = Table("what", box=None, pad_edge=False)
    for name in ("from", "to", "times", "price", "amount"):
        table.add_column(name, justify="right")
    for step in explanation.steps:
        spans = step.increments > 0
        table.add_row(
            step.what,
            str(step.from_units) if spans else "",
            str(step.to_units) if spans else "",
            str(step.increments) if spans else "",
            step.price if spans else "",
            step.amount,
        )
    table.add_section()
    table.add_row(f"total (rounded {explanation.rounding})", "", "", "", "", explanation.total)
    console.print(table)
