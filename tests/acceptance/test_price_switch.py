"""Calls over HTTP that run through a change of price: peak hours, and a tariff that takes over.

Events may be a few minutes ahead of the service's clock, so a whole call can be told around a
switch that is a minute away.
"""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.acceptance.service import Service, run, with_own_tariffs

pytestmark = pytest.mark.slow

AHEAD_S = 60
"""From the start of a call to the switch; the answer comes half-way."""
CHEAP, DEAR = "0.06", "0.60"
PLACES = ("Asia/Tokyo", "UTC")
"""Of two zones far apart, one is far from midnight."""


def peak_hours(switch: datetime) -> str:
    zone = next(name for name in PLACES if 1 <= switch.astimezone(ZoneInfo(name)).hour < 23)
    begins = switch.astimezone(ZoneInfo(zone)).strftime("%H:%M:%S")
    return (
        f"# currency = EUR\n# zone = {zone}\n# timing.peak = {begins}-24:00\n"
        "prefix,destination,cost_per_minute,billing_increment,timing\n"
        f"44,United Kingdom,{CHEAP},1,\n44,United Kingdom,{DEAR},1,peak\n"
    )


def takes_over(switch: datetime) -> str:
    return (
        "# currency = EUR\n"
        "prefix,destination,cost_per_minute,billing_increment,valid_from,valid_to\n"
        f"44,United Kingdom,{CHEAP},1,,{switch.isoformat()}\n"
        f"44,United Kingdom,{DEAR},1,{switch.isoformat()},\n"
    )


@pytest.fixture
def started(folder: Path) -> Iterator[Callable[[str], Service]]:
    services: list[Service] = []

    def start(tariff: str) -> Service:
        config = with_own_tariffs(folder / "config")
        (config.parent / "tariffs/a-z.csv").write_text(tariff, encoding="utf-8")
        services.append(Service(folder / "var", "--port", "0", "--config", str(config)))
        return services[-1]

    yield start
    for service in services:
        service.sweep_away()


@pytest.mark.parametrize("written", [peak_hours, takes_over], ids=lambda each: each.__name__)
def test_a_call_through_a_switch_is_priced_by_its_parts(
    started: Callable[[str], Service], folder: Path, written: Callable[[datetime], str]
) -> None:
    """Set up and answered before the switch, told of behind it, in reports that straddle it."""
    setup = datetime.fromtimestamp(int(time.time()), UTC)
    switch = setup + timedelta(seconds=AHEAD_S)
    answer = setup + timedelta(seconds=AHEAD_S // 2)
    service = started(written(switch))
    with service.client() as client:
        first = client.event("start", "call", 0, requested_units=60, event_time=setup.isoformat())
        # Not answered yet: the hold is that of the dearest second at which it may begin.
        assert first["balance"]["held"] == DEAR
        report: dict[str, object] = {"used_units": 20, "requested_units": 60}
        second = client.event("update", "call", 1, **report, **times(answer, after_s=20))
        # 10 s at 0.06 a minute and 50 s at 0.60.
        assert (second["cost"]["settled"], second["balance"]["held"]) == ("0.02", "0.51")
        last = client.event("release", "call", 2, used_units=70, **times(answer, after_s=90))
    # 30 s at 0.06 a minute and 60 s at 0.60.
    assert last["cost"]["total"] == "0.63"
    assert last["balance"] == {"available": "9.37", "held": "0.00", "currency": "EUR"}
    options = ("--config", str(folder / "config/ocs.toml"), "--dir", str(folder / "var"))
    asked = ("442071234567", "--seconds", "90", "--at", answer.isoformat(), "--json")
    told = run("rate", *asked, *options)
    assert '"total": "0.63"' in told.stdout, told.stdout + told.stderr


def times(answer: datetime, *, after_s: int) -> dict[str, object]:
    at = answer + timedelta(seconds=after_s)
    return {"event_time": at.isoformat(), "answer_time": answer.isoformat()}
