"""Cleaning columns of numbers by a tenant's rules: `domain/numbers.py`, as far as columns can.

Nearly all numbers are digits that no rule applies to, and stay as they are: that is found out by
comparing, without making a text. The others are digits, maybe after a +, and the rules for those
are five comparisons. What is more than that (URIs, blanks, users) goes to `clean_number` itself,
each distinct text once.
"""

from typing import Final

import polars as pl

from ocs.domain.numbers import NumberRules, clean_number, emergency_number

_DIGITS: Final = "^[0-9]+$"
_PLUS_DIGITS: Final = r"^\+[0-9]+$"


def cleaned(raw: pl.Series, rules: NumberRules) -> pl.Series:
    """Return each number as `clean_number` would; "" for "". Most often that is what was given."""
    stays = pl.DataFrame({"raw": raw}).select(stays=_stays(rules))["stays"]
    if stays.all():
        return raw
    others = (~stays).arg_true()
    return raw.clone().scatter(others, _all_cleaned(raw.gather(others), rules))


def _stays(rules: NumberRules) -> pl.Expr:
    """Return which texts are clean already: numbers of 18 digits at most that no rule applies to.

    Texts from "1" on have neither a sign nor a 0 before the digits.
    """
    raw = pl.col("raw")
    size = raw.str.len_bytes()
    is_number = raw.cast(pl.Int64, strict=False).is_not_null() & (raw >= "1")
    for prefix in (rules.tech_prefix, rules.international_prefix, rules.national_prefix):
        if prefix and prefix[0] != "0":
            is_number &= ~raw.str.starts_with(prefix)
    if rules.national_digits:
        is_number &= ~size.is_in(rules.national_digits)
    if rules.short_codes:
        is_number &= size > max(map(len, rules.short_codes))
    return is_number | (raw == "")


def _all_cleaned(raw: pl.Series, rules: NumberRules) -> pl.Series:
    numbers = pl.DataFrame({"raw": raw}).with_columns(is_digits=pl.col("raw").str.contains(_DIGITS))
    digits = _international(_without(pl.col("raw"), rules.tech_prefix), rules)
    if numbers["is_digits"].all():
        return numbers.select(clean=digits)["clean"]
    others = numbers.filter(~pl.col("is_digits"))["raw"]
    clean = numbers.select(clean=pl.when("is_digits").then(digits))["clean"]
    places = (~numbers["is_digits"]).arg_true()
    return clean.scatter(places, _others_cleaned(others, rules))


def for_help(raw: pl.Series, clean: pl.Series, rules: NumberRules) -> pl.Series:
    """Return which numbers are calls for help; only short ones can be."""
    size = clean.str.len_bytes()
    short = ((size > 0) & (size <= rules.emergency.longest)).arg_true()
    none = pl.repeat(value=False, n=len(raw), dtype=pl.Boolean, eager=True)
    pairs = zip(raw.gather(short), clean.gather(short), strict=True)
    return none.scatter(short, [bool(emergency_number(*pair, rules)) for pair in pairs])


def _others_cleaned(raw: pl.Series, rules: NumberRules) -> pl.Series:
    """Clean what is not just digits: a + is cut off, all else goes to Python."""
    texts = pl.DataFrame({"raw": raw})
    text = pl.col("raw")
    is_easy = texts.select(easy=_is_plus(rules) | (text == ""))["easy"]
    easy = texts.select(clean=text.str.slice(1))["clean"]
    if is_easy.all():
        return easy
    hard = raw.filter(~is_easy).unique().to_list()
    clean = [clean_number(each, rules) for each in hard]
    python = raw.replace_strict(hard, clean, default="", return_dtype=pl.String)
    return easy.zip_with(is_easy, python)


def _is_plus(rules: NumberRules) -> pl.Expr:
    if rules.tech_prefix.startswith("+"):
        return pl.lit(value=False)
    return pl.col("raw").str.contains(_PLUS_DIGITS)


def _without(text: pl.Expr, prefix: str) -> pl.Expr:
    return text.str.strip_prefix(prefix) if prefix else text


def _international(digits: pl.Expr, rules: NumberRules) -> pl.Expr:
    """Bring digits into international form; the first rule that applies is the only one."""
    country = pl.lit(rules.country_code)
    size = digits.str.len_bytes()
    cases: list[tuple[pl.Expr, pl.Expr]] = []
    if rules.short_codes:
        pattern = "|".join(code.replace("x", "[0-9]") for code in rules.short_codes)
        cases.append((digits.str.contains(f"^(?:{pattern})$"), country + digits))
    for prefix, replacement in (
        (rules.international_prefix, pl.lit("")),
        (rules.national_prefix, country),
    ):
        if prefix:
            begins = digits.str.starts_with(prefix) & (size > len(prefix))
            cases.append((begins, replacement + digits.str.slice(len(prefix))))
    if rules.national_digits:
        is_national = size.is_in(rules.national_digits)
        cases.append((is_national, country + digits))
    found = digits
    for condition, number in reversed(cases):
        found = pl.when(condition).then(number).otherwise(found)
    return found
