"""How many finished CDRs a second are rated by columns: from a file into a file, and in memory.

CDRs of one day over the sample A-Z tariff are read, rated and written by Polars' streaming engine,
all columns of the CDR and of its price, in a process of its own. The floor is the same process
without rating: it reads the rated file and writes it again, so its columns are the same. Memory is
the greatest resident set of each. `in memory` is the rater alone, on frames that lie there already.

    python benchmarks/bench_columns.py [--smoke]
"""

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import polars as pl

from ocs.adapters import columns
from ocs.adapters.columns import PRICES, ColumnRater
from ocs.adapters.tariff_files import build, open_current
from ocs.domain.plan import Plan
from ocs.domain.tariff import plan_tariffs

TARIFFS = Path(__file__).parents[1] / "config/tariffs"
CDRS = {name: kind for name, kind in columns.CDRS.items() if name != "answered"}
DAY_MS = 86_400_000
MORNING_MS = 1_789_776_000_000  # 2026-09-19 00:00 UTC
BATCH = 200_000


class Size(msgspec.Struct, frozen=True):
    """How many CDRs there are, how many different numbers in them, how often each is measured."""

    cdrs: int
    numbers: int
    rounds: int


CANONICAL = Size(cdrs=5_000_000, numbers=500_000, rounds=5)
SMOKE = Size(cdrs=20_000, numbers=2_000, rounds=1)


def write_cdrs(folder: Path, size: Size) -> None:
    """Write the CDRs as CSV and as Parquet; three in four numbers are called again and again."""
    chance = random.Random(size.cdrs)
    lines = (TARIFFS / "a-z.csv").read_text().splitlines()
    prefixes = [line.partition(",")[0] for line in lines if line[:1].isdigit()]
    numbers = [
        f"{prefix}{chance.randrange(10**7):07}"
        for prefix in chance.choices(prefixes, k=size.numbers)
    ]
    seconds = [int(chance.expovariate(1 / 180)) for _ in range(10_000)]

    def some(name: str, values: Sequence[object], seed: int) -> pl.Series:
        return pl.Series(name, values).sample(size.cdrs, with_replacement=True, seed=seed)

    frame = pl.DataFrame(
        [
            some("tenant", ["demo"], 0),
            some("plan", ["retail"], 0),
            some("usage_type", ["voice"], 0),
            some("called", numbers, 1),
            some("caller", numbers[:1_000], 2),
            some("trunk", ["", "north"], 3),
            some("answer_ms", range(MORNING_MS, MORNING_MS + DAY_MS, 1_000), 4).sort(),
            some("units", seconds, 5),
        ]
    )
    frame.write_csv(folder / "cdrs.csv")
    frame.write_parquet(folder / "cdrs.parquet")
    build(TARIFFS, folder / "compiled")


def rater_of(folder: Path) -> ColumnRater:
    plan = Plan(name="retail", tariffs=plan_tariffs("a-z"))
    return ColumnRater(open_current(folder / "compiled"), {"retail": plan}, {})


def rate_file(folder: Path, source: str) -> None:
    """Rate a file into a file, batch by batch."""
    path, rater = folder / source, rater_of(folder)
    cdrs = pl.scan_csv(path, schema=CDRS) if path.suffix == ".csv" else pl.scan_parquet(path)
    rated = cdrs.map_batches(
        lambda frame: frame.hstack(rater.rate(frame)), streamable=True, schema={**CDRS, **PRICES}
    )
    rated.sink_parquet(folder / "rated.parquet")


def rate_in_memory(rater: ColumnRater, frame: pl.DataFrame) -> None:
    for batch in frame.iter_slices(BATCH):
        rater.rate(batch)


def work_of(role: str, folder: Path) -> Callable[[], object]:
    """Return one of the things that are measured, ready to begin."""
    if role == "floor":
        return lambda: pl.scan_parquet(folder / "rated.parquet").sink_parquet(folder / "again")
    if role == "memory":
        rater, frame = rater_of(folder), pl.read_parquet(folder / "cdrs.parquet")
        return lambda: rate_in_memory(rater, frame)
    return lambda: rate_file(folder, role)


def play_role(role: str, folder: Path) -> None:
    """Do one of the things that are measured; print seconds, CPU seconds and peak memory in MB."""
    pl.Config.set_streaming_chunk_size(BATCH)
    work = work_of(role, folder)
    began_s, cpu_s = time.perf_counter(), time.process_time()
    work()
    took_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    status = Path("/proc/self/status").read_text().splitlines()
    (peak_kb,) = (int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    print(took_s, cpu_s, peak_kb / 1_024)


def in_a_process(role: str, folder: Path) -> list[float]:
    command = [sys.executable, __file__, "--role", role, "--folder", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [float(figure) for figure in done.stdout.split()]


def measure(folder: Path, size: Size) -> None:
    write_cdrs(folder, size)
    roles = {
        "CSV to Parquet": "cdrs.csv",
        "Parquet to Parquet": "cdrs.parquet",
        "the floor: Parquet, not rated": "floor",
        "in memory": "memory",
    }
    runs: dict[str, list[list[float]]] = {name: [] for name in roles}
    for _ in range(size.rounds):
        for name, role in roles.items():
            runs[name].append(in_a_process(role, folder))
    found = {
        name: [statistics.median(each) for each in zip(*run, strict=True)]
        for name, run in runs.items()
    }
    floor_s = found["the floor: Parquet, not rated"][0]
    print(f"{size.cdrs:,} CDRs, {size.numbers:,} numbers; medians of {size.rounds}")
    print(f"{'':<30} {'M CDR/s':>9} {'to floor':>9} {'CPU us/CDR':>11} {'peak MB':>9}")
    for name, (took_s, cpu_s, peak_mb) in found.items():
        rate = size.cdrs / took_s / 1e6
        per_cdr_us = cpu_s / size.cdrs * 1e6
        print(
            f"{name:<30} {rate:>9.2f} {floor_s / took_s:>9.2f} {per_cdr_us:>11.2f} {peak_mb:>9.0f}"
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, or play one of the roles that are measured in a process of their own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="tiny parameters: does it run?")
    parser.add_argument("--role", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.role:
        play_role(options.role, options.folder)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), SMOKE if options.smoke else CANONICAL)
    return 0


if __name__ == "__main__":
    sys.exit(main())
