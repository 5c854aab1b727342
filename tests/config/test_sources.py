"""Files of event sources: what is read, and that all that is wrong is told with its line."""

import shutil
from pathlib import Path

import pytest

from ocs.config.reader import ConfigurationError, read_settings
from ocs.config.settings import Settings
from ocs.config.sources import read_source, read_sources, source_files
from ocs.entrypoints.sources.source import Answering, Defaults, Identity, Reports, Source

ROOT = Path(__file__).parents[2]
GOOD = """# A client.
about = "a client"
inside = ["event", "data.event"]

[fields]
session_id = "call"
request_number = ["seq", "n"]
"services[].rating_group" = "mscc[].rg"

[values]
usage_type = { 1 = "voice" }
[values."services[].used[].when"]
0 = "before"

[constants]
usage_type = "data"
answered = true

[[identify]]
field = "uri"
pattern = "sip:([^@]+)"

[[identify]]
field = "imsi"
kind = "text"

[rated]
data = ["rating_group"]

[defaults.voice]
quota_units = 60

[reports]
used = "total"

[answer]
form = "mapped"
[answer.fields]
code = "return_code"
"""


def write(folder: Path, text: str, name: str = "sbc.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_is_a_source(tmp_path: Path) -> None:
    assert read_source(write(tmp_path, GOOD)) == Source(
        name="sbc",
        about="a client",
        inside=("event", "data.event"),
        fields={
            "session_id": "call",
            "request_number": ("seq", "n"),
            "services[].rating_group": "mscc[].rg",
        },
        values={"usage_type": {"1": "voice"}, "services[].used[].when": {"0": "before"}},
        constants={"usage_type": "data", "answered": True},
        identify=(Identity("uri", pattern="sip:([^@]+)"), Identity("imsi", "text")),
        rated={"data": ("rating_group",)},
        defaults={"voice": Defaults(quota_units=60)},
        reports=Reports(used="total"),
        answer=Answering(form="mapped", fields={"code": "return_code"}),
    )


BAD = [
    ("no about", 'about = "a client"', "", (0, "about"), "is missing"),
    ("an unknown key", "[fields]", "file = 1\n[fields]", (5, "file"), "unknown key"),
    ("a key that is nearly known", "inside = [", "insid = [", (3, "insid"), "did you mean inside?"),
    ("a wrong name", "about =", 'name = "other"\nabout =', (2, "name"), "is its file's"),
    ("a wrong type", 'session_id = "call"', "session_id = 5", (6, "fields.session_id"), "expected"),
    ("an unknown field", "session_id =", "session =", (6, "fields.session"), "no such canonical field"),
    ("an unknown field of a service", ".rating_group", ".group", (8, "fields.services[].group"), "no such"),
    ("a list for a field", '"call"', '"calls[].id"', (6, "fields.session_id"), "no lists"),
    ("a list in a list", '"mscc[].rg"', '"mscc[].x[].rg"', (8, "fields.services[].rating_group"), "1 lists"),
    ("an unknown word", '1 = "voice"', '1 = "call-in"', (11, "values.usage_type.1"), "none of"),
    ("a constant as a word", '1 = "voice"', '"*" = "voice"', (11, "values.usage_type"), "constant"),
    ("a bad constant", 'usage_type = "data"', 'usage_type = "fax"', (16, "constants.usage_type"), "none of"),
    ("a constant of no field", "answered =", "answer =", (17, "constants.answer"), "no such"),
    ("a constant of the wrong kind", "answered = true", 'answered = "x"', (17, "constants.answered"), "expected bool"),
    ("no pattern", '"sip:([^@]+)"', '"sip:("', (21, "identify[1].pattern"), "no regular expression"),
    ("a pattern without a group", '"sip:([^@]+)"', '"sip"', (21, "identify[1].pattern"), "one group"),
    ("an unknown kind", '"text"', '"name"', (25, "identify[2].kind"), "invalid enum value"),
    ("an identity without a field", 'field = "imsi"', "", (23, "identify[2].field"), "is missing"),
    ("an unknown usage type", "data = [", "fax = [", (28, "rated.fax"), "expected one of"),
    ("an unknown thing to rate", '["rating_group"]', '["apn"]', (28, "rated.data"), "expected some of"),
    ("terms of no usage type", "[defaults.voice]", "[defaults.call]", (30, "defaults.call"), "expected one of"),
    ("terms that differ", "quota_units = 60", "quota_units = 60\nmaximum_units = 50", (31, "defaults.voice.quota_units"), "above maximum"),
    ("negative terms", "quota_units = 60", "quota_units = -1", (31, "defaults.voice.quota_units"), "expected int >= 0"),
    ("a table that is none", '[reports]\nused = "total"', "reports = 5", (33, "defaults.voice.reports"), "unknown key"),
    ("deltas at the release", 'used = "total"', 'settle = "at release"', (34, "reports.settle"), "as a total"),
    ("an unknown value in answers", '"return_code"', '"returncode"', (39, "answer.fields.code"), "no value"),
    ("answers without fields", 'code = "return_code"', "", (38, "answer.fields"), "would be empty"),
    ("names of the canonical form", 'form = "mapped"', 'form = "canonical"', (38, "answer.fields"), "only of form"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "place", "reason"), [case[1:] for case in BAD], ids=[case[0] for case in BAD]
)
def test_what_is_wrong_is_told_with_its_line(
    tmp_path: Path, old: str, new: str, place: tuple[int, str], reason: str
) -> None:
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(ConfigurationError) as told:
        read_source(path)

    (problem,) = told.value.problems
    assert (problem.line, problem.key) == place
    assert problem.file == str(path)
    assert reason in problem.reason


def test_all_that_is_wrong_is_told_together(tmp_path: Path) -> None:
    text = GOOD.replace("about", "abut").replace("quota_units", "quota").replace('"text"', "5")
    with pytest.raises(ConfigurationError) as told:
        read_source(write(tmp_path, text))

    assert [problem.key for problem in told.value.problems] == [
        "about",
        "abut",
        "identify[2].kind",
        "defaults.voice.quota",
    ]


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("reports = 5", "reports"),
        ("identify = 5", "identify"),
        ("identify = [5]", "identify[1]"),
        ("fields = 5", "fields"),
        ("values.usage_type = 5", "values.usage_type"),
        ("fields.tenant_key = 5", "fields.tenant_key"),
        ("defaults = { voice = 5 }", "defaults.voice"),
    ],
)
def test_a_table_that_is_none(tmp_path: Path, line: str, key: str) -> None:
    with pytest.raises(ConfigurationError) as told:
        read_source(write(tmp_path, f'about = "x"\n{line}\n'))

    (problem,) = told.value.problems
    assert (problem.line, problem.key) == (2, key)
    assert problem.reason.startswith("expected")


