"""`ocs credit`: money and units by order of people.

Every order has a reference, shown before it is carried out: whoever does not learn the outcome
gives the same order with it again, and the amount moves once.
"""

import secrets
from typing import Annotated

import msgspec
import typer

from ocs.cli.office import Office, Place, StoreOption, TenantOption, at_office, show_json
from ocs.cli.options import ASKED_WRONGLY, ConfigOption, DirectoryOption, JsonOption, fail
from ocs.domain.results import ResultCode
from ocs.domain.wallet import MAIN
from ocs.usecases.crediting import CreditAnswer, CreditKind, CreditOrder

app = typer.Typer(
    no_args_is_help=True, help="Credits: top up, refund, adjust; once for each reference."
)

REFERENCE_BYTES = 8
"""Two references of one account are the same once in 10^19 times."""

AmountArgument = Annotated[
    str, typer.Argument(help="A decimal of the account's currency, or whole units of a bucket.")
]
BucketOption = Annotated[str, typer.Option(help="Which bucket.")]
ReferenceOption = Annotated[
    str, typer.Option(help="Of the payment or the case; one is made up unless named.")
]
_ACCOUNT = "The account's name."
# An adjustment may be negative: `-4.50` is an amount there, not an option.
_NEGATIVE_AMOUNTS = {"ignore_unknown_options": True}


@app.command("top-up")
def top_up(
    account: Annotated[str, typer.Argument(help=_ACCOUNT)],
    amount: AmountArgument,
    *,
    bucket: BucketOption = MAIN,
    reference: ReferenceOption = "",
    config: ConfigOption = None,
    directory: DirectoryOption = None,
    store: StoreOption = "",
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Add what was paid."""
    order = _order(CreditKind.TOP_UP, account, amount, bucket, reference)
    _credit(Place(config, directory, store, tenant), order, as_json)


@app.command()
def refund(
    account: Annotated[str, typer.Argument(help=_ACCOUNT)],
    amount: AmountArgument,
    *,
    bucket: BucketOption = MAIN,
    reference: ReferenceOption = "",
    config: ConfigOption = None,
    directory: DirectoryOption = None,
    store: StoreOption = "",
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Give back what was charged."""
    order = _order(CreditKind.REFUND, account, amount, bucket, reference)
    _credit(Place(config, directory, store, tenant), order, as_json)


@app.command(context_settings=_NEGATIVE_AMOUNTS)
def adjust(
    account: Annotated[str, typer.Argument(help=_ACCOUNT)],
    amount: AmountArgument,
    *,
    bucket: BucketOption = MAIN,
    reference: ReferenceOption = "",
    config: ConfigOption = None,
    directory: DirectoryOption = None,
    store: StoreOption = "",
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Put right: add, or with a negative amount take away, down to the floor."""
    order = _order(CreditKind.ADJUST, account, amount, bucket, reference)
    _credit(Place(config, directory, store, tenant), order, as_json)


def _order(kind: CreditKind, account: str, amount: str, bucket: str, reference: str) -> CreditOrder:
    return CreditOrder(
        tenant="",  # the office knows it
        account=account,
        kind=kind,
        amount=amount,
        reference=reference or f"cli:{secrets.token_hex(REFERENCE_BYTES)}",
        bucket=bucket,
    )


def _credit(place: Place, order: CreditOrder, as_json: bool) -> None:
    typer.echo(f"reference {order.reference}", err=True)

    async def work(office: Office) -> CreditAnswer:
        return await office.crediting.credit(msgspec.structs.replace(order, tenant=office.tenant))

    answer = at_office(place, work)
    if as_json:
        show_json(answer)
    if answer.code is not ResultCode.OK:
        wrongly = answer.code is ResultCode.INVALID_EVENT
        raise fail(answer.reason or answer.code, ASKED_WRONGLY if wrongly else 1)
    if not as_json:
        done = "was done before:" if answer.hit else "done:"
        typer.echo(
            f"{order.kind} {done} {answer.amount} {answer.unit} to {order.account}"
            f" {order.bucket}, {answer.left} left ({answer.transaction_id})"
        )
