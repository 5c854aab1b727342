"""What the configuration may say, and that all of what is wrong with it is told at once."""

from fractions import Fraction
from pathlib import Path

import msgspec
import pytest

from ocs.config.reader import ConfigurationError, read_settings
from ocs.config.settings import Durability, Settings
from ocs.domain.numbers import clean_number, emergency_number
from ocs.domain.tariff import PlanTariff

LEAST = """
[[tenants]]
name = "demo"
[[plans]]
name = "standard"
tariffs = ["a-z"]
"""

CREDENTIAL = f"""
[[credentials]]
name = "sbc"
token_sha256 = "{"0f" * 32}"
tenants = ["demo"]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "ocs.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(folder: Path, text: str, environment: dict[str, str] | None = None) -> list[str]:
    path = written(folder, text)
    with pytest.raises(ConfigurationError) as caught:
        read_settings(path, environment or {})
    return [line.removeprefix(f"{path}") for line in str(caught.value).splitlines()]


def test_what_is_not_written_has_its_default(tmp_path: Path) -> None:
    settings = read_settings(written(tmp_path, LEAST), {})
    assert settings.server.port == 8080
    assert settings.store.durability is Durability.LOCAL
    assert settings.plans[0].plan().quota_units["data"] == 10_485_760
    assert settings.tenants[0].rules().international_prefix == "00"
    assert settings.credentials == ()


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    written(folder, LEAST + '[provision]\naccounts = "some/accounts.csv"\n')
    monkeypatch.chdir(tmp_path)
    settings = read_settings(Path("etc/ocs.toml"), {})
    assert settings.provision.accounts == str(folder / "some/accounts.csv")
    assert settings.rating.tariffs == str(folder / "tariffs")
    assert settings.store.directory == str(tmp_path / "var")
    assert settings.store.binary == ""
    assert settings.file == str(folder / "ocs.toml")


def test_settings_travel_as_json(tmp_path: Path) -> None:
    settings = read_settings(written(tmp_path, LEAST + CREDENTIAL), {})
    assert msgspec.json.decode(msgspec.json.encode(settings), type=Settings) == settings


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    environment = {
        "OCS_SERVER_PORT": "9000",
        "OCS_STORE_URL": "redis://store:6379",
        "OCS_LEDGER_MAX_SESSIONS": "7",
        "OCS_STORE_DURABILITY": "relaxed",
        "OCS_READY_URL": "http://somewhere else's",
        "SERVER_PORT": "1",
    }
    settings = read_settings(written(tmp_path, LEAST + "[server]\nport = 8000\n"), environment)
    assert settings.server.port == 9000
    assert settings.store.url == "redis://store:6379"
    assert settings.ledger.max_sessions == 7
    assert settings.store.durability is Durability.RELAXED


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[server]\nprot = 1", ":8: server.prot: unknown option; did you mean port?"),
        ("[serve]\nport = 1", ":7: serve: unknown section; did you mean server?"),
        ('[server]\nport = "8080"', ":8: server.port: expected int, got str"),
        ("[server]\nport = 65536", ":8: server.port: expected int <= 65535"),
        ("[server]\nworkers = true", ":8: server.workers: expected int, got bool"),
        ('[store]\ndurability = "local "', ":8: store.durability: invalid enum value 'local '"),
        ('[logs]\nlevel = "loud"', ":8: logs.level: invalid enum value 'loud'"),
        ("[[server]]\nport = 1", ":7: server: expected a section [server]"),
        ('[[tenants]]\nname = "demo"', ":8: tenants[2].name: 'demo' is there twice"),
        ("[[tenants]]\n", ":7: tenants[2].name: is missing"),
        (
            '[charging]\ndefault_tenant = "nobody"',
            ":8: charging.default_tenant: there is no tenant 'nobody'; known are demo",
        ),
        (
            "[store]\ntimeout_ms = 50\nreplica_timeout_ms = 50",
            ":9: store.replica_timeout_ms: must be less than timeout_ms",
        ),
        ("[store]\nshed_percent = 101", ":8: store.shed_percent: expected int <= 100"),
        ("[store]\nshed_starts_percent = 0", ":8: store.shed_starts_percent: expected int >= 1"),
        (
            "[store]\nshed_starts_percent = 86",
            ":8: store.shed_starts_percent: must not be greater than shed_percent",
        ),
        (
            '[[plans]]\nname = "p"\ntariffs = ["t"]\nquota_units = { voice = 4000 }',
            (
                ":7: plans[2]: plan p: voice units must satisfy"
                " 1 <= minimum 1 <= quota 4000 <= maximum 3600"
            ),
        ),
        (
            CREDENTIAL.replace('"demo"', '"demo", "other"'),
            ":10: credentials.tenants: there is no tenant 'other'; known are demo",
        ),
        (
            CREDENTIAL + 'networks = ["10.0.0.1/8"]',
            ":11: credentials.networks: 10.0.0.1/8 has host bits set",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, expected: str) -> None:
    assert problems(tmp_path, LEAST.strip() + "\n\n" + text.lstrip()) == [expected]


def test_starts_and_the_rest_may_be_shed_from_one_threshold_on(tmp_path: Path) -> None:
    for percent in (1, 60, 100):
        text = f"[store]\nshed_starts_percent = {percent}\nshed_percent = {percent}\n"
        store = read_settings(written(tmp_path, LEAST + text), {}).store
        assert store.shed_starts_percent == store.shed_percent == percent


def test_a_token_is_a_hash_and_never_repeated_in_a_message(tmp_path: Path) -> None:
    secret = "a-token-in-clear-that-somebody-pasted"
    text = LEAST + CREDENTIAL.replace("0f" * 32, secret)
    told = problems(tmp_path, text)
    assert len(told) == 1
    assert "credentials.token_sha256" in told[0]
    assert secret not in told[0]


def test_all_is_told_at_once(tmp_path: Path) -> None:
    text = "[server]\nprot = 1\nport = -1\n[ledger]\npartitions = 0\n[[plans]]\nname = 'p'\n"
    told = problems(tmp_path, text, {"OCS_SERVER_WORKERS": "many", "OCS_LEDGER_PARTITION": "2"})
    assert told == [
        "environment: OCS_SERVER_WORKERS: expected int, got str",
        "environment: OCS_LEDGER_PARTITION: unknown option; did you mean partitions?",
        ": tenants: at least one [[tenants]] is needed",
        ":2: server.prot: unknown option; did you mean port?",
        ":3: server.port: expected int >= 0",
        ":5: ledger.partitions: expected int >= 1",
        ":6: plans.tariffs: is missing",
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[server\n", "is not TOML: "),
        (b"\xff", "is not TOML: "),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "ocs.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=reason):
        read_settings(path, {})


PLANS = """
[[tenants]]
name = "demo"
zone = "Europe/London"
country_code = "44"
national_prefix = "0"
short_codes = ["112", "118xxx"]
national_digits = [10]
[[plans]]
name = "standard"
tariffs = ["special", { name = "intl", percent = 92.3 }, { name = "a-z", percent = 90 }]
blocked_prefixes = ["4490"]
free_prefixes = ["44800"]
"""


def test_tariffs_of_a_plan_may_have_a_percentage(tmp_path: Path) -> None:
    (settings,) = read_settings(written(tmp_path, PLANS), {}).plans
    plan = settings.plan()
    assert plan.tariffs == (
        PlanTariff("special"),
        PlanTariff("intl", Fraction(923, 10)),
        PlanTariff("a-z", Fraction(90)),
    )
    assert (plan.blocked_prefixes, plan.free_prefixes) == (("4490",), ("44800",))


def test_a_tenant_has_clocks_and_a_way_to_write_numbers(tmp_path: Path) -> None:
    (tenant,) = read_settings(written(tmp_path, PLANS), {}).tenants
    assert tenant.zone == "Europe/London"
    rules = tenant.rules()
    numbers = ["112", "118500", "01632960001", "1632960001", "+4930", "004930"]
    assert [clean_number(number, rules) for number in numbers] == [
        "44112",
        "44118500",
        "441632960001",
        "441632960001",
        "4930",
        "4930",
    ]


def test_a_tenant_has_emergency_numbers_of_its_own(tmp_path: Path) -> None:
    own = 'emergency_numbers = ["999", "18x"]\nnational_digits = [10]'
    for text, found in (
        (PLANS, ["112", "", ""]),
        (PLANS.replace("national_digits = [10]", own), ["", "999", "185"]),
    ):
        (tenant,) = read_settings(written(tmp_path, text), {}).tenants
        rules = tenant.rules()
        dialled = ("112", "999", "+44185")
        numbers = [emergency_number(raw, clean_number(raw, rules), rules) for raw in dialled]
        assert numbers == found


def test_settings_reach_a_worker_as_they_were_read(tmp_path: Path) -> None:
    settings = read_settings(written(tmp_path, PLANS), {})
    assert msgspec.json.decode(msgspec.json.encode(settings), type=Settings) == settings


@pytest.mark.parametrize(
    ("there", "instead", "problem"),
    [
        ("Europe/London", "London", ":4: tenants.zone: 'London' is not a time zone such as"),
        ('"118xxx"', '"118-9"', ":7: tenants.short_codes: expected"),
        ("[10]", "[0]", ":8: tenants.national_digits: expected"),
        (
            "national_digits = [10]",
            'emergency_numbers = ["xx"]',
            ":8: tenants.emergency_numbers: expected",
        ),
        ('"44"', '""', ":7: tenants.short_codes: needs a country_code"),
        ("percent = 90", "percent = -1", ":11: plans.tariffs: expected"),
        ("percent = 90", "percent = 0.9", ":9: plans: tariff a-z at 0.9 per cent: write 90"),
        ("percent = 90", "per_cent = 90", ":11: plans.tariffs: object contains unknown field"),
        ('"4490"', '"+4490"', ":12: plans.blocked_prefixes: expected"),
        ('"44800"', '"4490"', ":9: plans: plan standard: 4490 is both blocked and free"),
        (
            'free_prefixes = ["44800"]',
            'final_unit_action = "redirect"',
            ":9: plans: plan standard: redirect_address goes with final_unit_action redirect",
        ),
        (
            'free_prefixes = ["44800"]',
            'failure_handling = "panic"',
            ":13: plans.failure_handling: invalid enum value",
        ),
    ],
)
def test_what_tenants_and_plans_may_not_say(
    tmp_path: Path, there: str, instead: str, problem: str
) -> None:
    found = problems(tmp_path, PLANS.replace(there, instead))
    assert found[0].startswith(problem)
