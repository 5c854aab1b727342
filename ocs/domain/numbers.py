"""Numbers as they come from switches, cleaned to digits; and SIP users that are none.

    sip:+49 (171) 123-4567;npdi=yes@host:5060;user=phone   ->  491711234567
    tel:+441632960001;phone-context=example.com            ->  441632960001
    00441632960001                                         ->  441632960001
    01632 960001, in country 44 with national prefix 0     ->  441632960001
    2015550123, in country 1 with national numbers of 10   ->  12015550123
    112, in country 44 with the short code 112             ->  44112
    sip:Alice@example.com                                  ->  alice

A short code is brought below its country's code, because as it stands it reads like the beginning
of some other country's numbers: 112 would be priced as a call to America.

A number that begins with + is international and no rule applies to it. What remains with anything
but digits after the visual separators are dropped is a user name, lower-cased and otherwise kept.
"""

import re
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

import msgspec

_SCHEMES: Final = ("sips:", "sip:", "tel:")
_SEPARATORS: Final = str.maketrans("", "", " -.()/\u00a0\t")  # RFC 3966 section 5.1.1, and blanks


class NumberRules(msgspec.Struct, frozen=True):
    """How numbers are written where an event comes from; an empty member switches its rule off.

    `tech_prefix` is what a trunk puts before the number, `international_prefix` stands for a +,
    `national_prefix` (0 in most of Europe) is replaced by `country_code`. The country's code is put
    before numbers with as many digits as `national_digits` has, and before `short_codes`: digits,
    with x for any digit.
    """

    country_code: str = ""
    national_prefix: str = ""
    international_prefix: str = "00"
    tech_prefix: str = ""
    national_digits: tuple[int, ...] = ()
    short_codes: tuple[str, ...] = ()


DEFAULT_RULES: Final = NumberRules()


def clean_number(raw: str, rules: NumberRules = DEFAULT_RULES) -> str:
    """Return the digits of a number in international form, or the lower-cased SIP user."""
    if _is_digits(raw):
        if rules is DEFAULT_RULES and raw[0] != "0":
            return raw
        return _international(raw.removeprefix(rules.tech_prefix), rules)
    user = _user_part(raw).removeprefix(rules.tech_prefix)
    digits = user.translate(_SEPARATORS)
    if not _is_digits(digits.removeprefix("+")):
        return user.lower()
    if digits[0] == "+":
        return digits[1:]
    return _international(digits, rules)


def _user_part(raw: str) -> str:
    """Return what stands between the scheme and the host, without parameters and password."""
    text = raw.strip()
    if "<" in text:  # a name-addr: "Alice" <sip:alice@example.com>
        text = text.rpartition("<")[2].partition(">")[0]
    for scheme in _SCHEMES:
        if text[: len(scheme)].lower() == scheme:
            text = text[len(scheme) :]
            break
    user = text.partition("@")[0].partition(";")[0].partition("?")[0].partition(":")[0]
    return unquote(user).strip() if "%" in user else user.strip()


def _international(digits: str, rules: NumberRules) -> str:
    if rules.short_codes and _short_codes(rules.short_codes).fullmatch(digits):
        return rules.country_code + digits
    for prefix, replacement in (
        (rules.international_prefix, ""),
        (rules.national_prefix, rules.country_code),
    ):
        if prefix and digits.startswith(prefix) and len(digits) > len(prefix):
            return replacement + digits[len(prefix) :]
    if len(digits) in rules.national_digits:
        return rules.country_code + digits
    return digits


@lru_cache(maxsize=1_000)
def _short_codes(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(pattern.replace("x", "[0-9]") for pattern in patterns))


def _is_digits(text: str) -> bool:
    return text.isdecimal() and text.isascii()
