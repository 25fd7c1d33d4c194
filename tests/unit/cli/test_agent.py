"""The commands of a vantage, each run for real on a configuration of loopback and beyond."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from netwatch.agent.gaps import Heartbeat
from netwatch.agent.health.loop_lag import LoopLagMonitor
from netwatch.agent.measure.budget import DailyBudget
from netwatch.agent.process_stats import ProcessStatsCollector
from netwatch.agent.saved_state import SavedState, save_state
from netwatch.agent.spool.spool import Spool
from netwatch.agent.target_list import TARGET_LIST, TargetList
from netwatch.app.vantage import open_spool
from netwatch.cli.agent import app
from netwatch.config import read_config
from netwatch.model.errors import ConfigError, InputError
from netwatch.model.measurement import Measurement, Target, Vantage
from netwatch.wire.batch_codec import BATCH, unpack_batch
from netwatch.wire.export import FileKind, read_messages
from netwatch.wire.signing import Signer

Command = Callable[..., Result]


def write_config(folder: Path, host: str = "127.0.0.1") -> Path:
    path = folder / "netwatch.toml"
    path.write_text(
        f"""
data = "{folder / "data"}"
[broker]
embedded = false
port = 1
password = "x"
[vantage]
id = "here"
country = "XX"
asn = 64500
[agent]
timeout = "1s"
[[target]]
id = "one"
probe = "tcp"
host = "{host}"
port = 9
[[target]]
id = "gateway"
probe = "tcp"
host = "127.0.0.1"
port = 9
group = "witness-lan"
"""
    )
    return path


@pytest.fixture
def netwatch(tmp_path: Path) -> Command:
    path = write_config(tmp_path)

    def call(*words: str, given: str | None = None, config: Path = path) -> Result:
        return CliRunner().invoke(app, [*words, "--config", str(config)], input=given)

    return call


def saved_state(
    *, budget: DailyBudget | None = None, stats: ProcessStatsCollector | None = None
) -> SavedState:
    """Return the state that an agent leaves in its spool."""
    now = datetime.now(UTC)
    collected = (stats or ProcessStatsCollector(LoopLagMonitor())).collect(now.isoformat())
    return SavedState(Heartbeat(now, "ab" * 8, 1.0), budget or DailyBudget(), collected)


def fill_spool(folder: Path, count: int) -> None:
    (folder / "data").mkdir(exist_ok=True)
    vantage = Vantage("here", "XX", 64500)
    born = datetime(2026, 1, 8, tzinfo=UTC)
    with Spool(folder / "data" / "spool-here.sqlite", vantage=vantage, created_at=born) as spool:
        for _ in range(count):
            spool.append(
                [Measurement("one", "tcp", born, None, "", host_responded=True, seconds=0.1)]
            )
            spool.flush()


def test_explain_shows_all_traffic_before_anything_is_sent(netwatch: Command) -> None:
    plain = netwatch("explain")
    assert plain.exit_code == 0
    assert "one" in plain.stdout
    assert "288 times a day" in plain.stdout
    assert "the country: XX" in plain.stdout
    report = json.loads(netwatch("explain", "--json").stdout)
    assert [row["daily_runs"] for row in report["targets"]] == [288, 2880]
    assert report["daily_bytes"] <= report["budget_bytes"]
    assert report["other_traffic"] == [], "what stays on this machine disturbs nobody"
    assert [(one["purpose"], one["address"]) for one in report["contacts"]] == [
        ("uplink", "127.0.0.1:1")
    ]
    assert any(line.split()[:2] == ["uplink", "127.0.0.1:1"] for line in plain.stdout.splitlines())


def test_explain_shows_the_router(netwatch: Command, tmp_path: Path) -> None:
    far = write_config(tmp_path, "192.0.2.1")
    assert "that your own router responds" in netwatch("explain", config=far).stdout


def test_once_measures_and_stores_nothing(netwatch: Command, tmp_path: Path) -> None:
    report = json.loads(netwatch("once", "--json").stdout)
    assert {(one["target"], one["failure"]) for one in report} == {
        ("one", "connection_refused"),
        ("gateway", "connection_refused"),
    }
    assert not list((tmp_path / "data").glob("spool*"))


def test_traffic_beyond_this_machine_needs_consent(netwatch: Command, tmp_path: Path) -> None:
    far = write_config(tmp_path, "192.0.2.1")
    for command in ("run", "once"):
        result = netwatch(command, config=far)
        assert isinstance(result.exception, ConfigError)
        assert "netwatch agent consent grant" in str(result.exception)


def test_consent_is_asked_for_twice_and_can_be_withdrawn(netwatch: Command) -> None:
    assert "Not granted yet" in netwatch("consent", "show").stdout
    asked = netwatch("consent", "grant", given="n\ny\ny\ny\n")
    assert "CAN SEE" in asked.stdout
    assert "the answer is yes" in asked.stdout
    assert json.loads(netwatch("consent", "show", "--json").stdout)["granted_at"]
    assert netwatch("consent", "withdraw").exit_code == 0
    assert json.loads(netwatch("consent", "show", "--json").stdout)["granted_at"] is None


def test_consent_without_questions_names_its_version(netwatch: Command) -> None:
    refused = netwatch("consent", "grant", "--accept-consent", "99")
    assert isinstance(refused.exception, ConfigError)
    assert netwatch("consent", "grant", "--accept-consent", "2").exit_code == 0
    assert json.loads(netwatch("status", "--json").stdout)["consent_since"]


def test_consent_that_is_declined_is_not_given(netwatch: Command) -> None:
    assert netwatch("consent", "grant", given="y\ny\nn\n").exit_code == 1
    assert json.loads(netwatch("consent", "show", "--json").stdout)["granted_at"] is None


def test_a_pause_begins_and_ends(netwatch: Command) -> None:
    assert "paused until" in netwatch("pause", "2h").stdout
    assert json.loads(netwatch("status", "--json").stdout)["paused_until"]
    assert "not paused" in netwatch("pause", "0s").stdout
    assert json.loads(netwatch("status", "--json").stdout)["paused_until"] is None
    assert isinstance(netwatch("pause", "a while").exception, InputError)


def test_status_shows_pending_batches(netwatch: Command, tmp_path: Path) -> None:
    fill_spool(tmp_path, 3)
    report = json.loads(netwatch("status", "--json").stdout)
    assert (report["vantage"], report["waiting_batches"]) == ("here", 3)
    assert 0 < report["spool_bytes"] < report["spool_limit_bytes"]
    assert (report["probed_bytes_today"], report["skipped_to_save"]) == (0, "nothing")
    assert "waiting batches" in netwatch("status").stdout


def test_status_shows_probes_skipped_for_the_budget(netwatch: Command, tmp_path: Path) -> None:
    fill_spool(tmp_path, 1)
    budget = DailyBudget()
    budget.level(datetime.now(UTC))
    budget.spent, budget.change_probes = int(0.95 * budget.limit), 3
    config = read_config(write_config(tmp_path))
    with open_spool(config) as spool:
        save_state(spool, saved_state(budget=budget))
    report = json.loads(netwatch("status", "--json").stdout)
    assert report["skipped_to_save"] == "all but essential probes"
    assert report["change_probes_today"] == 3
    assert report["probed_bytes_today"] == budget.spent


def test_doctor_shows_how_to_fix_failures(netwatch: Command) -> None:
    result = netwatch("doctor", "--json")
    assert result.exit_code == 1
    report = {one["name"]: one for one in json.loads(result.stdout)}
    machine = {"consent", "disk", "spool", "key", "clock", "list", "probes", "ipv6"}
    assert set(report) - {"line-v4"} == machine | {"portal", "names", "broker"}
    assert report["consent"]["ok"]
    assert report["key"]["ok"]
    assert not report["broker"]["ok"]
    assert all(one["fix"] for one in report.values() if not one["ok"])
    assert "FAIL  broker" in netwatch("doctor").stdout


def test_an_export_holds_pending_batches_and_deletes_none(
    netwatch: Command, tmp_path: Path
) -> None:
    fill_spool(tmp_path, 250)
    file = tmp_path / "stick.nwx"
    assert json.loads(netwatch("export", str(file), "--json").stdout)["batches"] == 250
    sequences = [unpack_batch(message).sequence for message in read_messages(file, FileKind.EXPORT)]
    assert len(set(sequences)) == 250
    assert json.loads(netwatch("status", "--json").stdout)["waiting_batches"] == 250


@pytest.mark.parametrize("harm", ["cut", "text", "length", "missing"])
def test_a_damaged_export_gives_a_one_line_error(
    netwatch: Command, tmp_path: Path, harm: str
) -> None:
    fill_spool(tmp_path, 3)
    file = tmp_path / "stick.nwx"
    netwatch("export", str(file))
    data = file.read_bytes()
    if harm == "missing":
        file.unlink()
    else:
        wrong = data[:18] + b"\xff" + data[19:]
        file.write_bytes({"cut": data[:-1], "text": b"hello", "length": wrong}[harm])
    with pytest.raises(InputError, match=r"stick\.nwx: "):
        list(read_messages(file, FileKind.EXPORT))


def test_purge_leaves_nothing(netwatch: Command, tmp_path: Path) -> None:
    fill_spool(tmp_path, 3)
    netwatch("doctor")
    netwatch("consent", "grant", "--accept-consent", "2")
    assert len(list((tmp_path / "data").iterdir())) >= 3
    assert netwatch("purge", given="n\n").exit_code == 1
    assert netwatch("purge", "--yes").exit_code == 0
    assert list((tmp_path / "data").iterdir()) == []


def test_batches_are_signed_with_the_key_of_the_vantage(tmp_path: Path) -> None:
    config = read_config(write_config(tmp_path))
    with open_spool(config) as spool:
        row = Measurement(
            "one",
            "tcp",
            datetime(2026, 1, 8, tzinfo=UTC),
            None,
            "",
            host_responded=True,
            seconds=0.1,
        )
        spool.append([row])
        spool.flush()
        message = spool.newest(1)[0].payload
    assert BATCH.verify(message)[1] is not None


def test_a_signed_list_is_adopted_and_an_older_one_refused(
    netwatch: Command, tmp_path: Path
) -> None:
    signer = Signer(Ed25519PrivateKey.generate())
    expires = datetime.now(UTC) + timedelta(days=7)
    file = tmp_path / "targets.signed"
    listed = TargetList(2, expires, (Target("root-f", "dns", "192.5.5.241", path="."),))
    file.write_bytes(TARGET_LIST.pack(listed, signer))
    report = json.loads(netwatch("adopt", str(file), "--key", signer.public.hex(), "--json").stdout)
    assert report == {"version": 2, "targets": 1}
    assert "root-f" in netwatch("explain").stdout
    assert isinstance(netwatch("run").exception, ConfigError)  # others can see that one
    file.write_bytes(TARGET_LIST.pack(TargetList(1, expires, ()), signer))
    assert "not newer" in str(netwatch("adopt", str(file)).exception)
    assert isinstance(netwatch("adopt", str(file), "--key", "xyz").exception, ConfigError)
    assert "root-f" in netwatch("explain").stdout


TIERED = TargetList(
    2,
    datetime.now(UTC) + timedelta(days=7),
    (Target("root-f", "dns", "192.5.5.241", path="."),),
    popular=(Target("shop", "http", "shop.example.org"),),
    sensitive={"NEWS": (Target("paper", "http", "news.example.org"),)},
)


def adopt_tiers(netwatch: Command, folder: Path) -> None:
    file = folder / "targets.signed"
    file.write_bytes(TARGET_LIST.pack(TIERED, Signer(Ed25519PrivateKey.generate())))
    assert netwatch("adopt", str(file)).exit_code == 0


def explained(netwatch: Command) -> set[str]:
    return {row["target"] for row in json.loads(netwatch("explain", "--json").stdout)["targets"]}


def test_each_tier_needs_its_own_consent(netwatch: Command, tmp_path: Path) -> None:
    adopt_tiers(netwatch, tmp_path)
    assert explained(netwatch) == {"one", "gateway", "root-f"}
    report = netwatch("explain").stdout
    assert "that are skipped (2):" in report
    assert "consent grant --tier B" in report
    asked = netwatch("consent", "grant", "--tier", "B", given="y\ny\ny\ny\n")
    assert "shop.example.org" in asked.stdout
    assert "news.example.org" not in asked.stdout
    assert explained(netwatch) == {"one", "gateway", "root-f", "shop"}
    # The text was agreed to already: the one question left is about the category.
    asked = netwatch("consent", "grant", "--category", "NEWS", given="n\n")
    assert asked.exit_code == 1
    assert "news.example.org" in asked.stdout
    assert explained(netwatch) == {"one", "gateway", "root-f", "shop"}
    assert netwatch("consent", "grant", "--category", "NEWS", given="y\n").exit_code == 0
    assert explained(netwatch) == {"one", "gateway", "root-f", "shop", "paper"}
    assert json.loads(netwatch("status", "--json").stdout)["consent_tiers"] == ["A", "B", "C:NEWS"]
    netwatch("consent", "withdraw")
    assert explained(netwatch) == {"one", "gateway", "root-f"}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--tier", "C"), "name a --category"),
        (("--tier", "all"), "must be A or B"),
        (("--category", "ALL"), "must be one of"),
        (("--category", "NEWS,LGBT"), "must be one of"),
        (("--tier", "B", "--accept-consent", "2"), "confirmed interactively"),
        (("--category", "NEWS", "--accept-consent", "2"), "confirmed interactively"),
    ],
)
def test_consent_in_bulk_or_unattended_is_refused(
    netwatch: Command, words: tuple[str, ...], reason: str
) -> None:
    result = netwatch("consent", "grant", *words, given="y\n" * 9)
    assert isinstance(result.exception, ConfigError)
    assert reason in str(result.exception)
    assert json.loads(netwatch("status", "--json").stdout)["consent_tiers"] == []


@pytest.mark.parametrize(("country", "reason"), [("IR", "dangerous"), ("", "set the country")])
def test_dangerous_places_cannot_be_consented_to(
    netwatch: Command, tmp_path: Path, country: str, reason: str
) -> None:
    path = write_config(tmp_path)
    path.write_text(path.read_text().replace('country = "XX"', f'country = "{country}"'))
    result = netwatch("consent", "grant", "--tier", "B", given="y\n" * 9)
    assert isinstance(result.exception, ConfigError)
    assert reason in str(result.exception)


def test_explain_shows_a_batch_as_it_would_be_sent(netwatch: Command) -> None:
    report = json.loads(netwatch("explain", "--json").stdout)["example"]
    assert report["header"]["vantage"] == {"id": "here", "country": "XX", "asn": 64500}
    assert report["row"]["target"] == "one"
    assert 0 < report["message_bytes"] < 2000
    output = netwatch("explain").stdout
    assert json.dumps(report["row"]) in output
    assert "127.0.0.1" not in json.dumps(report)


def test_status_shows_why_a_list_was_refused(netwatch: Command, tmp_path: Path) -> None:
    adopt_tiers(netwatch, tmp_path)
    bad = tmp_path / "bad.signed"
    bad.write_bytes(b"garbage")
    assert isinstance(netwatch("adopt", str(bad)).exception, InputError)
    report = json.loads(netwatch("status", "--json").stdout)
    assert (report["list_version"], report["list_expired"]) == (2, False)
    assert "not signed" in report["list_rejected"]
    assert report["targets"] == 3
    assert report["list_skipped"] == 2


def test_version_prints_the_consent_version(netwatch: Command) -> None:
    result = CliRunner().invoke(app, ["version", "--json"])
    assert json.loads(result.stdout)["consent_version"] == 2


def test_status_shows_the_resources_of_the_agent(netwatch: Command, tmp_path: Path) -> None:
    stats = ProcessStatsCollector(LoopLagMonitor())
    stats.count(
        Measurement("one", "tcp", datetime.now(UTC), None, "", host_responded=True, seconds=0.1)
    )
    with open_spool(read_config(tmp_path / "netwatch.toml")) as spool:
        save_state(spool, saved_state(stats=stats))
    report = json.loads(netwatch("status", "--json").stdout)
    assert report["probes"] == {"tcp": {"ok": 1}}
    assert report["memory_megabytes"] > 5
    assert "tcp: ok: 1" in netwatch("status").stdout
