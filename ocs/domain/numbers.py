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

Whether an emergency number was dialled is looked for before the rules have had their way with it
and after: 000 with the international prefix 00 would be cleaned to 0.

    sip:112@host;user=phone, tel:112, +44112 in country 44, 9123#112 with that tech prefix  ->  112
    urn:service:sos.police                                                            ->  as it is
"""

import re
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

import msgspec

_SCHEMES: Final = frozenset({"sips", "sip", "tel"})
_SEPARATORS: Final = str.maketrans("", "", " -.()/\u00a0\t")  # RFC 3966 section 5.1.1, and blanks
_SOS: Final = "urn:service:sos"  # and its sub-services, urn:service:sos.fire (RFC 5031 section 4.2)
_URN: Final = "urn"
_plain_uri: Final = re.compile(r"(?:sips?|tel):\+?([1-9][0-9]*)(?:@[^<]*)?").fullmatch
"""Finds the digits of a URI that no default rule applies to, as nearly all switches write it."""
_CALLED_ANYWHERE: Final = ("112", "911")  # by any handset, SIM or not (3GPP TS 22.101 section 10.1)


class EmergencyNumbers(msgspec.Struct, frozen=True):
    """The numbers of help, with x for any digit; the URN of the service is always one of them.

    `longest`: no cleaned number with more characters can be one, with the country's code before it
    or without. So all that an ordinary number costs is to look at its length.
    """

    numbers: tuple[str, ...] = _CALLED_ANYWHERE
    longest: int = len(_URN)

    @classmethod
    def below(cls, country_code: str, numbers: tuple[str, ...]) -> "EmergencyNumbers":
        """Make those of a country."""
        longest = max((len(country_code) + len(number) for number in numbers), default=0)
        return cls(numbers, max(longest, len(_URN)))


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
    emergency: EmergencyNumbers = EmergencyNumbers()


DEFAULT_RULES: Final = NumberRules()


def clean_number(raw: str, rules: NumberRules = DEFAULT_RULES) -> str:
    """Return the digits of a number in international form, or the lower-cased SIP user."""
    if raw.isdecimal() and raw.isascii():  # `_is_digits`, without the call
        if rules is DEFAULT_RULES and raw[0] != "0":
            return raw
        return _international(raw.removeprefix(rules.tech_prefix), rules)
    if raw[:1] == "+" and not rules.tech_prefix and _is_digits(raw[1:]):
        return raw[1:]
    if rules is DEFAULT_RULES and ":" in raw and (plain := _plain_uri(raw)):
        return plain[1]
    user = _user_part(raw).removeprefix(rules.tech_prefix)
    digits = user.translate(_SEPARATORS)
    if not _is_digits(digits.removeprefix("+")):
        return user.lower()
    if digits[0] == "+":
        return digits[1:]
    return _international(digits, rules)


def emergency_number(raw: str, cleaned: str, rules: NumberRules = DEFAULT_RULES) -> str:
    """Return the emergency number, or the URN, that was dialled as `raw`; empty if none was.

    `cleaned` is what `clean_number` made of it.
    """
    emergency = rules.emergency
    if len(cleaned) > emergency.longest:
        return ""
    if cleaned == _URN:
        return _sos(raw)
    user = _user_part(raw)
    is_one = _patterns(emergency.numbers).fullmatch
    for form in (user, user.removeprefix(rules.tech_prefix)):
        dialled = form.translate(_SEPARATORS)
        if dialled and is_one(dialled):
            return dialled
    for number in (cleaned, cleaned.removeprefix(rules.country_code)):
        if number and is_one(number):
            return number
    return ""


def _sos(raw: str) -> str:
    urn = _uri(raw).partition(";")[0].partition("?")[0].lower()
    return urn if urn == _SOS or urn.startswith(f"{_SOS}.") else ""


def _uri(raw: str) -> str:
    text = raw.strip()
    if "<" in text:  # a name-addr: "Alice" <sip:alice@example.com>
        return text.rpartition("<")[2].partition(">")[0]
    return text


def _user_part(raw: str) -> str:
    """Return what stands between the scheme and the host, without parameters and password."""
    text = _uri(raw)
    scheme, colon, behind = text.partition(":")
    if colon and scheme.lower() in _SCHEMES:
        text = behind
    user = text.partition("@")[0].partition(";")[0].partition("?")[0].partition(":")[0]
    return unquote(user).strip() if "%" in user else user.strip()


def _international(digits: str, rules: NumberRules) -> str:
    if rules.short_codes and _patterns(rules.short_codes).fullmatch(digits):
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
def _patterns(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(pattern.replace("x", "[0-9]") for pattern in patterns))


def _is_digits(text: str) -> bool:
    return text.isdecimal() and text.isascii()
