"""`ocs session`: what the ledger remembers of calls."""

from typing import Annotated

import typer

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
from ocs.cli.options import ASKED_WRONGLY, ConfigOption, DirectoryOption, JsonOption, fail
from ocs.cli.views import ShownSession, session_table, shown_session
from ocs.domain.session import State
from ocs.usecases.addresses import parse_session_address
from ocs.usecases.ports import SessionKey, SessionView, WalletKey

app = typer.Typer(no_args_is_help=True, help="Sessions: list, show.")

MOST_LOOKED_AT = 1_000_000
"""Sessions that a filtered list reads before it gives up looking."""


@app.command("list")
def list_sessions(
    *,
    state: Annotated[State | None, typer.Option(help="Only those in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At the most.")] = 100,
    config: ConfigOption = None,
    directory: DirectoryOption = None,
    store: StoreOption = "",
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """List remembered sessions of the tenant, in no order."""

    async def work(office: Office) -> list[ShownSession]:
        look_at = limit if state is None else MOST_LOOKED_AT
        views = await office.stores.ledger.sessions(office.tenant, look_at)
        wanted = [view for view in views if state in (None, view.state)][:limit]
        return [await _shown(office, view) for view in wanted]

    sessions = at_office(Place(config, directory, store, tenant), work)
    if as_json:
        show_json(sessions)
    else:
        show_table(session_table(sessions))


@app.command()
def show(
    session: Annotated[
        str, typer.Argument(help="A session_ref, or a session_id with --subscriber.")
    ],
    *,
    subscriber: Annotated[str, typer.Option(help="Whose session_id it is.")] = "",
    config: ConfigOption = None,
    directory: DirectoryOption = None,
    store: StoreOption = "",
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show one session and what it holds."""

    async def work(office: Office) -> ShownSession | None:
        key = await _key(office, session, subscriber)
        view = await office.stores.ledger.session(key)
        return None if view is None else await _shown(office, view)

    shown = at_office(Place(config, directory, store, tenant), work)
    if shown is None:
        unknown(f"session {session}")
    if as_json:
        show_json(shown)
        return
    show_table(session_table([shown]))
    for hold in shown.holds:
        amount = f"{hold.amount} {hold.unit}".strip()
        typer.echo(f"holds {amount} of {hold.bucket} for rating group {hold.rating_group}")


async def _shown(office: Office, view: SessionView) -> ShownSession:
    key = view.key
    account = await office.stores.directory.account(key.tenant, key.account)
    wallet = await office.stores.ledger.balance(WalletKey(key.tenant, key.wallet_group))
    buckets = () if wallet is None else wallet.definition.buckets
    return shown_session(view, account.currency if account else "", buckets)


async def _key(office: Office, session: str, subscriber: str) -> SessionKey:
    if not subscriber:
        try:
            return parse_session_address(session)
        except ValueError:
            reason = f"{session!r} is no session_ref; a session_id needs --subscriber"
            raise fail(reason, ASKED_WRONGLY) from None
    payer = await office.stores.directory.subscriber(office.tenant, office.clean(subscriber))
    if payer is None:
        unknown(f"subscriber {subscriber}")
    return SessionKey(office.tenant, payer.wallet_group, payer.account, session)
