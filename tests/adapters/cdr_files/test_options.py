"""Options that cannot be used are refused before anything is read."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("polars", reason="the extra `offline` is not installed")
cdr_files = pytest.importorskip("ocs.adapters.cdr_files")


@pytest.mark.parametrize(
    ("form", "given", "reason"),
    [
        ("asterisk", {"zone": "Europe/Londres"}, "zone: 'Europe/Londres' is not a time zone"),
        ("asterisk", {"extra_column": "note"}, "extra_column: .* uniqueid or userfield"),
        ("asterisk", {"fields": {"units": "x"}}, "fields: 'units' is none of"),
        ("asterisk", {"seconds": "nearest"}, "seconds: "),
        ("asterisk-custom", {"columns": ("src", "src")}, "columns: a name occurs twice"),
        ("freeswitch", {"template": "mine"}, "template: is 'mine', expected one of example"),
        ("kamailio-acc", {"most_open_calls": 0}, "most_open_calls"),
        ("csv", {"fields": {"called": "dst"}}, "fields: our own formats"),
        ("excel", {}, "format: is 'excel', expected one of csv"),
        ("", {}, "format: .* name one"),
    ],
)
def test_a_wrong_option_is_told(
    tmp_path: Path, form: str, given: dict[str, Any], reason: str
) -> None:
    path = tmp_path / "cdrs"
    path.write_bytes(b"a,b,c\n")
    with pytest.raises(cdr_files.CdrOptionError, match=reason):
        cdr_files.open_cdrs(path, form, cdr_files.Options(**given))


def test_a_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        cdr_files.open_cdrs(tmp_path / "gone", "csv")
    with pytest.raises(IsADirectoryError):
        cdr_files.open_cdrs(tmp_path, "csv")


@pytest.mark.parametrize(("extra", "name"), [("uniqueid", "1.42"), ("userfield", "")])
def test_the_seventeenth_column_of_asterisk_is_what_is_told(
    tmp_path: Path, extra: str, name: str
) -> None:
    path = tmp_path / "Master.csv"
    cells = "a,1,2,c,i,PJSIP/a-1,,Dial,x,2026-11-20 09:30:00,,2026-11-20 09:30:01,1,0,BUSY,3,1.42"
    path.write_text(f"{cells}\n{cells},,1.42,7\n", encoding="ascii")
    (batch,) = cdr_files.open_cdrs(path, "asterisk", cdr_files.Options(extra_column=extra))
    assert batch.rejects == ()
    assert batch.frame["session_id"][0].startswith(name)
    assert batch.frame["cdr_id"][0].startswith(name)
    assert ('"userfield":"1.42"' in batch.frame["attributes"][0]) is (extra == "userfield")
    assert batch.frame["session_id"][1] == "1.42"


def test_fields_take_a_column_from_another(tmp_path: Path) -> None:
    path = tmp_path / "cdr.log"
    path.write_text(
        "start_time=1.5; end_time=3; duration=1.5; payer=4711; caller=a; callee=b; aleg=x1;"
        " callid=c1\n",
        encoding="ascii",
    )
    fields = {"subscriber": "payer", "cdr_id": "aleg", "called": "nowhere"}
    (batch,) = cdr_files.open_cdrs(path, "kamailio-cdr", cdr_files.Options(fields=fields))
    assert [reject.column for reject in batch.rejects] == ["nowhere"]
    del fields["called"]
    (batch,) = cdr_files.open_cdrs(path, "kamailio-cdr", cdr_files.Options(fields=fields))
    row = batch.frame.row(0, named=True)
    assert (row["subscriber"], row["cdr_id"], row["units"]) == ("4711", "x1", 2)


def test_trunks_of_asterisk_are_peers_unless_fields_say_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "Master.csv"
    cells = "a,1,2,c,i,PJSIP/a-b-1,SIP/c-2,Dial,x,2026-11-20 09:30:00,,2026-11-20 09:30:01,1,0,BUSY"
    path.write_text(f"{cells},3\n", encoding="ascii")
    for fields, trunks in {
        (): ("a-b", "c"),
        (("trunk_out", "lastdata"),): ("a-b", "x"),
    }.items():
        (batch,) = cdr_files.open_cdrs(path, "asterisk", cdr_files.Options(fields=dict(fields)))
        assert batch.frame.select("trunk_in", "trunk_out").row(0) == trunks


def test_seconds_are_rounded_as_told(tmp_path: Path) -> None:
    path = tmp_path / "cdr.log"
    lines = "".join(
        f"start_time=1; end_time=9; duration={each}; callee=b\n" for each in (2, 2.499, 2.5, 2.715)
    )
    path.write_text(lines, encoding="ascii")
    own = tmp_path / "own.csv"
    rows = "".join(f"{each},b,1,{each}\n" for each in (2_000, 2_499, 2_500, 2_715))
    own.write_text(f"cdr_id,called,start_ms,duration_ms\n{rows}", encoding="ascii")
    for seconds, units in {
        "up": [2, 3, 3, 3],
        "half_up": [2, 2, 3, 3],
        "down": [2, 2, 2, 2],
    }.items():
        options = cdr_files.Options(seconds=cdr_files.Seconds(seconds))
        for file, form in ((path, "kamailio-cdr"), (own, "csv")):
            (batch,) = cdr_files.open_cdrs(file, form, options)
            assert batch.frame["units"].to_list() == units
            assert batch.frame["duration_ms"].to_list() == [2_000, 2_499, 2_500, 2_715]
