"""What it costs to understand a client's event, and to answer it in its words, by source.

The events are the recorded ones of `tests/data/sources`, those that are charged: each source is
measured on what its clients send, so the lines differ in what is said as well as in how. Decoding
is bytes to `domain.Event`, encoding an answer with a grant, a cost and a balance to bytes. The
floor is the JSON of the same bodies into plain objects, or for lines and forms their decoding to
text and its splitting: less can nobody do who wants to know what is in them.

A run is short, and runs of all sources take turns: on a machine that others use, the least of many
is what the code takes, and the median what it took then. `to default` compares the least.

    python benchmarks/bench_sources.py [--smoke]
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from ocs.config.sources import read_source
from ocs.domain.events import Event
from ocs.domain.results import ResultCode
from ocs.entrypoints.decoders.judging import DecoderSettings
from ocs.entrypoints.dialects import DEFAULT_SOURCE, Decoded, Dialect, Origin
from ocs.entrypoints.return_codes import load_return_codes, return_codes_path
from ocs.entrypoints.sources.dialects import Writing, make_dialects
from ocs.usecases.answer import Answer, ServiceAnswer
from ocs.usecases.ports import RatingInfo

ROOT = Path(__file__).parents[1]
RECORDED = ROOT / "tests" / "data" / "sources"
ORIGIN = Origin(1_795_166_545_000, "demo", frozenset({"demo"}))
CANONICAL_EVENT = (
    b'{"record_type":"update_request","session_id":"call-1","request_number":1,'
    b'"subscriber":"441632960001","called_number":"442071234567","used_units":60,'
    b'"requested_units":60}'
)


CANONICAL_RUNS = 300
SMOKE_RUNS = 1
LEAST_OF_A_RUN = 40
"""Events: by then the caches hold what a source needs."""

Work = Callable[[], object]


class Bench(msgspec.Struct):
    """The works of one source, each on all of its events, and how long each run of each took.

    `distinct` events there are; `events` is how many a run has of them.
    """

    source: str
    distinct: int
    events: int
    size: float
    works: tuple[Work, Work, Work]
    taken: tuple[list[float], list[float], list[float]]

    def run(self) -> None:
        for work, taken in zip(self.works, self.taken, strict=True):
            began_s = time.perf_counter()
            work()
            taken.append((time.perf_counter() - began_s) / self.events * 1e6)


def recorded(source: str) -> list[bytes]:
    """Return the bodies of a source that are one event to charge."""
    if source == DEFAULT_SOURCE:
        return [CANONICAL_EVENT]
    bodies = [
        step["request"]["body"]
        for path in sorted((RECORDED / source).glob("*.json"))
        for step in json.loads(path.read_text(encoding="utf-8"))["steps"]
        if "event" in step and not isinstance(step["request"]["body"], list)
    ]
    texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies if body]
    return [text.encode() for text in texts]


def granted(event: Event) -> Answer:
    services = tuple(
        ServiceAnswer(
            rating_group=service.rating_group,
            code=ResultCode.OK,
            granted_units=60,
            validity_s=600,
            quota_threshold_units=0,
            final_unit=False,
            settled_units=service.used_units,
            settled_amount=60_000,
            total_amount=120_000,
            rating=RatingInfo("a-z", "44", "United Kingdom", "interval"),
        )
        for service in event.services
    )
    return Answer(
        code=ResultCode.OK,
        session_id=event.session_id,
        request_number=event.request_number,
        transaction_id="007-1795166545000-0",
        session_ref="demo/441632960001/441632960001/call-1",
        services=services,
        currency="EUR",
        available_amount=9_940_000,
        held_amount=60_000,
    )


def plain(body: bytes) -> object:
    if body.startswith(b"{"):
        return msgspec.json.decode(body)
    return [field.partition("=") for field in body.decode().replace("\n", "&").split("&")]


def bench_of(dialect: Dialect) -> Bench:
    bodies = recorded(dialect.source)
    assert bodies, f"no recorded event of {dialect.source}"
    distinct = len(bodies)
    bodies *= -(-LEAST_OF_A_RUN // distinct)
    decode, write = dialect.decoder.decode, dialect.encoder.write
    answers: list[tuple[Answer, Decoded]] = []
    for body in bodies:
        decoded = decode(body, ORIGIN)
        assert isinstance(decoded.outcome, Event), decoded
        answers.append((granted(decoded.outcome), decoded))

    def read_plainly() -> None:
        for body in bodies:
            plain(body)

    def decode_all() -> None:
        for body in bodies:
            decode(body, ORIGIN)

    def encode_all() -> None:
        for answer, decoded in answers:
            write(answer, decoded)

    works = (read_plainly, decode_all, encode_all)
    size = statistics.mean(map(len, bodies))
    return Bench(dialect.source, distinct, len(bodies), size, works, ([], [], []))


def show(benches: Sequence[Bench]) -> None:
    least_of_default = min(next(b for b in benches if b.source == DEFAULT_SOURCE).taken[1])
    print(
        f"{'source':<14}{'events':>7}{'bytes':>6}{'floor':>14}{'decode':>14}{'encode':>14}", end=""
    )
    print(f"{'to floor':>10}{'to default':>11}")
    for bench in benches:
        cells = "".join(
            f"{f'{min(taken):.1f} / {statistics.median(taken):.1f}':>14}" for taken in bench.taken
        )
        floor, decode = (min(taken) for taken in bench.taken[:2])
        ratios = f"{decode / floor:>10.1f}{decode / least_of_default:>11.1f}"
        print(f"{bench.source:<14}{bench.distinct:>7}{bench.size:>6.0f}{cells}{ratios}")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--smoke", action="store_true")
    runs = SMOKE_RUNS if parser.parse_args(argv).smoke else CANONICAL_RUNS
    sources = [read_source(path) for path in sorted((ROOT / "config" / "sources").glob("*.toml"))]
    writing = Writing(load_return_codes(return_codes_path()))
    benches = [
        bench_of(each) for each in make_dialects(sources, DecoderSettings(), writing).values()
    ]
    for _ in range(runs):
        for bench in benches:
            bench.run()
    load = os.getloadavg()[0]
    print(f"µs an event, least / median of {runs} runs, one core, load {load:.1f}")
    show(benches)
    return 0


if __name__ == "__main__":
    sys.exit(main())
