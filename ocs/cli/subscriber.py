"""`ocs subscriber`: who uses, at whose expense, and by which plan."""

from typing import Annotated

import typer
from rich.table import Table

from ocs.cli.office import (
    Office,
    Place,
    StoreOption,
    TenantOption,
    at_office,
    show_json,
    show_table,
    unknown,
)
from ocs.cli.options import ConfigOption, DirectoryOption, JsonOption, fail
from ocs.usecases.ports import Subscriber
from ocs.usecases.provisioning import Outcome, TermsError, checked_name

app = typer.Typer(no_args_is_help=True, help="Subscribers: create, show, list.")

IdentityArgument = Annotated[
    str, typer.Argument(help="A number or a SIP user, as switches send it or in digits.")
]


@app.command()
def create(
    identity: IdentityArgument,
    *,
    account: Annotated[str, typer.Option(help="Who pays.")],
    plan: Annotated[str, typer.Option(help="A plan of the configuration.")],
    config: ConfigOption = None,
    directory: DirectoryOption = None,
    store: StoreOption = "",
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Point an identity to an account; again with another plan changes the plan."""

    async def work(office: Office) -> tuple[Outcome, Subscriber | None]:
        clean = checked_name("identity", office.clean(identity))
        plans = {known.name for known in office.settings.plans}
        if plan not in plans:
            raise TermsError(
                "plan", f"there is no plan {plan!r}; known: {', '.join(sorted(plans))}"
            )
        outcome = await office.provisioning.create_subscriber(office.tenant, clean, account, plan)
        return outcome, await office.stores.directory.subscriber(office.tenant, clean)

    outcome, subscriber = at_office(Place(config, directory, store, tenant), work)
    if outcome is Outcome.UNKNOWN or subscriber is None:
        unknown(f"account {account}")
    if outcome is Outcome.CONFLICT:
        raise fail(f"{subscriber.identity} belongs to account {subscriber.account} already")
    _show([subscriber], as_json, one=True)


@app.command()
def show(
    identity: IdentityArgument,
    *,
    config: ConfigOption = None,
    directory: DirectoryOption = None,
    store: StoreOption = "",
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show whose expense an identity uses at."""

    async def work(office: Office) -> Subscriber | None:
        return await office.stores.directory.subscriber(office.tenant, office.clean(identity))

    subscriber = at_office(Place(config, directory, store, tenant), work)
    if subscriber is None:
        unknown(f"subscriber {identity}")
    _show([subscriber], as_json, one=True)


@app.command("list")
def list_subscribers(
    *,
    config: ConfigOption = None,
    directory: DirectoryOption = None,
    store: StoreOption = "",
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """List all subscribers of the tenant."""

    async def work(office: Office) -> list[Subscriber]:
        return await office.stores.directory.subscribers(office.tenant)

    _show(at_office(Place(config, directory, store, tenant), work), as_json)


def _show(subscribers: list[Subscriber], as_json: bool, *, one: bool = False) -> None:
    if as_json:
        show_json(subscribers[0] if one else subscribers)
        return
    table = Table("identity", "account", "plan", "currency", box=None, pad_edge=False)
    for subscriber in subscribers:
        table.add_row(subscriber.identity, subscriber.account, subscriber.plan, subscriber.currency)
    show_table(table)
