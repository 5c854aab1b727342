"""The tariff builder: a process that compiles the tariffs, holds the plans against them, and ends.

Reading a million prefixes takes seconds and a gigabyte for a moment. In a process of its own it
holds up no request, its memory is given back whole, and a file that crashes it crashes nothing
else.

    parent ── settings (stdin) ──► builder ── a report (its standard output, a file) ──► parent
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from ocs.adapters.tariff_files import BadLine, BadTariffsError, build, check_folder, open_generation
from ocs.bootstrap.processes import python_command, python_environment
from ocs.bootstrap.stores import tariffs_directory
from ocs.config.settings import Settings
from ocs.domain.generation import Generation
from ocs.domain.plan_check import check_plan
from ocs.entrypoints.supervisor import Rebuilt

MOST_PROBLEMS: Final = 1_000
"""Told of one build; a file with more has one mistake in all its lines."""


class TariffBuilder:
    """A builder at work; `result` or `wait` until it is done."""

    def __init__(self, settings: Settings) -> None:
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 -- open as long as the builder works
        self._process = subprocess.Popen(
            python_command(__name__),
            stdin=subprocess.PIPE,
            stdout=self._output,
            env=python_environment(),
            process_group=0,
        )
        assert self._process.stdin is not None
        with self._process.stdin as stdin:
            stdin.write(msgspec.json.encode(settings))

    def result(self) -> Rebuilt | None:
        """Return what was made, None while it works."""
        return None if self._process.poll() is None else self._report()

    def wait(self) -> Rebuilt:
        self._process.wait()
        return self._report()

    def stop(self) -> None:
        """End it in the middle of its work, which leaves the former generation in force."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._output.close()

    def _report(self) -> Rebuilt:
        self._output.seek(0)
        written = self._output.read()
        self._output.close()
        try:
            return msgspec.json.decode(written, type=Rebuilt)
        except msgspec.DecodeError:
            code = self._process.returncode
            return Rebuilt("", "", (f"the tariff builder ended with {code}",))


def build_tariffs(settings: Settings) -> Rebuilt:
    """Compile the folder and make it current, if every line is good and every plan fits."""
    folder, out = Path(settings.rating.tariffs), tariffs_directory(settings)
    plans = [plan.plan() for plan in settings.plans]
    try:
        # Not published yet: a generation that no plan can use must not become the current one.
        checked = check_folder(folder, plans) if out.exists() else None
        if checked is not None and not checked.is_good:
            return _refused([*map(told, checked.bad_lines), *checked.plan_faults])
        path = build(folder, out)
        generation = open_generation(path)
    except BadTariffsError as error:
        return _refused([told(line) for line in error.bad_lines])
    except (OSError, ValueError) as error:
        return _refused([str(error)])
    faults = [fault for plan in plans for fault in check_plan(plan, generation)]
    return _refused(faults) if faults else Rebuilt(str(path), summary(generation))


def told(line: BadLine) -> str:
    """Write a bad line for people."""
    place = f"{line.file}:{line.line}" if line.line else line.file
    return f"{place}: {line.column}: {line.reason}" if line.column else f"{place}: {line.reason}"


def summary(generation: Generation) -> str:
    tariffs = ", ".join(
        f"{tariff.name} ({tariff.rates} {tariff.usage_type} rates, {tariff.currency})"
        for tariff in generation.tariffs
    )
    return f"{generation.id}: {tariffs}"


def _refused(problems: list[str]) -> Rebuilt:
    shown = problems[:MOST_PROBLEMS]
    if len(problems) > len(shown):
        shown.append(f"... and {len(problems) - len(shown)} more")
    return Rebuilt("", "", tuple(shown))


def _main() -> None:
    settings = msgspec.json.decode(sys.stdin.buffer.read(), type=Settings)
    sys.stdout.buffer.write(msgspec.json.encode(build_tariffs(settings)))


if __name__ == "__main__":
    _main()
