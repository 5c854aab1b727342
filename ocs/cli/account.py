"""`ocs account`: who pays, on what terms, and what they have."""

import asyncio
from datetime import UTC, datetime
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
from ocs.cli.views import ShownAccount, account_table, shown_account
from ocs.domain.usage import USAGE_TYPES
from ocs.domain.wallet import FOREVER_MS, Bucket, BucketKind
from ocs.usecases.provisioning import (
    Outcome,
    PaymentKind,
    TermsError,
    account_terms,
    checked_bucket,
)

app = typer.Typer(no_args_is_help=True, help="Accounts: create, show, list, block, add a bucket.")

READ_AT_ONCE = 256
"""Wallets read side by side when listing; the connection's queue holds many more."""

AccountArgument = Annotated[str, typer.Argument(help="The account's name.")]
_TIME_HELP = "RFC 3339, such as 2030-01-31T00:00:00Z."


@app.command()
def create(
    account: AccountArgument,
    *,
    currency: Annotated[str, typer.Option(help="ISO 4217, such as EUR.")],
    kind: Annotated[
        PaymentKind, typer.Option(help="Stops at 0, at a floor below, or is not debited here.")
    ] = (PaymentKind.PREPAID),
    floor: Annotated[str, typer.Option(help="Of a postpaid account, such as -100.00.")] = "",
    wallet_group: Annotated[str, typer.Option(help="Accounts of one group share a wallet.")] = "",
    settled_by: Annotated[
        str, typer.Option(help="What is debited: events (default), or a postpaid account's cdr.")
    ] = "",
    config: ConfigOption = None,
    directory: DirectoryOption = None,
    store: StoreOption = "",
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Create an account; the same again changes nothing."""

    async def work(office: Office) -> tuple[Outcome, ShownAccount]:
        terms = account_terms(
            account,
            currency,
            kind=kind,
            floor=floor,
            wallet_group=wallet_group,
            settled_by=settled_by,
        )
        outcome = await office.provisioning.create_account(office.tenant, terms)
        return outcome, await _read(office, account)

    outcome, shown = at_office(Place(config, directory, store, tenant), work)
    if outcome is Outcome.CONFLICT:
        raise fail(
            f"account {account} exists on other terms (currency, wallet group, floor, settled_by)"
        )
    _show([shown], as_json, one=True)


@app.command()
def show(
    account: AccountArgument,
    *,
    config: ConfigOption = None,
    directory: DirectoryOption = None,
    store: StoreOption = "",
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show an account and its buckets."""
    shown = at_office(
        Place(config, directory, store, tenant), lambda office: _read(office, account)
    )
    _show([shown], as_json, one=True)


@app.command("list")
def list_accounts(
    *,
    config: ConfigOption = None,
    directory: DirectoryOption = None,
    store: StoreOption = "",
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """List all accounts of the tenant with their buckets."""

    async def work(office: Office) -> list[ShownAccount]:
        names = [one.account for one in await office.stores.directory.accounts(office.tenant)]
        shown: list[ShownAccount] = []
        for start in range(0, len(names), READ_AT_ONCE):
            batch = names[start : start + READ_AT_ONCE]
            shown += await asyncio.gather(*(_read(office, name) for name in batch))
        return shown

    _show(at_office(Place(config, directory, store, tenant), work), as_json)


@app.command()
def block(
    account: AccountArgument,
    *,
    config: ConfigOption = None,
    directory: DirectoryOption = None,
    store: StoreOption = "",
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Block an account: nothing is granted any more; what was used is still settled."""
    _set_active(Place(config, directory, store, tenant), account, as_json, active=False)


@app.command()
def unblock(
    account: AccountArgument,
    *,
    config: ConfigOption = None,
    directory: DirectoryOption = None,
    store: StoreOption = "",
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Let a blocked account be granted again."""
    _set_active(Place(config, directory, store, tenant), account, as_json, active=True)


@app.command("add-bucket")
def add_bucket(
    account: AccountArgument,
    bucket: Annotated[str, typer.Argument(help="The bucket's name: small letters and digits.")],
    *,
    kind: Annotated[BucketKind, typer.Option(help="Money, or units of use.")] = BucketKind.MONEY,
    priority: Annotated[int, typer.Option(help="Higher pays first; main has 0.")] = 10,
    usage_type: Annotated[
        list[str] | None, typer.Option(help="What it pays for; may be repeated.")
    ] = None,
    zone: Annotated[
        list[str] | None, typer.Option(help="Prefix of the numbers it pays for; may be repeated.")
    ] = None,
    valid_from: Annotated[str, typer.Option(help=_TIME_HELP)] = "",
    valid_until: Annotated[str, typer.Option(help=_TIME_HELP)] = "",
    increment: Annotated[int, typer.Option(help="Units are paid in steps of this.")] = 1,
    factor: Annotated[int, typer.Option(help="Units taken from it for one used.")] = 1,
    blocker: Annotated[
        bool, typer.Option("--blocker", help="No bucket behind it pays for what it may pay for.")
    ] = False,
    config: ConfigOption = None,
    directory: DirectoryOption = None,
    store: StoreOption = "",
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Add an empty bucket; `ocs credit top-up --bucket` fills it."""

    async def work(office: Office) -> tuple[Outcome, ShownAccount]:
        wanted = checked_bucket(
            Bucket(
                bucket=bucket,
                kind=kind,
                priority=priority,
                valid_from_ms=_time_ms("valid_from", valid_from, 0),
                valid_until_ms=_time_ms("valid_until", valid_until, FOREVER_MS),
                usage_types=_usage_types(usage_type, kind),
                zones=tuple(zone or ()),
                increment_units=increment,
                factor=factor,
                blocker=blocker,
            )
        )
        outcome = await office.provisioning.add_bucket(office.tenant, account, wanted)
        return outcome, await _read(office, account)

    outcome, shown = at_office(Place(config, directory, store, tenant), work)
    if outcome is Outcome.CONFLICT:
        raise fail(f"account {account} has another bucket {bucket} already")
    _show([shown], as_json, one=True)


def _usage_types(named: list[str] | None, kind: BucketKind) -> tuple[str, ...]:
    for usage_type in named or ():
        if usage_type not in USAGE_TYPES:
            raise TermsError("usage_type", f"{usage_type!r} is none of {', '.join(USAGE_TYPES)}")
    if kind is BucketKind.UNITS and not named:
        # Seconds and bytes are not the same units: a bucket of units says what it counts.
        raise TermsError("usage_type", "a bucket of units needs one, such as voice")
    return tuple(named or ())


def _time_ms(field: str, text: str, default_ms: int) -> int:
    if not text:
        return default_ms
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise TermsError(field, f"{text!r} is no time: write {_TIME_HELP}") from None
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return int(aware.timestamp() * 1000)


def _set_active(place: Place, account: str, as_json: bool, *, active: bool) -> None:
    async def work(office: Office) -> tuple[Outcome, ShownAccount]:
        outcome = await office.provisioning.set_active(office.tenant, account, active=active)
        return outcome, await _read(office, account)

    outcome, shown = at_office(place, work)
    if outcome is Outcome.CONFLICT:
        raise fail(f"account {account} is being changed by somebody else; try again")
    if outcome is Outcome.UNKNOWN:
        raise fail(f"account {account} is incomplete; create it again", ASKED_WRONGLY)
    _show([shown], as_json, one=True)


async def _read(office: Office, account: str) -> ShownAccount:
    view = await office.provisioning.account(office.tenant, account)
    if view is None:
        unknown(f"account {account} of tenant {office.tenant}")
    return shown_account(view)


def _show(accounts: list[ShownAccount], as_json: bool, *, one: bool = False) -> None:
    if as_json:
        show_json(accounts[0] if one else accounts)
    else:
        show_table(account_table(accounts))