@pytest.mark.parametrize("name", ["a b.toml", ".toml", "é.toml"])
def test_a_name_is_one_that_a_client_can_write(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="letters, digits"):
        read_source(write(tmp_path, GOOD, name))


@pytest.mark.parametrize("text", ["about = ", b"\xff"])
def test_a_file_that_is_no_toml(tmp_path: Path, text: str | bytes) -> None:
    path = tmp_path / "sbc.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigurationError, match="is not TOML"):
        read_source(path)
    path.unlink()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_source(path)


@pytest.mark.parametrize(
    ("more", "tells"),
    [
        ("", False),
        ('request_number = "seq"', True),
        ('event_time = "at"', True),
        ('event_id = "id"', True),
        ("request_number = []", False),
        ('[reports]\nused = "total"', True),
        ('[reports]\nused = "total"\nsettle = "at release"', False),
        ("[constants]\nrequest_number = 0", True),
    ],
)
def test_a_source_tells_a_repeat_or_is_not_loaded(tmp_path: Path, more: str, tells: bool) -> None:
    path = write(tmp_path, f'about = "x"\n[fields]\nsession_id = "call"\n{more}\n')
    if tells:
        assert read_source(path).fields["session_id"] == "call"
        return
    with pytest.raises(ConfigurationError, match="charged twice"):
        read_source(path)


@pytest.mark.parametrize(
    "text", ['about = "x"', 'about = "x"\nformat = "diameter"\nfields.imsi = "i"']
)
def test_a_source_of_canonical_names_tells_repeats_by_them(tmp_path: Path, text: str) -> None:
    assert read_source(write(tmp_path, text)).about == "x"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    return tmp_path / "config" / "ocs.toml"


def settings_of(config: Path, folder: str = "sources") -> Settings:
    return read_settings(config, {"OCS_SOURCES_FOLDER": folder})


def test_what_ocs_comes_with_is_good(config: Path) -> None:
    names = {source.name for source in read_sources(settings_of(config))}

    assert names == {path.stem for path in (ROOT / "config" / "sources").glob("*.toml")}
    assert {"default", "classic", "kamailio", "kv"} <= names


def test_the_operators_file_takes_the_place_of_a_shipped_one(config: Path) -> None:
    folder = config.parent / "mine"
    folder.mkdir()
    write(folder, 'about = "mine"', "classic.toml")
    write(folder, 'about = "another"', "own.toml")
    write(folder, "no source", "notes.txt")
    sources = {source.name: source for source in read_sources(settings_of(config, "mine"))}

    assert sources["classic"].about == "mine"
    assert sources["own"].about == "another"
    assert "kamailio" in sources


def test_the_folder_need_not_be_there_unless_it_is_named(config: Path) -> None:
    shutil.rmtree(config.parent / "sources")

    assert "default" in source_files(settings_of(config))
    with pytest.raises(ConfigurationError, match=r"sources\.folder: cannot be read"):
        read_sources(settings_of(config, "elsewhere"))


def test_problems_of_all_files_are_told_with_tenants_that_are_not_there(config: Path) -> None:
    folder = config.parent / "sources"
    write(folder, "about = 5", "a.toml")
    write(folder, "about = 6", "b.toml")
    tenants = 'about = "x"\n[fields]\nevent_time = "t"\ntenant_key = "k"\n[tenants]\nx = "nobody"'
    write(folder, tenants, "c.toml")
    write(folder, tenants.partition("[tenants]")[0], "d.toml")
    with pytest.raises(ConfigurationError) as told:
        read_sources(settings_of(config))

    places = [(Path(problem.file).name, problem.key) for problem in told.value.problems]
    assert places == [
        ("a.toml", "about"),
        ("b.toml", "about"),
        ("d.toml", "fields.tenant_key"),
        ("c.toml", "tenants.x"),
    ]
