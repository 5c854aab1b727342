"""A folder to rate CDRs in: a configuration with two tenants, people, CDRs, and what they cost.

The price of a call is asked from the domain one by one, as online: nothing here knows of columns.
"""

import csv
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from ocs.bootstrap.offline import OfflineJob, opened_work
from ocs.bootstrap.pricing import opened_tariffs
from ocs.config.reader import read_settings
from ocs.config.settings import Settings
from ocs.domain.explain import segments_of
from ocs.domain.generation import Generation
from ocs.domain.numbers import NumberRules, clean_number
from ocs.domain.plan import rates_of
from ocs.domain.rating import rate_use
from ocs.domain.tariff import Used
from ocs.domain.usage import VOICE
from ocs.domain.zones import zone_named
from ocs.usecases.offline_rating import Output, Rated, Table
from ocs.usecases.offline_summary import RunSummary, rate_files

TARIFFS: Final = Path(__file__).parents[2] / "config" / "tariffs"
CONFIGURATION: Final = f"""
[rating]
tariffs = "{TARIFFS}"
[charging]
default_tenant = "demo"
[provision]
tenant = "demo"

[[tenants]]
name = "demo"
zone = "Europe/London"
country_code = "44"
national_prefix = "0"

[[tenants]]
name = "acme"

[[plans]]
name = "standard"
tariffs = ["a-z", "messages"]
blocked_prefixes = ["4490"]
free_prefixes = ["44800"]

[[plans]]
name = "peak"
tariffs = ["peak-hours", {{ name = "a-z", percent = 90 }}, "messages"]
"""
SUBSCRIBERS: Final = """identity,account,plan
441632960001,alpha,standard
441632960002,beta,peak
441632960003,beta,peak
alice,alpha,standard
north,gamma,standard
"""
PLANS: Final = {"441632960001": "standard", "441632960002": "peak", "441632960003": "peak"}
FRIDAY_MS: Final = 1_789_750_800_000  # 2026-09-18 18:00 in London
DAY_MS: Final = 86_400_000

Row = dict[str, Any]


class Scene:
    """A folder with all that `ocs offline run` needs."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.out = folder / "out"
        self.config = folder / "ocs.toml"
        self.subscribers = folder / "subscribers.csv"
        self.config.write_text(CONFIGURATION, encoding="utf-8")
        self.subscribers.write_text(SUBSCRIBERS, encoding="utf-8")

    @property
    def settings(self) -> Settings:
        return read_settings(self.config, {})

    def job(self, *inputs: Path, **options: Any) -> OfflineJob:
        given: Row = {"out": self.out, "tenant": "demo", "subscribers": self.subscribers} | options
        return OfflineJob(inputs=inputs, **given)

    def run(self, *inputs: Path, **options: Any) -> RunSummary:
        """Rate files, as the command does."""
        with opened_work(self.settings, self.job(*inputs, **options)) as work:
            for _ in rate_files(work.files, work.rater, work.output, work.tally):
                pass
            return work.tally.summary(0.0)

    def rate(self, table: Table) -> Rated:
        """Rate the CDRs of a table."""
        with opened_work(self.settings, self.job()) as work:
            return work.rater.rate(table)

    def output(self) -> Output:
        with opened_work(self.settings, self.job()) as work:
            return work.output

    @staticmethod
    def clean(identity: str) -> str:
        """Bring an identity of the tenant `demo` into the form of the directory."""
        rules = NumberRules(country_code="44", national_prefix="0")
        return clean_number(identity, rules)

    def parts(self) -> list[Path]:
        return sorted(self.out.glob("tenant=*/day=*/*.parquet"))

    def rejects(self) -> list[Path]:
        return sorted((self.out / "rejects").iterdir())


def write_cdrs(path: Path, count: int, seed: int = 0, first: int = 0) -> Path:
    """Write calls and messages of three days over the sample A-Z prefixes."""
    chance = random.Random(seed)
    lines = (TARIFFS / "a-z.csv").read_text(encoding="utf-8").splitlines()
    prefixes = [line.partition(",")[0] for line in lines if line[:1].isdigit()] + ["44", "44800"]
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(_row(0, chance, prefixes)))
        writer.writeheader()
        writer.writerows(_row(number, chance, prefixes) for number in range(first, first + count))
    return path


def _row(number: int, chance: random.Random, prefixes: Sequence[str]) -> Row:
    subscriber = chance.choice(sorted(PLANS))
    called = f"{chance.choice(prefixes)}{chance.randrange(10**7):07}"
    form = chance.choice(["{}", "{}", "{}", "+{}", "00{}", "sip:{}@host"])
    begin_ms = FRIDAY_MS - DAY_MS + chance.randrange(3 * DAY_MS)
    is_text = chance.random() < 0.05
    units = 1 if is_text else chance.choice([0, int(chance.expovariate(1 / 180))])
    return {
        "cdr_id": f"c{number}",
        "subscriber": subscriber,
        "calling": subscriber,
        "called": form.format(called),
        "start_ms": begin_ms - 7_000,
        "answer_ms": begin_ms if units else "",
        "end_ms": begin_ms + 1_000 * units,
        "units": units,
        "usage_type": "sms" if is_text else VOICE,
    }


class Online:
    """What a CDR costs, asked one by one."""

    def __init__(self, settings: Settings, generation: Generation) -> None:
        self._generation = generation
        self._plans = {plan.name: plan.plan() for plan in settings.plans}
        (tenant,) = (each for each in settings.tenants if each.name == "demo")
        self._rules, self._zone = tenant.rules(), zone_named(tenant.zone)

    def price(self, row: Row) -> tuple[str, int, str, str]:
        """Give the code, the amount, the tariff and the prefix."""
        units = int(row["units"])
        at_ms = int(row["answer_ms"] or row["start_ms"])
        used = Used(
            clean_number(row["called"], self._rules),
            row["usage_type"],
            at_ms,
            self._zone,
            row["calling"],
        )
        plan = self._plans[PLANS[row["subscriber"]]]
        schedule = rates_of(self._generation, plan, used, max(units, 1))
        if not schedule or schedule[0][1].blocked:
            return ("NO_RATE" if not schedule else "RATE_BLOCKED"), 0, "", ""
        is_call = row["usage_type"] == VOICE
        rated = rate_use(segments_of(schedule), units, at_ms, timed=is_call)
        rate = schedule[0][1]
        return "OK", rated.total, rate.tariff, rate.prefix


def online_prices(scene: Scene, path: Path) -> Iterator[tuple[Row, tuple[str, int, str, str]]]:
    """Give each row of a file with its price."""
    settings = scene.settings
    with opened_tariffs(settings) as generation, path.open(encoding="utf-8", newline="") as stream:
        online = Online(settings, generation)
        for row in csv.DictReader(stream):
            yield row, online.price(row)
