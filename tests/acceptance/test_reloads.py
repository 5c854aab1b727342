"""A hundred new price lists in the middle of the traffic: nobody notices but for the price.

Two lists take turns, one of an even and one of an odd generation, with every kind of row that a
swap could trip over (peak hours, tiers, dates, blocked and free). Clients call all the while.
What they are answered is what they are answered without a reload, each call is priced by one list
from its start to its end, and the books are right afterwards.
"""

import signal
import threading
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.service import Service, run, until, with_own_tariffs

pytestmark = pytest.mark.slow

RELOADS = 100
SECONDS = 90
"""A minute and a half of the lists' 60/60: two minutes."""
PAUSE_S = 0.005
LISTS = (("0.00006", "Even"), ("0.00009", "Odd"))
HEAD = """\
# currency = EUR
# usage_type = voice
# model = interval
# timing.peak = mon-fri 08:00-18:00
prefix,destination,price_1,price_n,interval_1,interval_n,timing,valid_from,blocked
"""


def price_list(price: str, name: str) -> str:
    rows = [
        f"44,{name},{price},{price},60,60,,,",
        "49,Germany,0.50,0.50,60,60,peak,,",
        "49,Germany,0.10,0.10,60,60,,,",
        "33,France,0.10,0.10,1,1,,2099-01-01,",
        "90,Nowhere,,,,,,,yes",
    ]
    return HEAD + "\n".join(rows) + "\n"


class Caller(threading.Thread):
    """Calls one after the other; keeps status, name, cost and rating of each answer."""

    def __init__(self, service: Service, name: str) -> None:
        super().__init__(name=name)
        self.calls: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self.statuses: set[tuple[int, str]] = set()
        self._service = service
        self._stop_asked = threading.Event()

    def run(self) -> None:
        with self._service.client() as client:
            # Some hundred calls a second: the builders are to have a part of the machine too.
            while not self._stop_asked.wait(PAUSE_S):
                session = f"{self.name}-{len(self.calls)}"
                started = client.event("start", session, 0, requested_units=SECONDS)
                ended = client.event("release", session, 1, used_units=SECONDS)
                self.statuses |= {(200, started["return_name"]), (200, ended["return_name"])}
                self.calls.append((started, ended))

    def end(self) -> None:
        self._stop_asked.set()
        self.join()


def _has_swapped(service: Service, times: int) -> bool:
    return service.log().count("serves tariffs") >= times


def test_a_hundred_reloads_under_load(folder: Path) -> None:
    config = with_own_tariffs(folder / "config")
    tariff = config.parent / "tariffs/a-z.csv"
    tariff.write_text(price_list(*LISTS[0]), encoding="utf-8")
    service = Service(folder / "var", "--port", "0", "--config", str(config))
    try:
        undisturbed = Caller(service, "before")
        undisturbed.start()
        until(lambda: len(undisturbed.calls) >= RELOADS, "calls without a reload")
        undisturbed.end()
        callers = [Caller(service, f"during-{number}") for number in range(2)]
        for caller in callers:
            caller.start()
        try:
            for number in range(1, RELOADS + 1):
                tariff.write_text(price_list(*LISTS[number % 2]), encoding="utf-8")
                service.signal(signal.SIGHUP)
                until(partial(_has_swapped, service, number), "the swap")
        finally:
            for caller in callers:
                caller.end()
        assert {status for caller in callers for status in caller.statuses} == undisturbed.statuses
        calls = [call for caller in callers for call in caller.calls]
        assert {started["rating"]["destination"] for started, _ in calls} == {"Even", "Odd"}
        prices = {name: 2 * Decimal(price) for price, name in LISTS}
        for started, ended in calls:
            assert Decimal(ended["cost"]["total"]) == prices[started["rating"]["destination"]]
        verified = run("verify", "--dir", str(folder / "var"), "--config", str(config))
        assert verified.returncode == 0, verified.stdout + verified.stderr
        assert service.stop() == 0
    finally:
        service.sweep_away()
