"""How long an event waits for its answer when the service is half as busy as it can be.

The peak is what a closed loop over 64 connections gets (see bench_realtime.py, whose servers, cores
and events these are). Then events come at random times, at half of that rate, over the same number
of connections, whether or not the service keeps up: an open loop, so a pause of the service is felt
by all that fall due in it. The time of each counts from when it was due, in milliseconds.

The floor is aiohttp that returns the body it got, at the same rate. Runs alternate, medians count.

    python benchmarks/bench_latency.py [--smoke]
"""

import argparse
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

import uvloop

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # run by path, the script's own folder is there instead

from benchmarks.bench_realtime import (  # noqa: E402
    HOST,
    Processes,
    Sessions,
    echo_server,
    ocs_server,
    run,
    warm_up,
)
from benchmarks.load_client import run_paced  # noqa: E402

CONNECTIONS = 64


@dataclass(frozen=True)
class Size:
    sessions: int
    """Of three events each, in one run over all connections."""
    rounds: int
    warming_s: float


CANONICAL = Size(sessions=18_000, rounds=5, warming_s=10)
SMOKE = Size(sessions=128, rounds=1, warming_s=0)
Percentiles = tuple[float, float, float]
"""p50, p90, p99 in ms."""


def latencies(port: int, requests: list[list[bytes]], rate: float, seed: int) -> Percentiles:
    load = uvloop.run(run_paced(HOST, port, requests, rate, seed))
    if load.refused or set(load.statuses) != {200}:
        raise SystemExit(f"not all were granted: {dict(load.statuses)}, refused {load.refused}")
    cuts = statistics.quantiles(load.latencies_s, n=100)
    return cuts[49] * 1_000, cuts[89] * 1_000, cuts[98] * 1_000


def measure(size: Size) -> None:
    sessions = Sessions()
    with ocs_server() as charged, echo_server("echo") as echo:
        targets: dict[str, tuple[int, Processes]] = {"ocs": charged, "echo": echo}
        warm_up(*charged, sessions, size.warming_s, CONNECTIONS)
        peaks = [
            run(*charged, sessions.single(size.sessions, CONNECTIONS)).events_per_s
            for _ in range(size.rounds)
        ]
        rate = statistics.median(peaks) / 2
        found: dict[str, list[Percentiles]] = {name: [] for name in targets}
        for seed in range(size.rounds):
            for name, (port, _) in targets.items():
                requests = sessions.single(size.sessions, CONNECTIONS)
                found[name].append(latencies(port, requests, rate, seed))
    print(f"latency_rate {rate:.0f} events/s")
    for number, name in enumerate(("p50", "p90", "p99")):
        ocs, floor = (statistics.median(run[number] for run in found[target]) for target in targets)
        print(f"latency_{name} {ocs:.1f} ms {floor:.1f} ms {ocs / floor:.1f}")


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes: does it run at all?")
    options = parser.parse_args(argv)
    measure(SMOKE if options.smoke else CANONICAL)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
