"""Numbers as switches send them."""

import pytest

from ocs.domain.numbers import NumberRules, clean_number

BRITAIN = NumberRules(country_code="44", national_prefix="0")
AMERICA = NumberRules(country_code="1", national_prefix="1", international_prefix="011")
CODES = NumberRules(country_code="44", national_prefix="0", short_codes=("112", "1xx", "118xxx"))
TEN = NumberRules(country_code="1", national_prefix="1", national_digits=(10,))
TRUNK = NumberRules(tech_prefix="9123#")


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
