"""FreeSWITCH's script under a Lua of its own, with a stand-in for FreeSWITCH and a clock that only
sleeping moves. It shows what the script does; that FreeSWITCH does its part nobody has seen here.
"""

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.service import PATIENCE_S, ROOT

STAND_IN = ROOT / "tests/data/freeswitch/stand_in.lua"
SCRIPT = ROOT / "deploy/freeswitch/ocs.lua"
LUA = next(filter(None, map(shutil.which, ("lua5.2", "lua5.3", "lua5.4"))), None)
pytestmark = pytest.mark.skipif(LUA is None, reason="not installed: lua5.2")

LEG = {
    "uuid": "leg-1",
    "accountcode": "441632960001",
    "caller_id_number": "441632960009",
    "destination_number": "442071234567",
}
NOTED = {"ocs_payer": "441632960001", "ocs_caller": "441632960009", "ocs_called": "442071234567"}
LOST = ""


def granted(units: int, *, final: bool = False, validity: int = 600) -> str:
    final_unit = "true" if final else "false"
    return (
        f"return_name=OK\ngranted_units={units}\nvalidity_time={validity}\n"
        f"final_unit={final_unit}\nsip_code=200\n"
    )


def refused(name: str, sip_code: int) -> str:
    return f"return_name={name}\ngranted_units=0\nsip_code={sip_code}\n"


class Played:
    """What the script did on an errand."""

    def __init__(self, folder: Path, scene: Mapping[str, Any], *errand: str) -> None:
        file = folder / "scene.lua"
        file.write_text(f"return {_lua(scene)}", encoding="utf-8")
        command = [str(LUA), str(STAND_IN), str(file), str(SCRIPT), *errand]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        self.posts = [json.loads(line[5:]) for line in lines if line.startswith("post ")]
        self.deeds = [line for line in lines if not line.startswith("post ")]

    def reports(self) -> list[tuple[str, int, float]]:
        return [
            (post["record_type"], int(post["request_number"]), int(post["billmsec"]) / 1000)
            for post in self.posts
        ]


def _lua(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ",".join(f"[{_lua(name)}]={_lua(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "{" + ",".join(map(_lua, value)) + "}"
    return json.dumps(value)


def test_a_start_that_is_granted_sets_the_watch(tmp_path: Path) -> None:
    scene = {"answers": [granted(300)], "variables": LEG}
    played = Played(tmp_path, scene, "start")
    assert played.posts == [
        {
            "record_type": "start_request",
            "request_number": "0",
            "Unique-ID": "leg-1",
            "accountcode": "441632960001",
            "Caller-Caller-ID-Number": "441632960009",
            "Caller-Destination-Number": "442071234567",
            "event_time": "1795166545.000",
        }
    ]
    assert played.deeds == [
        "set api_hangup_hook lua ocs.lua release",
        "set api_on_answer luarun ocs.lua watch leg-1 300 600 0 false",
    ]


def test_a_start_that_is_refused_gets_the_response_of_the_table(tmp_path: Path) -> None:
    played = Played(tmp_path, {"answers": [refused("NO_CREDIT", 402)], "variables": LEG}, "start")
    assert played.deeds == ["respond 402 Call Refused", "hangup CALL_REJECTED"]


@pytest.mark.parametrize("answer", [LOST, refused("TOO_BUSY", 503), "<html>502</html>"])
def test_a_start_without_an_answer_is_released(tmp_path: Path, answer: str) -> None:
    played = Played(tmp_path, {"answers": [answer, answer], "variables": LEG}, "start")
    assert [post["record_type"] for post in played.posts] == ["start_request", "release_request"]
    kept, *refusal = played.deeds
    assert kept.startswith("keep 'leg-1','{")
    assert refusal == ["respond 503 Charging Unavailable", "hangup CALL_REJECTED"]


def test_quotas_are_asked_for_until_the_last_one_is_used_up(tmp_path: Path) -> None:
    answers = [granted(20), granted(10, final=True)]
    scene = {"answers": answers, "variables": NOTED, "lasts_s": 1000}
    played = Played(tmp_path, scene, "watch", "leg-1", "20", "600", "0", "false")
    # Five seconds before the end of each grant; the last one to its end.
    assert played.reports() == [("update_request", 1, 15), ("update_request", 2, 30)]
    assert played.deeds == ["kill leg-1 ALLOTTED_TIMEOUT"]


def test_validity_and_threshold_bring_it_back_earlier(tmp_path: Path) -> None:
    scene = {"answers": [granted(300, validity=30)], "variables": NOTED, "lasts_s": 200}
    played = Played(tmp_path, scene, "watch", "leg-1", "300", "600", "120", "false")
    assert played.reports()[0] == ("update_request", 1, 180)
    scene = {"answers": [granted(300), LOST], "variables": NOTED, "lasts_s": 200}
    played = Played(tmp_path, scene, "watch", "leg-1", "300", "30", "0", "true")
    assert played.reports() == [("update_request", 1, 25)]


def test_an_update_without_an_answer_goes_out_as_it_was(tmp_path: Path) -> None:
    scene = {"answers": [], "variables": NOTED, "lasts_s": 1000}
    played = Played(tmp_path, scene, "watch", "leg-1", "20", "600", "0", "false")
    assert {json.dumps(post) for post in played.posts} == {json.dumps(played.posts[0])}
    # Every two seconds, for a minute beyond the grant.
    assert len(played.posts) == (20 + 60 - 15) // 2 + 1
    assert played.deeds == ["kill leg-1 ALLOTTED_TIMEOUT"]


def test_a_watch_ends_with_its_leg(tmp_path: Path) -> None:
    scene = {"answers": [granted(20)], "variables": NOTED, "lasts_s": 16}
    played = Played(tmp_path, scene, "watch", "leg-1", "20", "600", "0", "false")
    assert played.reports() == [("update_request", 1, 15)]
    assert played.deeds == []


def test_an_update_that_is_refused_ends_the_call(tmp_path: Path) -> None:
    answers = [refused("SUBSCRIBER_BLOCKED", 403)]
    scene = {"answers": answers, "variables": NOTED, "lasts_s": 1000}
    played = Played(tmp_path, scene, "watch", "leg-1", "20", "600", "0", "false")
    assert played.deeds == ["kill leg-1 ALLOTTED_TIMEOUT"]


def test_the_release_tells_the_total_of_the_leg(tmp_path: Path) -> None:
    ended = {"uuid": "leg-1", "billmsec": "61498", "answer_uepoch": "1795166480123456"}
    scene = {"answers": [granted(0)], "variables": NOTED | ended}
    played = Played(tmp_path, scene, "release")
    assert played.reports() == [("release_request", 1_000_000, 61.498)]
    assert played.posts[0]["answer_time"] == "1795166480.123456"
    assert played.deeds == []


def test_releases_that_wait_are_sent_in_their_order(tmp_path: Path) -> None:
    rows = [{"uuid": f"leg-{n}", "body": f'{{"n":{n}}}'} for n in (1, 2)]
    answers = [LOST, granted(0), granted(0)]
    played = Played(tmp_path, {"answers": answers, "waiting": rows, "sleeps": 4}, "resend")
    assert played.posts == [{"n": 1}, {"n": 1}, {"n": 2}]
    assert played.deeds == ["delete leg-1", "delete leg-2"]
