"""Writes the sample tariff `config/tariffs/a-z.csv`; run by hand when the numbering plans change.

    python deploy/tools/make_sample_tariff.py > config/tariffs/a-z.csv

The prefixes are real: all countries and their mobile networks, from the metadata of the
`phonenumbers` package (a development dependency; nothing that runs needs it). The prices are
samples: picked per destination by a hash of its name, so that the output is the same on every
machine and a new country does not move the prices of the others.

The metadata names a network for 29,000 prefixes, down to blocks of a thousand numbers. A price list
of that size would bury the reader, so blocks are merged upwards: where at least half of the ten
next digits belong to one network, the shorter prefix stands for all. A country that still has more
than sixty prefixes is listed without the names of its networks.
"""

import csv
import hashlib
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from itertools import product
from typing import Final

import phonenumbers
from phonenumbers.carrierdata import CARRIER_DATA
from phonenumbers.geodata.locale import LOCALE_DATA

HEAD: Final = """\
# A sample tariff: real prefixes of all countries and their mobile networks, invented prices.
# Written by deploy/tools/make_sample_tariff.py; edit a copy, not this file.
# Prices are per minute; the columns are explained in docs/tariffs.md.
# currency = EUR
# usage_type = voice
# model = interval
"""
COLUMNS: Final = (
    "prefix",
    "destination",
    "price_1",
    "price_n",
    "interval_1",
    "interval_n",
    "connect_fee",
    "blocked",
)
NON_GEOGRAPHIC: Final = {
    800: "International Freephone",
    808: "International Shared Cost",
    870: "Inmarsat Satellite",
    878: "Universal Personal Telecommunications",
    881: "Global Mobile Satellite",
    882: "International Networks 882",
    883: "International Networks 883",
    888: "Disaster Relief",
    979: "International Premium Rate",
}
UNNAMED: Final = {"AC": "Ascension Island", "TA": "Tristan da Cunha", "XK": "Kosovo"}
BLOCKED: Final = {979}
SATELLITE: Final = {870, 881, 882, 883, 888}

NORTH_AMERICA: Final = 1
MOST_NETWORK_PREFIXES: Final = 60
HALF_OF_TEN: Final = 5
LONGEST_LEADING_DIGITS: Final = 5
INTERVALS: Final = ((60, 60), (1, 1), (30, 6), (60, 1))


def main() -> None:
    """Write the tariff to standard output."""
    countries = dict(country_prefixes())
    rows = {prefix: (name, False) for prefix, name in countries.items()}
    for prefix, network in mobile_prefixes():
        country = longest_match(countries, prefix)
        name = f"{country} Mobile {network}".strip()
        if prefix not in rows:
            rows[prefix] = name, True
    sys.stdout.write(HEAD)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)
    for prefix, (name, is_mobile) in sorted(rows.items()):
        country = longest_match(countries, prefix)
        writer.writerow((prefix, name, *price(prefix, country, name, is_mobile=is_mobile)))


def country_prefixes() -> Iterator[tuple[str, str]]:
    """Yield the prefix and name of each country, and of each territory inside a shared code."""
    for code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items():
        if code in NON_GEOGRAPHIC:
            yield str(code), NON_GEOGRAPHIC[code]
            continue
        yield str(code), region_name(regions[0])
        if code == NORTH_AMERICA:
            yield from north_american_prefixes()
            continue
        for region in regions[1:]:
            for digits in leading_digits(region):
                yield f"{code}{digits}", region_name(region)


def north_american_prefixes() -> Iterator[tuple[str, str]]:
    """Yield the area codes of the countries other than the United States that share code 1."""
    for area in range(200, 1000):
        number = phonenumbers.PhoneNumber(country_code=1, national_number=area * 10**7 + 2345678)
        region = phonenumbers.region_code_for_number(number)
        if region not in (None, "US"):
            yield f"1{area}", region_name(region)


def leading_digits(region: str) -> Iterator[str]:
    """Yield the shortest digit strings by which numbers of a territory begin."""
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    assert metadata is not None
    if metadata.leading_digits is None:
        example = phonenumbers.example_number(region)
        assert example is not None
        yield str(example.national_number)[:4]  # an area code: Guernsey 1481, Jersey 1534
        return
    pattern = re.compile(metadata.leading_digits)
    found: list[str] = []
    for length in range(1, LONGEST_LEADING_DIGITS + 1):
        for digits in map("".join, product("0123456789", repeat=length)):
            if pattern.fullmatch(digits) and not digits.startswith(tuple(found)):
                found.append(digits)
    yield from found


def mobile_prefixes() -> Iterator[tuple[str, str]]:
    """Yield the prefixes of mobile networks with the name of the network, where it is given."""
    by_country: dict[str, dict[str, str]] = defaultdict(dict)
    codes = {str(code): str(code) for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE}
    for prefix, names in CARRIER_DATA.items():
        name = names.get("en") or names[min(names)]
        by_country[longest_match(codes, prefix)][prefix] = " ".join(name.split())
    for code, networks in by_country.items():
        merged = merge(networks, shortest=len(code) + 1)
        if len(merged) > MOST_NETWORK_PREFIXES:
            merged = merge(dict.fromkeys(networks, ""), shortest=len(code) + 1)
        yield from merged.items()


def merge(networks: dict[str, str], shortest: int) -> dict[str, str]:
    """Let a prefix stand for its ten continuations where half of them are one network's."""
    merged = dict(networks)
    for length in range(max(map(len, merged)), shortest, -1):
        families: dict[str, list[str]] = defaultdict(list)
        for prefix in merged:
            if len(prefix) == length:
                families[prefix[:-1]].append(prefix)
        for parent, children in families.items():
            names = {merged[child] for child in children}
            if len(children) >= HALF_OF_TEN and len(names) == 1 and parent not in merged:
                merged[parent] = names.pop()
    return {
        prefix: name
        for prefix, name in merged.items()
        if not any(merged.get(prefix[:length]) == name for length in range(1, len(prefix)))
    }


def longest_match(names: dict[str, str], prefix: str) -> str:
    """Return the name of the longest key that `prefix` starts with."""
    return next(names[prefix[:n]] for n in range(len(prefix), 0, -1) if prefix[:n] in names)


def region_name(region: str) -> str:
    """Return the English name of a region; "*aa" means: as in the language aa."""
    if region in UNNAMED:
        return UNNAMED[region]
    names = LOCALE_DATA[region]
    name = str(names["en"])
    return str(names[name[1:]]) if name.startswith("*") else name


def price(prefix: str, country: str, name: str, *, is_mobile: bool) -> tuple[object, ...]:
    """Return the sample price cells of a destination, by a hash of its names."""
    pick = hashlib.sha256(country.encode()).digest()
    per_minute = 60 + int.from_bytes(pick[:2], "big") % 1800  # of EUR 0.0001
    interval_1, interval_n = INTERVALS[pick[2] % len(INTERVALS)]
    connect_fee = "0.02" if pick[3] % 8 == 0 else "0"
    if is_mobile:
        per_minute += 150 + hashlib.sha256(name.encode()).digest()[0] * 10
    code = int(prefix[:3]) if country in NON_GEOGRAPHIC.values() else 0
    if code in SATELLITE:
        per_minute += 30_000
    text = f"{per_minute // 10_000}.{per_minute % 10_000:04d}"
    blocked = "yes" if code in BLOCKED else ""
    return text, text, interval_1, interval_n, connect_fee, blocked


if __name__ == "__main__":
    main()
