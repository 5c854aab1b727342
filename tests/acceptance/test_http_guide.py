"""The examples of docs/clients/http.md work as they are printed, one after the other."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.acceptance.service import PATIENCE_S, ROOT, Service

pytestmark = pytest.mark.slow

GUIDE = (ROOT / "docs/clients/http.md").read_text(encoding="utf-8")
PRINTED = "127.0.0.1:8080"


def examples(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    one = Service(tmp_path_factory.mktemp("guide") / "var", "--port", "0")
    try:
        yield one
    finally:
        one.sweep_away()


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    return done.stdout


def test_the_shell_examples(service: Service) -> None:
    address = service.url.removeprefix("http://")
    said = [run("sh", "-c", example.replace(PRINTED, address)) for example in examples("sh")]
    *single, array, lines = said
    start, update, release, event = map(json.loads, single)
    assert [start["granted_units"], update["granted_units"]] == [60, 60]
    assert {each["return_name"] for each in (start, update, release, event)} == {"OK"}
    assert (release["cost"]["total"], event["cost"]["total"]) == ("0.02292", "0.0191")
    assert [each["return_name"] for each in json.loads(array)] == ["OK", "OK"]
    assert "granted_units" in lines


def test_the_client_in_python(service: Service, tmp_path: Path) -> None:
    (client,) = examples("python")
    script = tmp_path / "client.py"
    host_and_port = f'Ocs("127.0.0.1", {service.port})'
    script.write_text(client.replace('Ocs("127.0.0.1", 8080)', host_and_port), encoding="utf-8")
    assert run(sys.executable, str(script)).splitlines() == [
        "may talk for 300 seconds",
        "paid 0.01337 EUR",
    ]
    assert len(client.splitlines()) < 45


class Unsteady(BaseHTTPRequestHandler):
    """Too busy first, then gone before it answers, then there."""

    protocol_version = "HTTP/1.1"
    asked: list[bytes]

    def do_POST(self) -> None:
        self.asked.append(self.rfile.read(int(self.headers["Content-Length"])))
        if len(self.asked) == 2:
            self.close_connection = True
            return
        answer = b'{"return_name":"OK","granted_units":0}'
        self.send_response(503 if len(self.asked) == 1 else 200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_the_client_in_python_sends_the_same_bytes_again(tmp_path: Path) -> None:
    Unsteady.asked = []
    with HTTPServer(("127.0.0.1", 0), Unsteady) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (client,) = examples("python")
        script = tmp_path / "client.py"
        where = f'Ocs("127.0.0.1", {server.server_port})'
        script.write_text(client.replace('Ocs("127.0.0.1", 8080)', where), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, str(script)], capture_output=True, text=True, check=False
        )
        server.shutdown()
    assert done.stderr == "refused: OK\n"
    assert len(Unsteady.asked) == 3
    assert len(set(Unsteady.asked)) == 1
