"""Reading the CSV files of a seed: either every line, or every reason why not.

A header names the columns, in any order. Empty lines and lines that begin with `#` are notes. The
texts are checked as far as that goes without the store: names, currencies, amounts, plans, and
whether two lines speak of the same thing. Nothing is corrected silently; blanks around a value are
the one exception, because spreadsheets put them there.
"""

import csv
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final, TypeVar

from msgspec import Struct

from ocs.domain.money import currency, parse_money
from ocs.usecases.ports import Settler
from ocs.usecases.provisioning import AccountTerms, TermsError, account_terms, checked_name

_ACCOUNT_COLUMNS: Final = ("account", "currency", "kind", "floor", "balance")
_ACCOUNT_OPTIONS: Final = ("wallet_group", "settled_by")
_SUBSCRIBER_COLUMNS: Final = ("identity", "account", "plan")


class SeedFile(Struct, frozen=True):
    """A file that somebody else has read; `name` is what reports call it."""

    name: str
    text: str


class BadSeedLine(Struct, frozen=True):
    """Where a seed is wrong; `line` counts from 1, `column` is a name of the header or empty."""

    file: str
    line: int
    column: str
    reason: str


class AccountLine(Struct, frozen=True):
    """One account and its opening balance: a decimal of its currency, or empty for none."""

    line: int
    terms: AccountTerms
    balance: str


class SubscriberLine(Struct, frozen=True):
    """One identity, cleaned, and who pays for it."""

    line: int
    identity: str
    account: str
    plan: str


_Row = dict[str, str]
_LineT = TypeVar("_LineT", AccountLine, SubscriberLine)


def read_accounts(file: SeedFile) -> tuple[list[AccountLine], list[BadSeedLine]]:
    """Read `account,currency,kind,floor,balance[,wallet_group][,settled_by]`."""
    seen: dict[str, int] = {}
    opened: dict[str, int] = {}

    def build(line: int, row: _Row) -> AccountLine:
        terms = account_terms(
            row["account"],
            row["currency"],
            kind=row["kind"],
            floor=row["floor"],
            wallet_group=row.get("wallet_group", ""),
            settled_by=row.get("settled_by", ""),
        )
        balance = row["balance"] if _opening_amount(row["balance"], terms) else ""
        if balance and terms.settled_by is Settler.NOBODY:
            raise TermsError("balance", "an offline account has no balance here")
        _check_first("account", terms.account, line, seen)
        if balance and opened.setdefault(terms.wallet_group, line) != line:
            first = opened[terms.wallet_group]
            raise TermsError("balance", f"line {first} opens the wallet {terms.wallet_group}")
        return AccountLine(line, terms, balance)

    return _read(file, (_ACCOUNT_COLUMNS, _ACCOUNT_OPTIONS), build)


def read_subscribers(
    file: SeedFile, plans: Collection[str], clean: Callable[[str], str]
) -> tuple[list[SubscriberLine], list[BadSeedLine]]:
    """Read `identity,account,plan`."""
    seen: dict[str, int] = {}

    def build(line: int, row: _Row) -> SubscriberLine:
        identity = checked_name("identity", clean(row["identity"]))
        account = checked_name("account", row["account"])
        if row["plan"] not in plans:
            known = ", ".join(sorted(plans))
            raise TermsError("plan", f"there is no plan {row['plan']!r}; known: {known}")
        _check_first("identity", identity, line, seen)
        return SubscriberLine(line, identity, account, row["plan"])

    return _read(file, (_SUBSCRIBER_COLUMNS, ()), build)


def _check_first(column: str, name: str, line: int, seen: dict[str, int]) -> None:
    first = seen.setdefault(name, line)
    if first != line:
        raise TermsError(column, f"{name} is on line {first} already")


def _opening_amount(text: str, terms: AccountTerms) -> int:
    try:
        amount = parse_money(text, currency(terms.currency)) if text else 0
    except ValueError as error:
        raise TermsError("balance", str(error)) from None
    if amount < 0:
        raise TermsError("balance", "an opening balance is 0 or more")
    return amount


def _read(
    file: SeedFile,
    columns: tuple[Sequence[str], Sequence[str]],
    build: Callable[[int, _Row], _LineT],
) -> tuple[list[_LineT], list[BadSeedLine]]:
    """Give all lines, or what is wrong; below a bad header nothing can be told."""
    written = _written_lines(file.text)
    number, text = next(written, (1, ""))
    try:
        header = _header(text, *columns)
    except TermsError as error:
        return [], [BadSeedLine(file.name, number, error.field, str(error))]
    lines: list[_LineT] = []
    bad: list[BadSeedLine] = []
    for number, text in written:
        try:
            lines.append(build(number, _row(header, text)))
        except TermsError as error:
            bad.append(BadSeedLine(file.name, number, error.field, str(error)))
    return lines, bad


def _written_lines(text: str) -> Iterator[tuple[int, str]]:
    """Number the lines that say something; a spreadsheet's byte-order mark says nothing."""
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line


def _cells(line: str) -> list[str]:
    """Split one line; no value of a seed holds a line break, so a line is a record."""
    try:
        return [cell.strip() for cell in next(csv.reader([line], strict=True))]
    except csv.Error as error:
        raise TermsError("", f"not CSV: {error}") from None


def _header(line: str, columns: Sequence[str], options: Sequence[str]) -> list[str]:
    header = _cells(line) if line else []
    missing = [column for column in columns if column not in header]
    if missing:
        raise TermsError(missing[0], f"the header has no column {', '.join(missing)}")
    for column in header:
        if column not in (*columns, *options):
            known = ", ".join((*columns, *options))
            raise TermsError(column, f"unknown column {column!r}; known: {known}")
        if header.count(column) > 1:
            raise TermsError(column, f"column {column!r} is there twice")
    return header


def _row(header: Sequence[str], line: str) -> _Row:
    cells = _cells(line)
    if len(cells) != len(header):
        raise TermsError("", f"{len(cells)} values for {len(header)} columns")
    return dict(zip(header, cells, strict=True))
