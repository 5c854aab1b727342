"""Numbers as switches send them."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocs.domain.numbers import (
    DEFAULT_RULES,
    EmergencyNumbers,
    NumberRules,
    clean_number,
    emergency_number,
)

BRITAIN = NumberRules(country_code="44", national_prefix="0")
AMERICA = NumberRules(country_code="1", national_prefix="1", international_prefix="011")
CODES = NumberRules(country_code="44", national_prefix="0", short_codes=("112", "1xx", "118xxx"))
TEN = NumberRules(country_code="1", national_prefix="1", national_digits=(10,))
TRUNK = NumberRules(tech_prefix="9123#")
KENT = NumberRules(
    country_code="44",
    national_prefix="0",
    short_codes=("112", "1xx"),
    tech_prefix="9123#",
    emergency=EmergencyNumbers.below("44", ("112", "999", "18x")),
)
SYDNEY = NumberRules(
    country_code="61", national_prefix="0", emergency=EmergencyNumbers.below("61", ("000",))
)
NOWHERE = NumberRules(emergency=EmergencyNumbers.below("", ()))


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("441632960001", "441632960001"),
        ("+441632960001", "441632960001"),
        ("00441632960001", "441632960001"),
        ("sip:+49 (171) 123-4567;npdi=yes@host:5060;user=phone", "491711234567"),
        ("SIPS:491711234567:secret@host", "491711234567"),
        ("tel:+44-1632-960001;phone-context=example.com", "441632960001"),
        ("sip:491711234567?subject=x", "491711234567"),
        ('"Alice" <sip:Alice.Smith@example.com>;tag=1', "alice.smith"),
        ("sip:%2B491711234567@host", "491711234567"),
        (" 49.171/1234567 ", "491711234567"),
        ("Alice", "alice"),
        ("01632960001", "01632960001"),
        ("0", "0"),
        ("00", "00"),
        ("+", "+"),
        ("", ""),
        ("sip:@host", ""),
        ("*100#", "*100#"),
        ("\u0661\u0662", "\u0661\u0662"),
    ],
)
def test_without_rules(raw: str, cleaned: str) -> None:
    assert clean_number(raw) == cleaned


@pytest.mark.parametrize(
    ("rules", "raw", "cleaned"),
    [
        (BRITAIN, "01632960001", "441632960001"),
        (BRITAIN, "01632 960001", "441632960001"),
        (BRITAIN, "00491711234567", "491711234567"),
        (BRITAIN, "+01632960001", "01632960001"),
        (BRITAIN, "441632960001", "441632960001"),
        (AMERICA, "12015550123", "12015550123"),
        (AMERICA, "011491711234567", "491711234567"),
        (CODES, "112", "44112"),
        (CODES, "199", "44199"),
        (CODES, "sip:118247@host;user=phone", "44118247"),
        (CODES, "1125550123", "1125550123"),
        (CODES, "11", "11"),
        (CODES, "+112", "112"),
        (CODES, "01632960001", "441632960001"),
        (NumberRules(short_codes=("000",)), "000", "000"),
        (TEN, "2015550123", "12015550123"),
        (TEN, "12015550123", "12015550123"),
        (TEN, "00441632960001", "441632960001"),
        (TEN, "+2015550123", "2015550123"),
        (TRUNK, "9123#491711234567", "491711234567"),
        (TRUNK, "sip:9123#00491711234567@host", "491711234567"),
        (NumberRules(tech_prefix="777"), "777491711234567", "491711234567"),
        (NumberRules(international_prefix=""), "0049171", "0049171"),
    ],
)
def test_with_rules(rules: NumberRules, raw: str, cleaned: str) -> None:
    assert clean_number(raw, rules) == cleaned


@pytest.mark.parametrize(
    ("rules", "raw", "found"),
    [
        (NumberRules(), "112", "112"),
        (NumberRules(), "911", "911"),
        (NumberRules(), "999", ""),
        (NumberRules(), "1120", ""),
        (NumberRules(), "11", ""),
        (NumberRules(), "", ""),
        (NumberRules(), "sip:@host", ""),
        (NumberRules(), "sip:112@host;user=phone", "112"),
        (NumberRules(), '"Help" <sip:112@host>;tag=1', "112"),
        (NumberRules(), "tel:112", "112"),
        (NumberRules(), "tel:1-1-2;phone-context=+44", "112"),
        (NumberRules(), "+112", "112"),
        (NumberRules(), "00112", "112"),
        (NumberRules(), "urn:service:sos", "urn:service:sos"),
        (NumberRules(), "URN:service:sos.Police;x=y", "urn:service:sos.police"),
        (NumberRules(), "<urn:service:sos.ecall.manual>", "urn:service:sos.ecall.manual"),
        (NumberRules(), "urn:service:sosumi", ""),
        (NumberRules(), "urn:service:counseling", ""),
        (NumberRules(), "sip:urn@host", ""),
        (NumberRules(), "112abc", ""),
        (NumberRules(), "\u0661\u0661\u0662", ""),
        (KENT, "112", "112"),
        (KENT, "999", "999"),
        (KENT, "185", "185"),
        (KENT, "195", ""),
        (KENT, "911", ""),
        (KENT, "44112", "112"),
        (KENT, "+44112", "112"),
        (KENT, "0044999", "999"),
        (KENT, "9123#112", "112"),
        (KENT, "sip:9123#+44112@host", "112"),
        (KENT, "441120", ""),
        (KENT, "01632960112", ""),
        (SYDNEY, "000", "000"),
        (SYDNEY, "0", ""),
        (SYDNEY, "+61000", "000"),
        (NumberRules(tech_prefix="1"), "112", "112"),
        (NumberRules(tech_prefix="1"), "1112", "112"),
        (NOWHERE, "112", ""),
        (NOWHERE, "urn:service:sos", "urn:service:sos"),
    ],
)
def test_emergency_numbers(rules: NumberRules, raw: str, found: str) -> None:
    assert emergency_number(raw, clean_number(raw, rules), rules) == found


@pytest.mark.parametrize("rules", [BRITAIN, AMERICA, CODES, TEN, TRUNK, KENT, SYDNEY])
def test_every_number_can_be_one(rules: NumberRules) -> None:
    """Whatever the rules make of it; and it is told from ordinary ones by its length."""
    for number in ("00", "01", "10", *(f"{n:03d}" for n in range(1000)), "0000", "1011"):
        emergency = EmergencyNumbers.below(rules.country_code, (number,))
        own = msgspec.structs.replace(rules, emergency=emergency)
        for raw in (number, f"tel:{number}", f"{rules.tech_prefix}{number}"):
            cleaned = clean_number(raw, own)
            assert len(cleaned) <= emergency.longest
            assert emergency_number(raw, cleaned, own) == number


PARTS = [
    "sip:",
    "sips:",
    "tel:",
    "SIP:",
    "+",
    "0",
    "00",
    "441632960001",
    "7",
    "alice",
    "٤",
    "-",
    " ",
]
BEHIND = ["@", "host", ":5060", ";user=phone", "?subject=1", "<", ">", "%30", ":", "\n", '"A" ']


@given(st.lists(st.sampled_from(PARTS), max_size=4), st.lists(st.sampled_from(BEHIND), max_size=4))
def test_a_plain_uri_is_cleaned_as_any_other(number: list[str], behind: list[str]) -> None:
    raw = "".join([*number, *behind])
    the_longer_way = NumberRules()
    assert the_longer_way == DEFAULT_RULES
    assert clean_number(raw) == clean_number(raw, the_longer_way)
