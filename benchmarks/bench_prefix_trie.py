"""How fast numbers find their prefix among a million, and what loading the million costs.

Look-ups run on a generation mapped from its file, as in a worker; their floor is one binary search
over the same array, by a point known beforehand. `rates` are the whole way from a plan's tariffs to
a `Rate`: on busy destinations it is kept, where all differ it is mostly built anew.

Loading is `build`: CSV in, compiled generation out, in a process of its own; its floor is
`csv.reader` over the same file, no row looked at. Memory is the greatest resident set of the
builder, and a worker's after its look-ups, file pages included; their floor is the interpreter with
the same modules.

All of it is measured with the prefixes in one tariff, and again with the same prefixes spread over
many: a carrier has one price list for each of its customers.

    python benchmarks/bench_prefix_trie.py [--smoke]
"""

import argparse
import csv
import random
import statistics
import subprocess
import sys
import tempfile
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ocs.adapters.tariff_files import build, open_current
from ocs.domain.tariff import Used, plan_tariffs


class Size(msgspec.Struct, frozen=True):
    """How many prefixes lie in how many tariffs, how many numbers are looked up, how often each."""

    prefixes: int
    tariffs: int
    numbers: int
    rounds: int


CANONICAL = (
    Size(prefixes=1_000_000, tariffs=1, numbers=200_000, rounds=5),
    Size(prefixes=1_000_000, tariffs=200, numbers=200_000, rounds=3),
)
SMOKE = tuple(Size(prefixes=2_000, tariffs=tariffs, numbers=2_000, rounds=1) for tariffs in (1, 5))


def write_decks(folder: Path, size: Size) -> list[str]:
    """Write decks in random order; return numbers, nine of ten of which the first has."""
    chance = random.Random(size.prefixes)
    prefixes: set[str] = set()
    while len(prefixes) < size.prefixes:
        prefixes.add(str(chance.randrange(10**4, 10 ** chance.randint(5, 9))))
    ordered = sorted(prefixes)
    chance.shuffle(ordered)
    folder.mkdir(parents=True)
    for place in range(size.tariffs):
        write_deck(folder / f"{name_of(place)}.csv", ordered[place :: size.tariffs], chance)
    known = ordered[:: size.tariffs]
    numbers = [
        chance.choice(known) + str(chance.randrange(10**4))
        if chance.random() < 0.9
        else "0123456789"
        for _ in range(size.numbers)
    ]
    return [number.ljust(11, "7") for number in numbers]


def name_of(place: int) -> str:
    return f"bench-{place:03d}"


def write_deck(path: Path, prefixes: Sequence[str], chance: random.Random) -> None:
    with path.open("w") as file:
        file.write("# currency = EUR\n")
        file.write("prefix,destination,price_1,price_n,interval_1,interval_n,connect_fee\n")
        for prefix in prefixes:
            price = f"0.{chance.randrange(100, 1_000):04d}"
            interval = chance.choice((1, 6, 60))
            file.write(f"{prefix},Destination {prefix[:3]},{price},{price},60,{interval},0\n")


def rate_of(call: Callable[[Any], object], arguments: Sequence[object], rounds: int) -> float:
    """Return calls a second, the median of some rounds."""
    rates = []
    for _ in range(rounds):
        began_s = time.perf_counter()
        for argument in arguments:
            call(argument)
        rates.append(len(arguments) / (time.perf_counter() - began_s))
    return statistics.median(rates)


def resident_mb(peak: bool) -> float:
    """Return this process's resident memory, now or at its greatest."""
    key = "VmHWM:" if peak else "VmRSS:"
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024


def in_a_process(role: str, folder: Path, size: Size) -> list[float]:
    """Run one of the roles below in a fresh interpreter; return the figures that it prints."""
    command = [sys.executable, __file__, "--role", role, "--folder", str(folder)]
    command += ["--numbers", str(size.numbers)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [float(figure) for figure in done.stdout.split()]


def play_role(role: str, folder: Path, count: int) -> None:
    """Be the builder, a worker, or neither, and print seconds and memory."""
    began_s = time.perf_counter()
    if role == "builder":
        build(folder / "tariffs", folder / "compiled")
    elif role == "worker":
        generation = open_current(folder / "compiled")
        chance = random.Random(count)
        plan = plan_tariffs(name_of(0))
        for _ in range(count):
            generation.find(plan, Used(str(chance.randrange(10**8, 10**10)), "voice", 0))
    print(time.perf_counter() - began_s, resident_mb(peak=role == "builder"))


def csv_only_s(folder: Path) -> float:
    began_s = time.perf_counter()
    for path in folder.glob("*.csv"):
        with path.open(newline="") as file:
            for _ in csv.reader(file):
                pass
    return time.perf_counter() - began_s


def report(name: str, figure: float, floor: float) -> None:
    print(f"{name:<34} {figure:>12.3f} {floor:>12.3f} {figure / floor:>8.2f}")


def measure(folder: Path, size: Size) -> None:
    numbers = write_decks(folder / "tariffs", size)
    runs = []
    for _ in range(size.rounds):
        for old in (folder / "compiled").glob("gen-*"):
            old.unlink()
        runs.append(in_a_process("builder", folder, size))
    load_s = statistics.median(run[0] for run in runs)
    csv_s = statistics.median(csv_only_s(folder / "tariffs") for _ in range(size.rounds))
    bare_mb = in_a_process("none", folder, size)[1]
    worker_mb = in_a_process("worker", folder, size)[1]
    (compiled,) = (folder / "compiled").glob("gen-*")

    generation = open_current(folder / "compiled")
    trie = generation.decks[0].trie
    points = [int(number.ljust(18, "0")) for number in numbers]
    floor = rate_of(lambda point: bisect_right(trie.starts, point), points, size.rounds)
    found = rate_of(trie.longest, numbers, size.rounds)
    plan = plan_tariffs(name_of(0))
    uses = [Used(number, "voice", 0) for number in numbers]
    busy = uses[: size.numbers // 100] * 100
    kept = rate_of(lambda used: generation.find(plan, used), busy, size.rounds)
    first = rate_of(lambda used: generation.find(plan, used), uses, size.rounds)
    print(f"\n{size.prefixes:,} prefixes in {size.tariffs} tariff(s)")
    print(f"{'figure':<34} {'measured':>12} {'floor':>12} {'ratio':>8}")
    report("prefix look-ups, M/s", found / 1e6, floor / 1e6)
    report("rates, busy destinations, M/s", kept / 1e6, floor / 1e6)
    report("rates, all different, M/s", first / 1e6, floor / 1e6)
    report("load from CSV, s", load_s, csv_s)
    report("builder peak memory, MB", max(run[1] for run in runs), bare_mb)
    report("worker memory, MB", worker_mb, bare_mb)
    # The shortest possible: a prefix as a number of 8 bytes.
    report("compiled, bytes a prefix", compiled.stat().st_size / size.prefixes, 8)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, or play one of the roles that are measured in a process of their own."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--role", choices=("builder", "worker", "none"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--numbers", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.role is not None:
        play_role(options.role, options.folder, options.numbers)
        return 0
    for size in SMOKE if options.smoke else CANONICAL:
        with tempfile.TemporaryDirectory(prefix="ocs-bench-") as name:
            measure(Path(name), size)
    return 0


if __name__ == "__main__":
    sys.exit(main())
