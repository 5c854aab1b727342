"""Money: integers of 10^-scale of a currency, exact fractions on the way, one rounding at the end.

An amount is an `int` that counts 10^-(minor digits + 4) of its currency: EUR 1.00 is 1,000,000,
JPY 1 is 10,000. Four digits below the minor unit carry every per-second price of a real deck; what
is finer stays an exact fraction inside a ladder and is rounded once, when a cost is known.

Rejected: floats (0.1 + 0.2), `Decimal` (slower, and Lua has no such thing), 10^-9 for all
currencies (EUR 9 million would already fill 2^53, the last integer that Lua keeps exactly).

Text is read strictly: digits with at most one point. No exponents, no thousands separators, no
NaN: a price list that holds those holds a mistake, and the reason says which.
"""

import re
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Final

import msgspec

MAX_AMOUNT: Final = 2**53 - 1
"""The greatest amount, in money units: the last integer that a Lua number (a double) keeps."""

MAX_UNITS: Final = 2**53 - 1
"""The greatest count of seconds, bytes or events, for the same reason."""

DIGITS_BELOW_MINOR: Final = 4

MAX_QUANTUM: Final = 10**8
"""The coarsest rounding: a whole of the finest currency. Times 2^26 it is still below 2^53."""

_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)", re.ASCII)
_LONGEST_DECIMAL: Final = 40  # far above 2^53 with every decimal; keeps hostile input cheap
_MOST_DECIMALS: Final = 15
_QUOTED_CHARACTERS: Final = 40  # how much of a bad value an error repeats

# ISO 4217, active codes without the X.. codes of metals and tests; by digits of the minor unit.
_MINOR_DIGITS_TABLE: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: """
        AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN
        BZD CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP
        GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP
        LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR
        NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN
        SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR
        ZMW ZWG
    """,
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}


class Currency(msgspec.Struct, frozen=True, gc=False):
    """An ISO 4217 currency; `scale` is the number of decimals that one money unit stands for."""

    code: str
    minor_digits: int

    @property
    def scale(self) -> int:
        """Decimals of a money unit: an amount is an integer of 10^-scale."""
        return self.minor_digits + DIGITS_BELOW_MINOR

    @property
    def units_a_whole(self) -> int:
        """Money units of 1.00: 10^scale."""
        return int(10**self.scale)


_CURRENCIES: Final = {
    code: Currency(code, minor_digits)
    for minor_digits, codes in _MINOR_DIGITS_TABLE.items()
    for code in codes.split()
}


class Rounding(StrEnum):
    """How a fraction becomes an integer; symmetric about zero, so a refund equals its charge.

    NONE is no coarser than the money unit, which nothing can be finer than: there it is half up.
    """

    HALF_UP = "half_up"
    HALF_EVEN = "half_even"
    UP = "up"
    DOWN = "down"
    NONE = "none"


def currency(code: str) -> Currency:
    """Return the currency of an ISO 4217 code (capitals); ValueError names an unknown one."""
    known = _CURRENCIES.get(code)
    if known is None:
        raise ValueError(f"unknown currency {_quoted(code)}: expected an ISO 4217 code such as EUR")
    return known


def quantum_of(decimals: int | None, money_currency: Currency) -> int:
    """Return the money units that the last of `decimals` counts; 1 for None, or more than fit."""
    assert decimals is None or decimals >= 0, decimals
    if decimals is None or decimals >= money_currency.scale:
        return 1
    return int(10 ** (money_currency.scale - decimals))


def parse_decimal(text: str) -> Fraction:
    """Read an exact decimal such as "0.0125"; ValueError says what is wrong with it."""
    stripped = text.strip()
    if not stripped:
        raise ValueError("empty: expected a decimal number")
    if len(stripped) > _LONGEST_DECIMAL or not _DECIMAL.fullmatch(stripped):
        raise ValueError(f"{_quoted(text)} is not a decimal number such as 0.0125")
    return Fraction(stripped)


def exact_decimal(value: Decimal | int) -> Fraction:
    """Turn a decoded decimal into a fraction; ValueError for NaN, infinities and wild exponents."""
    number = Decimal(value)
    if not number.is_finite() or abs(number.adjusted()) > _LONGEST_DECIMAL:
        raise ValueError(f"{value} is not a usable decimal number")
    return Fraction(number)


def parse_money(text: str, money_currency: Currency) -> int:
    """Read an exact amount of a currency into money units, refusing what does not fit."""
    units = parse_decimal(text) * money_currency.units_a_whole
    if units.denominator != 1:
        raise ValueError(
            f"{_quoted(text)} has more than the {money_currency.scale} decimals "
            f"that {money_currency.code} is kept in"
        )
    if abs(units.numerator) > MAX_AMOUNT:
        raise ValueError(
            f"{_quoted(text)} is too large for {money_currency.code}: 2^53 money units at most"
        )
    return units.numerator


def format_money(amount: int, money_currency: Currency) -> str:
    """Write an amount exactly: minor digits always, finer digits only where they are not zero."""
    # Four of these stand in every answer, hence by slices: a third of the time of divmod.
    scale = money_currency.minor_digits + DIGITS_BELOW_MINOR
    digits = str(abs(amount)).zfill(scale + 1)
    decimals = digits[-scale:-DIGITS_BELOW_MINOR] + digits[-DIGITS_BELOW_MINOR:].rstrip("0")
    whole = digits[:-scale] if amount >= 0 else f"-{digits[:-scale]}"
    return f"{whole}.{decimals}" if decimals else whole


def format_fraction(amount: Fraction, money_currency: Currency) -> str:
    """Write an exact, maybe fractional amount: as a decimal where one can be read, else "n/d".

    Per-second prices made of per-minute prices (0.035 / 60) have no finite decimal, and a byte of a
    price per GiB has one of thirty digits; what is explained must not be rounded.
    """
    if amount.denominator == 1:
        return format_money(amount.numerator, money_currency)
    value = amount / money_currency.units_a_whole
    twos = (value.denominator & -value.denominator).bit_length() - 1
    fives, rest = 0, value.denominator >> twos
    while rest % 5 == 0:
        fives, rest = fives + 1, rest // 5
    decimals = max(twos, fives)
    if rest != 1 or decimals > _MOST_DECIMALS:
        return f"{value.numerator}/{value.denominator}"
    whole, digits = divmod(abs(value.numerator) * 10**decimals // value.denominator, 10**decimals)
    return f"{'-' if value < 0 else ''}{whole}.{digits:0{decimals}d}"


def round_fraction(numerator: int, denominator: int, rounding: Rounding) -> int:
    """Round numerator / denominator (denominator > 0) to an integer: the one place that rounds."""
    whole, rest = divmod(abs(numerator), denominator)
    magnitude = whole + _rounds_up(whole, rest, denominator, rounding)
    return -magnitude if numerator < 0 else magnitude


def _rounds_up(whole: int, rest: int, denominator: int, rounding: Rounding) -> bool:
    if rounding is Rounding.HALF_UP or rounding is Rounding.NONE:
        return 2 * rest >= denominator
    if rounding is Rounding.HALF_EVEN:
        return 2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1)
    return rounding is Rounding.UP and rest > 0


def _quoted(text: str) -> str:
    """Repeat a bad value in an error, at a bounded length."""
    shown = text if len(text) <= _QUOTED_CHARACTERS else text[:_QUOTED_CHARACTERS] + "..."
    return repr(shown)
