"""`ocs offline run --intake`: whose CDRs these are is said by the folder, and by nothing in them."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from ocs.adapters.cdr_intake import CDRS, IntakeFolder
from ocs.usecases.posted_cdrs import Posted
from tests.cli.test_offline_debits import Desk, desk
from tests.cli.test_offline_intake import LIMITS, Switch, names, switch, take_in

__all__ = ["desk", "switch"]
ACME = """
[[tenants]]
name = "acme"
country_code = "44"
"""
BOM = b"\xef\xbb\xbf"


@pytest.fixture(autouse=True)
def acme(desk: Desk) -> None:
    """Let there be a tenant `acme` with an account `post` of its own."""
    desk.config.write_text(desk.config.read_text(encoding="utf-8") + ACME, encoding="utf-8")
    place = ("--tenant", "acme", "--config", str(desk.config))
    terms = ("--currency", "EUR", "--kind", "postpaid", "--floor", "-1", "--settled-by", "cdr")
    desk.terminal.run("account", "create", "post", *terms, *place)
    subscriber = ("--account", "post", "--plan", "standard")
    desk.terminal.run("subscriber", "create", "post", *subscriber, *place)


def test_the_same_cdr_of_two_tenants_or_switches_is_rated_for_each(switch: Switch) -> None:
    for tenant in ("demo", "acme"):
        for name in ("", "pbx1"):
            take_in(switch.folder, switch.cdr(1), tenant=tenant, switch=name)
    summary = switch.rate()
    assert summary["settled"] == {"debited": 4}
    of_tenants = sorted((each["tenant"], each["cdrs"]) for each in summary["debited"])
    assert of_tenants == [("acme", 2), ("demo", 2)]
    assert names(switch.folder / CDRS) == []


def bodies(switch: Switch) -> dict[str, tuple[str, bytes]]:
    """Ways to write that a CDR is of acme."""
    own, foreign = switch.cdr(1), json.dumps(json.loads(switch.cdr(2)) | {"tenant": "acme"})
    text = foreign.encode()
    row = f"acme,x,post,4930123456,{switch.desk.at_ms - 60_000},60".encode()
    reject = {"is": "reject", "file": "a", "line": 1, "column": "", "reason": "", "code": ""}
    reading = b'{"is":"reading","format":"ndjson","options":{"tenant":"acme"}}'
    return {
        "beside its own": ("ndjson", own + b"\n" + text),
        "where nobody can read it": ("ndjson", BOM + text + b"\n" + own),
        "twice": ("ndjson", own[:-1] + b',"tenant":"acme","tenant":"demo"}'),
        "in a column": ("csv", BOM + b"tenant,cdr_id,subscriber,called,answer_ms,units\n" + row),
        "as a reject": (
            "asterisk",
            reading + b"\n" + json.dumps(reject | {"text": foreign}).encode(),
        ),
    }


@pytest.mark.parametrize(
    "way",
    ["beside its own", "where nobody can read it", "twice", "in a column", "as a reject"],
)
def test_nobody_posts_for_another_tenant(switch: Switch, way: str) -> None:
    form, body = bodies(switch)[way]
    intake = IntakeFolder(switch.folder, "0", LIMITS)
    told: dict[str, Any] = {"tenant": "demo", "switch": ""}
    intake.keep([Posted(body=body, format=form, **told)])
    intake.close()
    with contextlib.suppress(AssertionError):  # of the exit code
        switch.rate()
    assert not [*rows_of("acme", switch.desk.folder / "out")]


def rows_of(tenant: str, out: Path) -> list[Path]:
    return sorted(out.glob(f"tenant={tenant}/day=*/*.parquet"))
