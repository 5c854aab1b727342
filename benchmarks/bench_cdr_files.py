"""How many CDRs a second are read from each format, into frames that can be rated.

Each file holds the same calls, written as one kind of switch writes them. The floor of our own CSV
and Parquet is Polars reading the file and nothing else; that of the others is what they cannot do
without: `csv`, the JSON decoder or a split over the same lines. Each file is read by a process of
its own, in turn with its floor; memory is the greatest resident set after reading it once.

    python benchmarks/bench_cdr_files.py [--smoke]
"""

import argparse
import csv
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import polars as pl

from ocs.adapters.cdr_files import Options, open_cdrs

BEGIN_S = 1_795_167_000


class Size(msgspec.Struct, frozen=True):
    """CDRs of our own files, CDRs of all others, how often each is read."""

    own: int
    others: int
    rounds: int


CANONICAL = Size(own=1_000_000, others=50_000, rounds=3)
SMOKE = Size(own=2_000, others=100, rounds=1)

ASTERISK = (
    '"acme","4477{0:08}","441632{0:06}","internal","Alice <4477{0:08}>","PJSIP/alice-{0:08x}",'
    '"PJSIP/north-{0:08x}","Dial","PJSIP/441632{0:06}@north","{1}","{1}","{2}",61,61,"ANSWERED",'
    '"DOCUMENTATION","{3}.{0}","","","{3}.{0}",{0}'
)
FREESWITCH = (
    '"Alice","4477{0:08}","441632{0:06}","default","{1}","{1}","{2}","61","61","NORMAL_CLEARING",'
    '"a5c9f6c0-e752-11e3-8bfb-{0:012x}","","acme","PCMA","PCMA"'
)
ACC = (
    "ACC: transaction answered: timestamp={1};method={2};from_tag=a{0};to_tag=b{0};"
    "call_id=c{0}@192.0.2.10;code=200;reason=OK;src_user=4477{0:08};src_ip=192.0.2.10;"
    "dst_user=441632{0:06}"
)
KAMAILIO = (
    "start_time={1}.420; end_time={2}.135; duration=60.715; callid=c{0}@192.0.2.10; "
    "src_user=4477{0:08}; dst_user=441632{0:06}; src_ip=192.0.2.10"
)
CUCM_NAMES = (
    "cdrRecordType,globalCallID_callManagerId,globalCallID_callId,dateTimeOrigination,origIpAddr,"
    "callingPartyNumber,origCause_value,destIpAddr,originalCalledPartyNumber,"
    "finalCalledPartyNumber,destCause_value,dateTimeConnect,dateTimeDisconnect,pkid,duration,"
    "origDeviceName,destDeviceName,globalCallId_ClusterID"
)
CUCM = (
    '1,1,{0},{1},-1139627840,"4477{0:08}",0,84017344,"441632{0:06}","441632{0:06}",16,{1},{2},'
    '"9c1a-{0:08x}",61,"SEP001122334455","north","Cluster"'
)


def write_own(folder: Path, size: Size) -> None:
    number = pl.int_range(size.own, eager=True)
    frame = pl.DataFrame(
        {
            "cdr_id": number.cast(pl.String) + "-7c1e@192.0.2.10",
            "session_id": number.cast(pl.String) + "@192.0.2.10",
            "subscriber": "4477" + (number * 7_919 % 10**8).cast(pl.String).str.zfill(8),
            "calling": "4477" + (number * 7_919 % 10**8).cast(pl.String).str.zfill(8),
            "called": "49171" + (number * 104_729 % 10**7).cast(pl.String).str.zfill(7),
            "start_ms": number * 10 + BEGIN_S * 1_000,
            "answer_ms": number * 10 + BEGIN_S * 1_000 + 7_000,
            "end_ms": number * 10 + BEGIN_S * 1_000 + 68_000,
            "units": number % 600,
        }
    ).with_columns(trunk_in=pl.lit("north"), cause=pl.lit("NORMAL_CLEARING"))
    frame.write_csv(folder / "csv")
    frame.with_columns(attributes=pl.lit('{"codec":"PCMA"}')).write_csv(folder / "csv quoted")
    frame.write_parquet(folder / "parquet")
    frame.head(size.others).write_ndjson(folder / "ndjson")


def freeswitch_document(number: int) -> str:
    variables = {
        "uuid": f"a5c9f6c0-e752-11e3-8bfb-{number:012x}",
        "direction": "inbound",
        "accountcode": "acme",
        "start_uepoch": str(BEGIN_S * 1_000_000),
        "answer_uepoch": str((BEGIN_S + 7) * 1_000_000),
        "end_uepoch": str((BEGIN_S + 68) * 1_000_000),
        "billmsec": "61000",
        "hangup_cause": "NORMAL_CLEARING",
    } | {f"variable_{each}": "a%20value%20of%20the%20channel" for each in range(60)}
    profile = {"caller_id_number": f"4477{number:08}", "destination_number": f"441632{number:06}"}
    return json.dumps(
        {"core-uuid": "x", "variables": variables, "callflow": [{"caller_profile": profile}]}
    )


