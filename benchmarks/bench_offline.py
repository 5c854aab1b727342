"""How many CDRs a second `ocs offline run` rates, from CSV into Parquet, and beside a bare copy.

CDRs of one day over the sample A-Z tariff and 400 subscribers lie in two files. They are rated by
one process, and by two that share the files; each is the command itself, with its start and the
compilation of the tariffs. Its modules are compiled before, as those of an installed package are;
`run` is the rate without the start, as the command tells it. The floor is a process that copies the
same CSV into Parquet by Polars' streaming engine: the columns as they are, nothing checked, hashed
or looked up. Memory is the greatest resident set of a process; the files are made by one of their
own, as what is begun by a large process counts as large.

    python benchmarks/bench_offline.py [--smoke]
"""

import argparse
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import msgspec

CONFIG = Path(__file__).parents[1] / "config"
DAY_MS = 86_400_000
MORNING_MS = 1_789_776_000_000  # 2026-09-19 00:00 UTC
FILES = 2
COPY = "import sys, polars; polars.scan_csv(sys.argv[1]).sink_parquet(sys.argv[2])"
MB = 1_024  # kB, as getrusage counts
COMPILED = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


class Size(msgspec.Struct, frozen=True):
    """How many CDRs there are, how many different numbers in them, how often each is measured."""

    cdrs: int
    numbers: int
    rounds: int


class Run(msgspec.Struct, frozen=True):
    """Seconds, those that the command itself told, of CPU; a process's greatest resident set."""

    took_s: float
    told_s: float
    cpu_s: float
    peak_mb: float


CANONICAL = Size(cdrs=5_000_000, numbers=500_000, rounds=3)
SMOKE = Size(cdrs=20_000, numbers=2_000, rounds=1)


def paths_in(folder: Path) -> list[Path]:
    return [folder / f"{number}.csv" for number in range(FILES)]


def write_cdrs(folder: Path, size: Size) -> None:
    """Write CDRs in the order of their answers, as a switch does; the day is cut in two files."""
    import polars as pl  # noqa: PLC0415 -- only in the process that writes

    chance = random.Random(size.cdrs)
    lines = (CONFIG / "tariffs" / "a-z.csv").read_text().splitlines()
    prefixes = [line.partition(",")[0] for line in lines if line[:1].isdigit()]
    numbers = [
        f"{prefix}{chance.randrange(10**7):07}"
        for prefix in chance.choices(prefixes, k=size.numbers)
    ]
    people = [line.partition(",")[0] for line in (CONFIG / "subscribers.csv").open()][1:]
    seconds = [1 + int(chance.expovariate(1 / 180)) for _ in range(10_000)]

    def some(name: str, values: Sequence[object], seed: int) -> pl.Series:
        return pl.Series(name, values).sample(size.cdrs, with_replacement=True, seed=seed)

    frame = pl.DataFrame(
        [
            some("subscriber", people, 0),
            some("called", numbers, 1),
            some("trunk_in", ["", "north"], 2),
            some("answer_ms", range(MORNING_MS, MORNING_MS + DAY_MS, 1_000), 3).sort(),
            some("units", seconds, 4),
        ]
    ).with_row_index("n")
    frame = frame.select(
        pl.concat_str(pl.lit("8c5f0b1e-"), pl.col("n")).alias("cdr_id"),
        "subscriber",
        pl.col("subscriber").alias("calling"),
        "called",
        "trunk_in",
        start_ms=pl.col("answer_ms") - 9_000,
        answer_ms="answer_ms",
        end_ms=pl.col("answer_ms") + pl.col("units") * 1_000,
        units="units",
    )
    for path, part in zip(paths_in(folder), frame.iter_slices(-(-size.cdrs // FILES)), strict=True):
        part.write_csv(path)


def rating(folder: Path, *paths: Path) -> list[str]:
    out = tempfile.mkdtemp(dir=folder)
    given = [option for path in paths for option in ("--in", str(path))]
    people = ["--subscribers", str(CONFIG / "subscribers.csv")]
    command = [sys.executable, "-m", "ocs", "offline", "run", *given, "--out", out, *people]
    return [*command, "--config", str(CONFIG / "ocs.toml"), "--json"]


def copying(folder: Path, path: Path) -> list[str]:
    return [sys.executable, "-c", COPY, str(path), str(folder / f"{path.stem}.parquet")]


def measured(commands: Sequence[list[str]]) -> Run:
    """Run them side by side.

    The blocked numbers of the sample tariff are rejects, so a run that did its work ends with 1.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began_s = time.perf_counter()
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, env=COMPILED) for command in commands
    ]
    peak_kb, told_s = 0, 0.0
    for process in running:
        assert process.stdout is not None
        told = process.stdout.read()
        told_s = max(told_s, msgspec.json.decode(told)["seconds"] if told else 0.0)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        is_done = msgspec.json.decode(told)["rated_now"] if told else not process.returncode
        assert is_done, process.args
        peak_kb = max(peak_kb, usage.ru_maxrss)
    took_s = time.perf_counter() - began_s
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(took_s, told_s, cpu_s, peak_kb / MB)


def measure(folder: Path, size: Size) -> None:
    figures = ",".join(map(str, msgspec.structs.astuple(size)))
    command = [sys.executable, __file__, "--write", str(folder), "--size", figures]
    subprocess.run(command, check=True)
    paths = paths_in(folder)
    COMPILED["PYTHONPYCACHEPREFIX"] = str(folder / "compiled")
    head = folder / "head.csv"
    with paths[0].open("rb") as stream:
        head.write_bytes(b"".join(islice(stream, 3)))
    measured([rating(folder, head)])
    ways: dict[str, Callable[[], list[list[str]]]] = {
        "rated, 1 process": lambda: [rating(folder, *paths)],
        "rated, 2 processes": lambda: [rating(folder, path) for path in paths],
        "the floor: a bare copy": lambda: [copying(folder, path) for path in paths],
    }
    runs: dict[str, list[Run]] = {name: [] for name in ways}
    for _ in range(size.rounds):
        for name, commands in ways.items():
            runs[name].append(measured(commands()))
    medians = {
        name: [
            statistics.median(each) for each in zip(*map(msgspec.structs.astuple, run), strict=True)
        ]
        for name, run in runs.items()
    }
    floor_s = medians["the floor: a bare copy"][0]
    load = os.getloadavg()[0]
    print(f"{size.cdrs:,} CDRs in {FILES} files; medians of {size.rounds}; load {load:.1f}")
    heads = f"{'M CDR/s':>9} {'run':>6} {'to floor':>9} {'CPU us/CDR':>11} {'peak MB':>9}"
    print(f"{'':<24} {heads}")
    for name, (took_s, told_s, cpu_s, peak_mb) in medians.items():
        rate, run = size.cdrs / took_s / 1e6, size.cdrs / (told_s or took_s) / 1e6
        cpu_us, to_floor = cpu_s / size.cdrs * 1e6, floor_s / took_s
        print(
            f"{name:<24} {rate:>9.2f} {run:>6.2f} {to_floor:>9.2f} {cpu_us:>11.2f} {peak_mb:>9.0f}"
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, or write the files that are measured with."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="tiny parameters: does it run?")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--size", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.write:
        write_cdrs(options.write, Size(*map(int, options.size.split(","))))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), SMOKE if options.smoke else CANONICAL)
    return 0


if __name__ == "__main__":
    sys.exit(main())
