"""`ocs serve` from outside: real processes, a real store, and what operators do to them."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ocs.adapters.valkey.embedded import EmbeddedStore
from tests.acceptance.service import ROOT, Client, Service, command, run, until, with_own_tariffs

pytestmark = pytest.mark.slow

Start = Callable[..., Service]


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    services: list[Service] = []

    def start_one(*options: str, **environment: str) -> Service:
        options = (*options, *(() if "--port" in options else ("--port", "0")))
        service = Service(folder / "var", *options, **environment)
        services.append(service)
        return service

    yield start_one
    for service in reversed(services):
        service.sweep_away()


# --- The ordinary day -----------------------------------------------------------------------------


def pasted(service: Service) -> list[dict[str, Any]]:
    """Post what it prints, as it is."""
    answers = []
    with service.client() as client:
        for line in re.findall(r"^curl .*$", service.told, re.MULTILINE):
            words = shlex.split(line)
            assert words[2] == f"{service.url}/realtime"
            status, answer = client.post(words[words.index("-d") + 1])
            assert status == 200, answer
            answers.append(answer)
    return answers


def test_what_it_prints_can_be_pasted(start: Start) -> None:
    service = start()
    answers = pasted(service)
    assert [answer["return_name"] for answer in answers] == ["OK"] * 3
    assert [answer["granted_units"] for answer in answers] == [60, 60, 0]
    with Client(service.operations_url) as client:
        status, body = client.get("/readyz")
        assert status == 200
        assert json.loads(body)["ready"] is True
        assert 'ocs_settled_amount_total{currency="EUR"}' in client.get("/metrics")[1]
    assert service.stop() == 0
    assert "Traceback" not in service.log()


def test_the_data_is_there_again_after_a_restart(start: Start) -> None:
    first = start()
    with first.client() as client:
        client.event("start", "call", 0, requested_units=60)
        before = client.event("release", "call", 1, used_units=60)
    assert first.stop() == 0
    second = start()
    with second.client() as client:
        # The same request again is a repeat, and so the same answer; nothing is given twice.
        assert client.event("release", "call", 1, used_units=60) == before
        after = client.event("start", "next", 0, requested_units=60, dry_run=True)
    assert after["balance"]["currency"] == "EUR"
    assert float(before["balance"]["available"]) < 10
    with second.client() as client:
        again = client.event("release", "other", 0, used_units=1)
    assert float(again["balance"]["available"]) < float(before["balance"]["available"])


def test_what_it_prints_can_be_pasted_after_every_start(start: Start) -> None:
    first = start()
    before = pasted(first)
    assert first.stop() == 0
    after = pasted(start())
    assert [answer["granted_units"] for answer in after] == [60, 60, 0]
    assert {answer["session_id"] for answer in after}.isdisjoint(a["session_id"] for a in before)


def test_several_workers_share_the_port(start: Start) -> None:
    service = start("--workers", "2")
    assert len(service.workers()) == 2
    assert service.told.count("operations  http://") == 2
    clients = [service.client() for _ in range(20)]
    for number, client in enumerate(clients):
        client.event("start", f"call-{number}", 0, requested_units=1)
        client.event("release", f"call-{number}", 1, used_units=0)
    served = []
    for url in re.findall(r"operations  (http://[^/]+)", service.told):
        with Client(url) as client:
            metrics = client.get("/metrics")[1]
        served.append(
            sum(map(float, re.findall(r"^ocs_requests_total\{.*\} (\S+)$", metrics, re.MULTILINE)))
        )
    for client in clients:
        client.__exit__(None, None, None)
    assert sum(served) == 40
    assert min(served) > 0


def test_a_store_can_be_named_instead_of_the_embedded_one(
    start: Start, folder: Path, own_server: EmbeddedStore
) -> None:
    service = start(OCS_STORE_URL=own_server.url)
    with service.client() as client:
        answer = client.event("start", "call", 0, requested_units=60)
    assert service.stop() == 0
    assert not (folder / "var/store").exists()
    # It is not ours to stop.
    assert own_server.poll()
    service = start(OCS_STORE_URL=own_server.url)
    with service.client() as client:
        assert client.event("start", "call", 0, requested_units=60) == answer


def test_a_session_whose_client_went_silent_gives_back_what_it_holds(
    start: Start, folder: Path
) -> None:
    config = with_own_tariffs(folder / "config")
    tariff = folder / "config/tariffs/internet.csv"
    header = "prefix,destination,price_1,price_n,interval_1,interval_n"
    tariff.write_text(
        f"# currency = EUR\n# usage_type = data\n# per = 60\n{header}\n*,Internet,0.06,0.06,1,1\n",
        encoding="utf-8",
    )
    text = config.read_text(encoding="utf-8")
    text = text.replace('["a-z"]', '["internet"]').replace("validity_s = 600", "validity_s = 1")
    config.write_text(text, encoding="utf-8")
    service = start("--config", str(config), OCS_LEDGER_SWEEP_PERIOD_S="1")
    data = {"usage_type": "data", "requested_units": 1000}
    with service.client() as client, Client(service.operations_url) as operations:
        granted = client.event("start", "data", 0, **data)
        assert granted["balance"] == {"available": "9.00", "held": "1.00", "currency": "EUR"}
        until(
            lambda: "ocs_reservations_expired_total 1.0" in operations.get("/metrics")[1],
            "the session to expire",
        )
        # It comes back all the same: what it used meanwhile is settled, and it may go on.
        update = client.event("update", "data", 1, used_units=500, **data)
    assert update["cost"]["settled"] == "0.50"
    assert update["balance"] == {"available": "8.50", "held": "1.00", "currency": "EUR"}


# --- What it refuses ------------------------------------------------------------------------------


def test_a_second_one_on_the_port_is_refused(start: Start, folder: Path) -> None:
    service = start()
    second = run("serve", "--dir", str(folder / "other"), "--port", str(service.port))
    assert second.returncode == 1
    assert f"port {service.port}: another `ocs serve` is using it" in second.stderr
    assert not (folder / "other" / "store").exists()


def test_a_port_of_another_program_is_refused(folder: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        second = run("serve", "--dir", str(folder / "var"), "--port", str(port))
    assert second.returncode == 1
    assert f"port {port} on 127.0.0.1 is in use by another program" in second.stderr


def test_a_second_one_on_the_directory_is_refused(start: Start, folder: Path) -> None:
    service = start()
    second = run("serve", "--dir", str(folder / "var"), "--port", "0")
    assert second.returncode == 1
    assert f"another ocs (process {service.process.pid})" in second.stderr
    with service.client() as client:
        client.event("start", "call", 0, requested_units=60)


def test_it_does_not_serve_everybody_without_credentials(folder: Path) -> None:
    refused = run("serve", "--dir", str(folder / "var"), "--port", "0", "--host", "0.0.0.0")  # noqa: S104
    assert refused.returncode == 1
    assert "there is no credential" in refused.stderr
    assert not (folder / "var").exists()


def test_it_serves_everybody_who_has_a_credential(start: Start, folder: Path) -> None:
    config = with_own_tariffs(folder / "config")
    text = config.read_text(encoding="utf-8")
    token_sha256 = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"  # "secret"
    credential = f'\n[[credentials]]\nname = "sbc"\ntoken_sha256 = "{token_sha256}"\n'
    config.write_text(text + credential + 'tenants = ["demo"]\n', encoding="utf-8")
    service = start("--config", str(config), "--host", "0.0.0.0")  # noqa: S104
    with service.client() as client:
        status, answer = client.post("{}")
    assert (status, answer["return_name"]) == (401, "UNAUTHORIZED")
    assert "Authorization: Bearer" in service.told


def test_bad_tariffs_stop_the_start_with_every_line(folder: Path) -> None:
    config = with_own_tariffs(folder / "config")
    tariff = folder / "config/tariffs/bad.csv"
    header = "prefix,destination,price_1,price_n,interval_1,interval_n"
    lines = "44,London,cheap,0.01,1,1\n33,Paris,0.01,-1,1,1\n"
    tariff.write_text(f"# currency = EUR\n{header}\n{lines}", encoding="utf-8")
    options = ("--config", str(config), "--dir", str(folder / "var"), "--port", "0")
    refused = run("serve", *options)
    assert refused.returncode == 1
    assert "the tariffs cannot be used" in refused.stderr
    assert "bad.csv:3: price_1: " in refused.stderr
    assert "bad.csv:4: price_n: " in refused.stderr
    tariff.unlink()
    (folder / "config/tariffs/a-z.csv").rename(folder / "config/tariffs/other.csv")
    refused = run("serve", *options)
    assert refused.returncode == 1
    assert "plan standard: there is no tariff 'a-z'" in refused.stderr


def test_bad_accounts_stop_the_start_with_every_line(folder: Path) -> None:
    config = with_own_tariffs(folder / "config")
    (folder / "config/accounts.csv").write_text(
        "account,currency,kind,floor,balance\na,EUR,prepaid,0,1\nb,XXQ,prepaid,0,1\nc,EUR,x,0,1\n",
        encoding="utf-8",
    )
    (folder / "config/subscribers.csv").write_text(
        "identity,account,plan\n1,a,gold\n", encoding="utf-8"
    )
    refused = run("serve", "--config", str(config), "--dir", str(folder / "var"), "--port", "0")
    assert refused.returncode == 1
    assert "accounts.csv:3: currency: " in refused.stderr
    assert "accounts.csv:4: kind: " in refused.stderr
    assert "subscribers.csv:2: plan: there is no plan 'gold'" in refused.stderr


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"OCS_SERVER_RETURN_CODES": "/nowhere/codes.ini"}, "/nowhere/codes.ini: cannot be read"),
        ({"OCS_PROVISION_ACCOUNTS": "/nowhere/a.csv"}, "/nowhere/a.csv cannot be read"),
        ({"OCS_STORE_BINARY": "/nowhere/valkey"}, "/nowhere/valkey"),
        ({"OCS_STORE_URL": "http://store"}, "store.url: unknown scheme 'http'"),
        ({"OCS_STORE_URL": "unix:///nowhere/store.sock"}, "not connected to the store at unix:///"),
        ({"OCS_SERVER_HOST": "no-such-host.invalid"}, "no-such-host.invalid"),
        ({"OCS_STORE_DIRECTORY": "/proc/nowhere"}, "the data directory /proc/nowhere cannot be"),
    ],
)
def test_what_cannot_be_used_is_named(
    folder: Path, environment: dict[str, str], reason: str
) -> None:
    config = with_own_tariffs(folder / "config")
    refused = run("serve", "--config", str(config), "--port", "0", **environment)
    assert refused.returncode == 1
    assert reason in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_number_of_partitions_never_changes(start: Start, folder: Path) -> None:
    assert start().stop() == 0
    refused = run("serve", "--dir", str(folder / "var"), "--port", "0", OCS_LEDGER_PARTITIONS="128")
    assert refused.returncode == 1
    assert "begun with 256 partitions" in refused.stderr


def test_a_bad_configuration_is_told_whole(folder: Path) -> None:
    config = folder / "ocs.toml"
    config.write_text("[server]\nprot = 1\nport = -1\n", encoding="utf-8")
    refused = run("serve", "--config", str(config))
    assert refused.returncode == 2
    assert "server.prot: unknown option; did you mean port?" in refused.stderr
    assert "server.port: expected int >= 0" in refused.stderr


def test_it_does_not_run_without_assertions() -> None:
    refused = run("serve", PYTHONOPTIMIZE="1")
    assert refused.returncode == 1
    assert "does not run under python -O" in refused.stderr


# --- Signals --------------------------------------------------------------------------------------


def test_what_is_in_hand_is_answered_before_it_ends(start: Start) -> None:
    service = start(OCS_STORE_TIMEOUT_MS="20000", OCS_CHARGING_TIME_LIMIT_MS="20000")
    with service.client() as client, Client(service.operations_url) as operations:
        client.event("start", "call", 0, requested_units=60)
        store = service.store()
        answers: list[dict[str, object]] = []
        os.kill(store, signal.SIGSTOP)
        try:
            asking = threading.Thread(
                target=lambda: answers.append(client.event("release", "call", 1, used_units=60))
            )
            asking.start()
            until(
                lambda: "ocs_requests_in_flight 1.0" in operations.get("/metrics")[1],
                "the request to be in hand",
            )
            service.signal(signal.SIGTERM)
            until(lambda: "draining" in service.log(), "the drain")
            until(lambda: _refuses(service), "the port to be closed")
            assert service.process.poll() is None
        finally:
            os.kill(store, signal.SIGCONT)
        asking.join()
    assert [answer["return_name"] for answer in answers] == ["OK"]
    assert service.end() == 0
    until(lambda: not Path(f"/proc/{store}").exists(), "the store to end")


def _refuses(service: Service) -> bool:
    try:
        socket.create_connection(("127.0.0.1", service.port)).close()
    except ConnectionRefusedError:
        return True
    return False


def test_while_it_drains_it_says_that_it_is_not_ready(start: Start) -> None:
    service = start(OCS_SERVER_DRAIN_DELAY_S="2")
    with service.client() as client, Client(service.operations_url) as operations:
        service.signal(signal.SIGTERM)
        until(lambda: operations.get("/readyz")[0] == 503, "readiness to end")
        # Balancers that have not noticed yet still find somebody.
        client.event("start", "call", 0, requested_units=60)
        with service.client() as another:
            another.event("start", "call-2", 0, requested_units=60)
    assert service.end() == 0


def test_a_second_signal_ends_it_now(start: Start) -> None:
    service = start(OCS_SERVER_DRAIN_DELAY_S="600")
    service.signal(signal.SIGINT)
    until(lambda: "draining" in service.log(), "the drain")
    service.signal(signal.SIGINT)
    assert service.end() == 1


def test_tariffs_are_reloaded_without_a_failed_request(start: Start, folder: Path) -> None:
    config = with_own_tariffs(folder / "config")
    tariff = folder / "config/tariffs/a-z.csv"
    good = tariff.read_text(encoding="utf-8")
    service = start("--config", str(config), "--workers", "2")
    prefix = re.compile(r"^44,.*$", re.MULTILINE)
    assert prefix.search(good)
    stop = threading.Event()
    calls = [_calling(service, stop, worker) for worker in range(4)]
    try:
        tariff.write_text(good + "nonsense\n", encoding="utf-8")
        service.signal(signal.SIGHUP)
        until(lambda: "the former ones go on serving" in service.log(), "the refusal")
        assert "a-z.csv:" in service.log()
        tariff.write_text(_renamed(good, prefix, "Somewhere Else"), encoding="utf-8")
        service.signal(signal.SIGHUP)
        until(lambda: service.log().count("serves tariffs") == 2, "both workers to swap")
    finally:
        stop.set()
        for thread, _ in calls:
            thread.join()
    answers = [answer for _, answers in calls for answer in answers]
    assert answers
    assert {answer["return_name"] for answer in answers} == {"OK"}
    assert {answer["rating"]["destination"] for answer in answers} >= {"United Kingdom"}
    with service.client() as client:
        renamed = client.event("start", "after", 0, requested_units=60)
        assert renamed["rating"]["destination"] == "Somewhere Else"
    os.kill(service.workers()[0], signal.SIGKILL)
    until(lambda: len(service.workers()) == 2, "a new worker")
    for _ in range(10):
        with service.client() as client:
            later = client.event("start", "after", 0, requested_units=60)
        assert later == renamed


def _renamed(text: str, line: re.Pattern[str], name: str) -> str:
    return line.sub(lambda found: found[0].replace("United Kingdom", name), text, count=1)


def _calling(
    service: Service, stop: threading.Event, caller: int
) -> "tuple[threading.Thread, list[dict[str, Any]]]":
    answers: list[dict[str, Any]] = []

    def call() -> None:
        number = 0
        with service.client() as client:
            while not stop.is_set():
                session = f"load-{caller}-{number}"
                answers.append(client.event("start", session, 0, requested_units=60))
                answers.append(client.event("release", session, 1, used_units=0))
                number += 1

    thread = threading.Thread(target=call)
    thread.start()
    return thread, answers


# --- Accidents ------------------------------------------------------------------------------------


def test_a_killed_worker_is_replaced_on_its_port(start: Start) -> None:
    service = start()
    (worker,) = service.workers()
    with service.client() as client:
        client.event("start", "call", 0, requested_units=60)
    os.kill(worker, signal.SIGKILL)
    # The socket is still there: who comes now waits for the successor and is answered.
    with service.client() as client:
        answer = client.event("release", "call", 1, used_units=60)
    assert answer["return_name"] == "OK"
    (successor,) = service.workers()
    assert successor != worker
    assert service.stop() == 0


def test_a_killed_store_is_replaced_and_knows_everything(start: Start) -> None:
    service = start()
    with service.client() as client:
        first = client.event("start", "call", 0, requested_units=60)
        killed = service.store()
        os.kill(killed, signal.SIGKILL)
        until(lambda: service.store() != killed, "a new store")
        with Client(service.operations_url) as operations:
            until(lambda: operations.get("/readyz")[0] == 200, "the new store to serve")
        assert client.event("start", "call", 0, requested_units=60) == first
        assert client.event("release", "call", 1, used_units=60)["return_name"] == "OK"
    assert service.stop() == 0


def test_after_the_parent_is_killed_the_next_start_adopts_the_store(start: Start) -> None:
    first = start()
    store = first.store()
    with first.client() as client:
        before = client.event("start", "call", 0, requested_units=60)
    first.signal(signal.SIGKILL)
    first.process.wait()
    second = start("--port", str(first.port))
    assert "adopted the store process" in second.log()
    assert second.store() == store
    with second.client() as client:
        assert client.event("start", "call", 0, requested_units=60) == before
    assert second.stop() == 0
    until(lambda: not Path(f"/proc/{store}").exists(), "the adopted store to end")


def test_workers_do_not_outlive_a_killed_parent(start: Start) -> None:
    service = start("--workers", "2")
    workers = service.workers()
    service.signal(signal.SIGKILL)
    service.process.wait()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), "their end")


def test_an_end_in_the_middle_of_the_start_leaves_nothing(folder: Path) -> None:
    """Stopped at some moment of its first second, again and again, it starts as if never begun."""
    for wait_s in (0.3, 0.5, 0.7, 0.9):
        service = subprocess.Popen(
            command("serve", "--dir", str(folder / "var"), "--port", "0"),
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        time.sleep(wait_s)
        service.send_signal(signal.SIGTERM)
        service.communicate(timeout=30)
        assert service.returncode in {0, 128 + signal.SIGTERM, -signal.SIGTERM}
    last = Service(folder / "var", "--port", "0")
    try:
        with last.client() as client:
            client.event("start", "call", 0, requested_units=60)
    finally:
        last.sweep_away()
    assert "adopted" not in last.log()
