"""The lock, the wheel and the image agree with the project."""

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Self

import pytest
from packaging.requirements import Requirement

from tests.architecture import tree

DIVIDER = "# --- development"
APART = {"ray"}
"""Extras that a development install has not: 280 MB for one test, which CI installs for it."""


def project() -> dict[str, Any]:
    return tomllib.loads(tree.text(Path("pyproject.toml")))


def locked(part: str) -> dict[str, tuple[str, int]]:
    """Name -> version and number of hashes, of the `runtime` or the `development` part."""
    runtime, divider, development = tree.text(Path("requirements.lock")).partition(DIVIDER)
    assert divider
    chosen = (runtime if part == "runtime" else development).replace("\\\n", " ")
    found = {}
    for line in chosen.splitlines():
        if match := re.match(r"([a-z0-9-]+)==(\S+)(.*)", line):
            found[match[1]] = (match[2], match[3].count("--hash=sha256:"))
    return found


@pytest.mark.parametrize("part", ["runtime", "development"])
def test_the_lock_holds_what_the_project_asks_for(part: str) -> None:
    metadata = project()["project"]
    asked = metadata["dependencies" if part == "runtime" else "optional-dependencies"]
    requirements = [Requirement(each) for each in (asked if part == "runtime" else asked["dev"])]
    have = locked(part)
    unmet = [
        str(each)
        for each in requirements
        if each.name not in have or not each.specifier.contains(have[each.name][0])
    ]
    assert requirements
    assert unmet == []


def test_a_development_install_has_every_extra() -> None:
    """What an extra brings is tested; without it those tests would be skipped everywhere."""
    extras = dict(project()["project"]["optional-dependencies"])
    development = set(extras.pop("dev"))
    assert extras.keys() > APART
    named = {each for name in extras.keys() - APART for each in extras[name]}
    assert named - development == set()


def test_every_locked_package_has_hashes_and_one_place() -> None:
    runtime, development = locked("runtime"), locked("development")
    assert set(runtime) & set(development) == set()
    assert [name for name, (_, hashes) in (runtime | development).items() if not hashes] == []


def test_the_linter_is_pinned_to_the_locked_version() -> None:
    pins = [each for each in project()["project"]["optional-dependencies"]["dev"] if "ruff" in each]
    assert pins == [f"ruff=={locked('development')['ruff'][0]}"]


@pytest.mark.slow
def test_a_wheel_carries_scripts_samples_and_return_codes(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=tree.ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("ocs-*.whl")
    carried = set(zipfile.ZipFile(wheel).namelist())
    scripts = {str(path) for path in tree.files_under("ocs") if path.suffix in {".py", ".lua"}}
    samples = {f"ocs/_data/{path}" for path in tree.files_under("config")}
    assert scripts
    assert samples
    assert (scripts | samples | {"ocs/_data/return_codes.ini"}) - carried == set()
    assert [name for name in carried if not name.startswith(("ocs/", "ocs-"))] == []


def stages() -> list[list[tuple[str, str]]]:
    """The Dockerfile as stages of (instruction, arguments)."""
    joined = re.sub(r"\\\n\s*", "", tree.text(Path("Dockerfile")))
    answer: list[list[tuple[str, str]]] = []
    for line in joined.splitlines():
        if line and not line.startswith("#"):
            instruction, _, arguments = line.strip().partition(" ")
            if instruction == "FROM":
                answer.append([])
            answer[-1].append((instruction, arguments))
    return answer


def test_the_image_runs_unprivileged_with_a_health_check() -> None:
    final = stages()[-1]
    assert len(stages()) > 1
    (user,) = [arguments for name, arguments in final if name == "USER"]
    assert user not in {"root", "0", "0:0"}
    order = [name for name, _ in final]
    assert order.index("USER") < order.index("ENTRYPOINT")
    assert dict(final)["VOLUME"] in dict(final)["CMD"]
    assert "PYTHONOPTIMIZE" not in tree.text(Path("Dockerfile"))


def test_the_health_check_tells_ready_from_not_ready() -> None:
    """The command of the image, run here against an endpoint that changes its mind."""
    check = dict(stages()[-1])["HEALTHCHECK"].partition("CMD ")[2]
    _, *arguments = json.loads(check)
    with _Endpoint() as endpoint:
        environment = {**os.environ, "OCS_SERVER_OPERATIONS_PORT": str(endpoint.server_port)}
        exits = []
        for status in (200, 503):
            endpoint.status = status
            command = [sys.executable, *arguments]
            done = subprocess.run(command, check=False, capture_output=True, env=environment)
            exits.append(done.returncode)
    assert exits == [0, 1]
    assert endpoint.paths == ["/readyz", "/readyz"]


class _Endpoint(HTTPServer):
    """A server on any free port that answers with `status`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.paths: list[str] = []
        self._thread = Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, _Endpoint)
        self.server.paths.append(self.path)
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet: the test says what went wrong."""


def test_the_image_starts_from_official_bases_and_installs_by_hash() -> None:
    for stage in stages():
        assert re.fullmatch(r"python:3\.\d+-slim(?: AS \w+)?", stage[0][1])
        for name, arguments in stage:
            if name == "RUN":
                for install in re.findall(r"pip install [^&]*", arguments):
                    assert "--require-hashes" in install or "--no-index" in install
    assert f"sed '/^{DIVIDER}/,$d' requirements.lock" in tree.text(Path("Dockerfile"))


def test_the_image_copies_only_what_the_build_context_has() -> None:
    admitted = {
        line.removeprefix("!")
        for line in tree.text(Path(".dockerignore")).splitlines()
        if line[:1] == "!"
    }
    copied = {
        source
        for stage in stages()
        for name, arguments in stage
        if name == "COPY" and not arguments.startswith("--from")
        for source in arguments.split()[:-1]
    }
    assert copied == admitted
    assert [source for source in copied if not (tree.ROOT / source).exists()] == []
