"""`ocs serve` as somebody would start it, and a client that speaks to it.

Each service has a directory of its own and ports that the kernel chooses. Whatever a test does to
its processes, nothing is left when the test is over.
"""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from email.message import Message
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "config/ocs.toml"
PATIENCE_S = 30.0
SUBSCRIBER = "441632960001"
LONDON = "442071234567"

_URL = re.compile(r"ocs serves (http://\S+)/realtime")
_OPERATIONS = re.compile(r"^  operations  (http://\S+)/metrics", re.MULTILINE)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "ocs", *arguments]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        command(*arguments),
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def until(condition: Callable[[], object], what: str) -> None:
    """Look again and again: what is waited for happens in another process."""
    give_up_at_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at_s, f"waited in vain for {what}"
        time.sleep(0.01)


def store_of(directory: Path) -> int:
    """Find the process of the embedded store, the last one that was started."""
    with (directory / "store" / "store.log").open(encoding="utf-8") as log:
        found = re.findall(r"^(\d+):M", log.read(), re.MULTILINE)
    return int(found[-1])


class Client:
    """One keep-alive connection."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        self._connection = http.client.HTTPConnection(
            parts.hostname, parts.port, timeout=PATIENCE_S
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def get(self, path: str) -> tuple[int, str]:
        self._connection.request("GET", path)
        response = self._connection.getresponse()
        return response.status, response.read().decode()

    def post(self, body: str) -> tuple[int, dict[str, Any]]:
        status, _, answer = self.exchange(body.encode())
        return status, answer

    def exchange(self, body: bytes) -> tuple[int, Message, Any]:
        """Send a body; give status, headers and answer."""
        self._connection.request("POST", "/realtime", body, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        return response.status, response.headers, json.loads(response.read())

    def send(
        self, path: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, Message, bytes]:
        """Send any bytes anywhere; give status, headers and the bytes of the answer."""
        self._connection.request("POST", path, body, dict(headers))
        response = self._connection.getresponse()
        return response.status, response.headers, response.read()

    def event(self, kind: str, session: str, number: int, **fields: object) -> dict[str, Any]:
        """Send an event of the sample subscriber to London; it must be answered with 200."""
        event = {
            "record_type": f"{kind}_request",
            "session_id": session,
            "request_number": number,
            "subscriber": SUBSCRIBER,
            "called_number": LONDON,
            **fields,
        }
        status, answer = self.post(json.dumps(event))
        assert status == 200, answer
        return answer


class Service:
    """A running `ocs serve`."""

    def __init__(self, directory: Path, *options: str, **environment: str) -> None:
        self.directory = directory
        self._log = (directory.parent / "serve.log").open("ab")
        self.process = subprocess.Popen(
            command("serve", "--dir", str(directory), *options),
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            # Not in the group of the test run, whose Ctrl-C is not meant for it.
            process_group=0,
        )
        try:
            self.told = self._read_until_ready()
        except BaseException:
            self.sweep_away()
            raise
        self.url = self._found(_URL)
        self.operations_url = self._found(_OPERATIONS)

    def _read_until_ready(self) -> str:
        told = ""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            told += line
            if line.startswith("Ctrl-C"):
                return told
        raise AssertionError(f"ended at its start:\n{told}\n{self.log()}")

    def _found(self, pattern: re.Pattern[str]) -> str:
        found = pattern.search(self.told)
        assert found, self.told
        return found[1]

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port is not None
        return port

    def log(self) -> str:
        return (self.directory.parent / "serve.log").read_text(encoding="utf-8")

    def client(self) -> Client:
        return Client(self.url)

    def workers(self) -> list[int]:
        """Processes of the workers, in the order of their start."""
        return [pid for pid, line in self._children() if "ocs.bootstrap.worker" in line]

    def drainer(self) -> int | None:
        """Process of the journal's drainer; None between its death and its next start."""
        return next(
            (pid for pid, line in self._children() if "ocs.bootstrap.drainer" in line), None
        )

    def store(self) -> int:
        return store_of(self.directory)

    def _children(self) -> Iterator[tuple[int, str]]:
        tasks = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        for pid in tasks.read_text(encoding="ascii").split():
            with contextlib.suppress(OSError):
                line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
                yield int(pid), line.decode()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait for its end; the exit code."""
        code = self.process.wait(PATIENCE_S)
        self._close()
        return code

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.end()

    def _close(self) -> None:
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()

    def sweep_away(self) -> None:
        """End whatever is still there, of this service and of its store."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(PATIENCE_S)
        if self.process.poll() is None:
            for pid in self.workers():
                os.kill(pid, signal.SIGKILL)
            self.process.kill()
            self.process.wait()
        with contextlib.suppress(OSError, IndexError):
            os.kill(self.store(), signal.SIGKILL)
        self._close()


def with_own_tariffs(folder: Path) -> Path:
    """Copy the sample configuration, to be changed; the file to serve with."""
    shutil.copytree(SAMPLE.parent, folder)
    return folder / SAMPLE.name