def portsip_document(number: int) -> str:
    times = {"start_time": "1795167000", "answered_time": "1795167007", "ended_time": "1795167068"}
    target = times | {
        "destination": f"441632{number:06}",
        "status": "answered",
        "talk_duration": "61",
        "trunk_name": "north",
    }
    call = {"event_type": "call_cdr", "session_id": str(number), "call_id": "x", "direction": "out"}
    named = {"tenant_name": "acme", "caller": "101", "call_status": "answered"}
    return json.dumps(call | named | times | {"call_targets": [target]})


def billrun_document(number: int) -> str:
    line = {"stamp": f"{number:032x}", "type": "voice", "usaget": "call", "usagev": 61, "sid": 2001}
    return json.dumps(
        line | {"urt": "2026-11-20T09:30:07+00:00", "src": "101", "dst": f"441632{number:06}"}
    )


def lines_of(form: str, count: int) -> Iterator[str]:
    """Yield the file of a switch, call by call."""
    if form == "cucm":
        yield CUCM_NAMES
        yield ",".join(["INTEGER"] * (CUCM_NAMES.count(",") + 1))
    for number in range(count):
        at_s = BEGIN_S + number
        stamps = (
            time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(each)) for each in (at_s, at_s + 61)
        )
        if form == "asterisk":
            yield ASTERISK.format(number, *stamps, at_s)
        elif form == "freeswitch":
            yield FREESWITCH.format(number, *stamps)
        elif form == "kamailio-acc":
            yield ACC.format(number, at_s, "INVITE")
            yield ACC.format(number, at_s + 61, "BYE")
        elif form in {"kamailio-cdr", "cucm"}:
            yield (KAMAILIO if form == "kamailio-cdr" else CUCM).format(number, at_s, at_s + 61)
        else:
            yield DOCUMENTS[form](number)


DOCUMENTS: dict[str, Callable[[int], str]] = {
    "freeswitch-json": freeswitch_document,
    "portsip": portsip_document,
    "billrun-json": billrun_document,
}
SWITCHES = ("asterisk", "freeswitch", "kamailio-acc", "kamailio-cdr", "cucm", *DOCUMENTS)
LARGE = ("csv", "csv quoted", "parquet")
IN_CSV = {"asterisk", "freeswitch", "cucm"}


def floor_of(form: str, path: Path) -> None:
    """Do what cannot be left out, and nothing else."""
    if form.startswith("csv"):
        pl.read_csv(path, infer_schema=False)
    elif form == "parquet":
        pl.read_parquet(path)
    elif form in IN_CSV:
        with path.open(newline="") as lines:
            for _ in csv.reader(lines):
                pass
    elif form.startswith("kamailio"):
        with path.open() as lines:
            for line in lines:
                line.split(";")
    else:
        with path.open("rb") as documents:
            for document in documents:
                msgspec.json.decode(document)


def read(form: str, path: Path, expected: int) -> None:
    found = 0
    options = Options(zone="Europe/London")
    for batch in open_cdrs(path, form.partition(" ")[0], options):
        found += batch.frame.height
        assert not batch.rejects, batch.rejects[0]
    assert found == expected, (form, found)


def timed(work: Callable[[], None]) -> float:
    began_s = time.perf_counter()
    work()
    return time.perf_counter() - began_s


def play(form: str, path: Path, count: int, rounds: int) -> None:
    """Read a file, and do what cannot be left out, in turn; print seconds of both and peak MB."""
    read(form, path, count)
    status = Path("/proc/self/status").read_text().splitlines()
    (peak_kb,) = (int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    runs, floors = [], []
    for _ in range(rounds):
        runs.append(timed(lambda: read(form, path, count)))
        floors.append(timed(lambda: floor_of(form, path)))
    print(statistics.median(runs), statistics.median(floors), peak_kb / 1_024)


def measure(folder: Path, size: Size) -> None:
    write_own(folder, size)
    for form in SWITCHES:
        text = "\n".join(lines_of(form, size.others))
        (folder / form).write_text(text + "\n", encoding="ascii")
    print(f"{size.own:,} CDRs in CSV and Parquet, {size.others:,} in others; {size.rounds} rounds")
    print(f"{'':<20} {'CDR/s':>12} {'floor':>12} {'to floor':>9} {'peak MB':>9}")
    for form in (*LARGE, "ndjson", *SWITCHES):
        count = size.own if form in LARGE else size.others
        command = [sys.executable, __file__, "--form", form, "--folder", str(folder)]
        command += ["--count", str(count), "--rounds", str(size.rounds)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        took_s, floor_s, peak_mb = map(float, done.stdout.split())
        print(
            f"{form:<20} {count / took_s:>12,.0f} {count / floor_s:>12,.0f}"
            f" {floor_s / took_s:>9.2f} {peak_mb:>9.0f}"
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, or read one file in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="tiny parameters: does it run?")
    parser.add_argument("--form", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.form:
        play(options.form, options.folder / options.form, options.count, options.rounds)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), SMOKE if options.smoke else CANONICAL)
    return 0


if __name__ == "__main__":
    sys.exit(main())
