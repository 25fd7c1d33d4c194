"""`netwatch store`: what each command prints, and that it does what it says."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from netwatch.cli.store import app
from netwatch.model.baseline_basis import Baseline, BaselineKind
from netwatch.model.entities import Entity, EntityKind
from netwatch.model.errors import InputError, NetwatchError
from netwatch.model.series import Bin, Level, SeriesKey
from netwatch.store.sqlite import SqliteStore

HOUR = timedelta(hours=1)
END = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
START = END - timedelta(days=20)
KEYS = [SeriesKey("reachability", Entity(EntityKind.ASN, str(code))) for code in (7, 8, 9)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    store = SqliteStore(folder / "series.sqlite")
    hours = [START + hour * HOUR for hour in range(20 * 24)]
    bins = [Bin(time, key, 3.0, None if key is KEYS[0] else 4.0) for time in hours for key in KEYS]
    store.put_bins(bins, closed_until=END)
    store.put_levels(
        [Level(time, KEYS[0], 0.5, baseline=Baseline(BaselineKind.LEVEL)) for time in hours]
    )
    store.close()
    return folder


def run(*arguments: object) -> str:
    """Run the command and return what it prints; an error of ours passes through."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, NetwatchError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def bins_in(folder: Path) -> list[Bin]:
    store = SqliteStore(folder / "series.sqlite")
    bins = list(store.read_bins(START - HOUR, END))
    store.close()
    return bins


def test_compact_then_stats_then_check(data: Path) -> None:
    before = bins_in(data)
    compacted = json.loads(run("compact", "--data", data, "--keep", "10d", "--json"))
    assert {entry["kind"] for entry in compacted} == {"bins", "levels"}
    stats = json.loads(run("stats", "--data", data, "--json"))["raw"]
    assert stats["series"] == 3
    assert stats["bins"]["open_rows"] + stats["bins"]["compacted_rows"] == len(before)
    assert min(stats["bins"]["compacted_rows"], stats["bins"]["open_rows"]) > 600
    assert "3 series" in run("stats", "--data", data)
    assert bins_in(data) == before
    assert run("compact", "--data", data, "--keep", "10d") == "nothing to compact\n"
    assert run("check", "--data", data) == "no damage\n"
    assert json.loads(run("check", "--data", data, "--json")) == []


def test_check_exits_with_1_if_a_file_is_damaged(data: Path) -> None:
    run("compact", "--data", data)
    victim = next((data / "days").glob("*.bins.r1.parquet"))
    victim.write_bytes(victim.read_bytes()[:-5])
    result = CliRunner().invoke(app, ["check", "--data", str(data)])
    assert result.exit_code == 1
    assert f"raw: {victim.name}: is damaged" in result.stdout
    result = CliRunner().invoke(app, ["check", "--data", str(data), "--quarantine", "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)[0]["quarantined"] is True
    assert run("check", "--data", data) == "no damage\n"


def test_prune_rolls_up_before_it_drops(data: Path) -> None:
    done = json.loads(run("prune", "--data", data, "--json"))
    assert [row["resolution"] for row in done] == ["raw", "five-minutes", "hourly"]
    assert done[0]["dropped"] > 0
    assert min(bin_.time for bin_ in bins_in(data)) > START
    assert len(bins_in(data / "hourly")) == 20 * 24 * 3
    again = json.loads(run("prune", "--data", data, "--json"))
    assert [row["dropped"] for row in again] == [0, 0, 0]
    assert len(bins_in(data / "hourly")) == 20 * 24 * 3


def test_prune_follows_the_configured_retention(data: Path, tmp_path: Path) -> None:
    config = tmp_path / "netwatch.toml"
    config.write_text(
        f'data = "{data}"\n[stores.sqlite]\nraw_retention = "5d"\nfive_minute_retention = "10d"\n'
    )
    run("prune", "--config", config)
    day = timedelta(days=1)
    assert END - 6 * day <= min(bin_.time for bin_ in bins_in(data)) <= END - 5 * day
    five_minutes = bins_in(data / "five-minutes")
    assert END - 11 * day <= min(bin_.time for bin_ in five_minutes) <= END - 10 * day
    assert min(bin_.time for bin_ in bins_in(data / "hourly")) == START


def test_export_writes_the_format_of_a_replay(data: Path, tmp_path: Path) -> None:
    csv = tmp_path / "out.csv"
    assert run("export", csv, "--data", data).endswith(f"{len(bins_in(data)):,} rows\n")
    lines = csv.read_text().splitlines()
    assert lines[0] == "time,signal,entity,value,total"
    assert lines[1] == f"{START:%Y-%m-%dT%H:%M:%SZ},reachability,asn:7,3.0,"
    assert lines[2].endswith("asn:8,3.0,4.0")


def test_export_of_one_series_as_parquet(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    output = run(
        "export", out, "--data", data, "--series", "reachability asn:7", "--from", "-2d", "--json"
    )
    rows = duckdb.execute("select entity, value, total from read_parquet(?)", [str(out)]).fetchall()
    assert len(rows) == json.loads(output)["rows"] > 40
    assert set(rows) == {("asn:7", 3.0, None)}
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["out.parquet"]


def test_copy_resumes_where_it_stopped(data: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    copied = json.loads(run("copy", f"sqlite:{data}", f"sqlite:{other}", "--json"))
    assert copied == {"bins": 20 * 24 * 3, "levels": 20 * 24}
    assert bins_in(other) == bins_in(data)
    store = SqliteStore.at(str(data))
    store.put_bins([Bin(END, KEYS[0], 9.0)])
    store.close()
    again = json.loads(run("copy", f"sqlite:{data}", f"sqlite:{other}", "--json"))
    assert again == {"bins": 1, "levels": 0}
    assert "copied" in run("copy", f"sqlite:{data}", f"sqlite:{other}", "--from", "2020-01-01")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stats", "--data", "nowhere"], "no store there"),
        (["compact", "--data", "nowhere"], "no store there"),
        (["prune", "--data", "nowhere"], "no store there"),
        (["compact", "--keep", "often"], "not a duration"),
        (["export", "out.csv", "--data", "nowhere"], "no store there"),
        (["copy", "nothing", "sqlite:x"], "is not a store; write engine:location"),
        (["copy", "oracle:x", "sqlite:x"], "no store named 'oracle'"),
    ],
)
def test_a_mistake_gives_a_one_line_error(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NetwatchError, match=message) as raised:
        run(*arguments)
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_export_gives_a_one_line_error(data: Path, tmp_path: Path) -> None:
    with pytest.raises(NetwatchError, match="cannot be written"):
        run("export", tmp_path / "none" / "out.csv", "--data", data)
    with pytest.raises(InputError, match="entity"):
        run("export", tmp_path / "out.csv", "--data", data, "--series", "reachability")


@pytest.mark.parametrize(
    "command", ["check", "compact", "stats", "prune", "export", "copy", "migrate"]
)
def test_help_has_an_example(command: str) -> None:
    assert f"Example: netwatch store {command}" in run(command, "--help")
