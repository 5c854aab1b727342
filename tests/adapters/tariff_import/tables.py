"""A small CGRateS tariff plan as files, to be spoiled, and what lists made of it cost."""

from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Final

from ocs.adapters.tariff_files import TariffBuild
from ocs.adapters.tariff_files.generation_file import decode, encode
from ocs.adapters.tariff_files.reading import read_tariff
from ocs.adapters.tariff_files.writing import text_of
from ocs.domain.generation import Generation
from ocs.domain.money import currency
from ocs.domain.rating import Segment, rate_use
from ocs.domain.tariff import Used, plan_tariffs
from ocs.usecases.price_lists import Imported

TABLES: Final = {
    "Destinations.csv": (
        "#Id,Prefix\nDE,49\nDE_MOBILE,4915\nDE_MOBILE,4917\nUK,+44\nEMERGENCY,112;110\n"
    ),
    "Timings.csv": (
        "#Tag,Years,Months,MonthDays,WeekDays,Time\n"
        "MORNING,*any,*any,*any,1;2;3;4;5,00:00:00\n"
        "PEAK,*any,*any,*any,1;2;3;4;5,08:00:00\n"
        "EVENING,*any,*any,*any,1;2;3;4;5,19:00:00\n"
        "WEEKEND,*any,*any,*any,6;7,00:00:00\n"
        "XMAS,*any,12,25,*any,00:00:00\n"
        "LUNCH,*any,*any,*any,*any,12:00:00;12:59:59\n"
    ),
    "Rates.csv": (
        "#Id,ConnectFee,Rate,RateUnit,RateIncrement,GroupIntervalStart\n"
        "CHEAP,0,0.06,60s,1s,0s\n"
        "DEAR,0.1,0.6,60s,60s,0s\n"
        "DEAR,0,0.3,60s,1s,60s\n"
        "FREE,0,0,60s,60s,0s\n"
        "MB,0,0.01,1048576,1024,0\n"
    ),
    "DestinationRates.csv": (
        "#Id,DestinationId,RatesTag,RoundingMethod,RoundingDecimals,MaxCost,MaxCostStrategy\n"
        "DR_DEAR,DE,DEAR,*up,4,0,\n"
        "DR_DEAR,DE_MOBILE,DEAR,*up,4,1.5,*free\n"
        "DR_CHEAP,DE,CHEAP,*middle,4,0,\n"
        "DR_CHEAP,DE_MOBILE,CHEAP,*middle,4,0,\n"
        "DR_UK,UK,CHEAP,*down,2,2,*disconnect\n"
        "DR_FREE,EMERGENCY,FREE,*up,4,0,\n"
        "DR_DATA,*any,MB,*up,4,0,\n"
    ),
    "RatingPlans.csv": (
        "#Id,DestinationRatesId,TimingTag,Weight\n"
        "RP_DE,DR_CHEAP,MORNING,10\n"
        "RP_DE,DR_DEAR,PEAK,10\n"
        "RP_DE,DR_CHEAP,EVENING,10\n"
        "RP_DE,DR_CHEAP,WEEKEND,10\n"
        "RP_DE,DR_CHEAP,XMAS,20\n"
        "RP_WORLD,DR_UK,*any,10\n"
        "RP_WORLD,DR_FREE,*any,10\n"
        "RP_DATA,DR_DATA,*any,10\n"
    ),
    "RatingProfiles.csv": (
        "#Tenant,Category,Subject,ActivationTime,RatingPlanId,RatesFallbackSubject\n"
        "acme,call,1001,2026-01-01T00:00:00Z,RP_DE,*any\n"
        "acme,call,*any,2020-01-01T00:00:00Z,RP_WORLD,\n"
        "acme,data,*any,2020-01-01T00:00:00Z,RP_DATA,\n"
    ),
}


def written(folder: Path, **changed: str) -> Path:
    """Write the tables, some changed by the name of the table, into a folder."""
    folder.mkdir(exist_ok=True)
    for file, text in TABLES.items():
        (folder / file).write_text(changed.get(file.removesuffix(".csv"), text), encoding="utf-8")
    return folder


def generation_of(imported: Imported) -> Generation:
    """Load the lists the way that files are loaded."""
    assert imported.faults == ()
    build = TariffBuild("test", ())
    for price_list in imported.lists:
        found = read_tariff(f"{price_list.name}.csv", text_of(price_list).encode())
        assert isinstance(found, tuple), found
        build = TariffBuild(build.id, (*build.tariffs, *found))
    return decode(memoryview(b"".join(map(bytes, encode(build)))))


def cost_of(
    imported: Imported,
    tariffs: tuple[str, ...],
    number: str,
    at: str,
    units: int,
    usage: str = "voice",
) -> str | None:
    """Price a use by some tariffs, as a decimal; None where there is no rate."""
    at_ms = round(datetime.fromisoformat(at).timestamp() * 1000)
    used = Used(number, usage, at_ms)
    generation, names = generation_of(imported), plan_tariffs(*tariffs)
    if usage == "voice":
        schedule = generation.schedule(names, used, at_ms + units * 1000)
    else:
        rate = generation.find(names, used)
        schedule = () if rate is None else ((at_ms, rate),)
    if not schedule:
        return None
    segments = [Segment(from_ms, rate.ladder) for from_ms, rate in schedule]
    total = rate_use(segments, units, at_ms, timed=usage == "voice").total
    whole = currency(schedule[0][1].currency).units_a_whole
    return f"{float(Fraction(total, whole)):.6f}".rstrip("0").rstrip(".")
