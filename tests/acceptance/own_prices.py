"""A configuration with prices and wallets that a test makes up, beside the sample's options.

Prices that are easy to reckon with make a table that can be checked by reading it.
"""

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from tests.acceptance.service import with_own_tariffs

_RATES = "prefix,destination,price_1,price_n,interval_1,interval_n,connect_fee,blocked"


class Prices(Struct, frozen=True, kw_only=True):
    """Rates by usage type, in lines of `_RATES`: EUR a minute (or for 60 units)."""

    voice: tuple[str, ...]
    data: tuple[str, ...] = ()


def write_configuration(
    folder: Path, prices: Prices, wallets: Mapping[str, str], validity_s: int = 600
) -> Path:
    """Write it; return the file to serve with.

    `wallets`: the balance of each subscriber, who has an account of the same name.
    """
    file = with_own_tariffs(folder)
    (folder / "tariffs/a-z.csv").unlink()
    _write_tariff(folder / "tariffs/own-voice.csv", "voice", prices.voice)
    names = '["own-voice"]'
    if prices.data:
        _write_tariff(folder / "tariffs/own-data.csv", "data", prices.data)
        names = '["own-voice", "own-data"]'
    text = file.read_text(encoding="utf-8").replace('["a-z"]', names)
    text = text.replace("validity_s = 600", f"validity_s = {validity_s}")
    file.write_text(text, encoding="utf-8")
    accounts = [f"{name},EUR,prepaid,0,{balance}" for name, balance in wallets.items()]
    subscribers = [f"{name},{name},standard" for name in wallets]
    _write_lines(folder / "accounts.csv", "account,currency,kind,floor,balance", *accounts)
    _write_lines(folder / "subscribers.csv", "identity,account,plan", *subscribers)
    return file


def _write_tariff(file: Path, usage_type: str, rates: tuple[str, ...]) -> None:
    head = ("# currency = EUR", f"# usage_type = {usage_type}", "# per = 60")
    _write_lines(file, *head, _RATES, *rates)


def _write_lines(file: Path, *lines: str) -> None:
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
