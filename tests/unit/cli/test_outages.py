import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hourly_levels import hourly_levels
from typer.testing import CliRunner, Result

from netwatch.app.factories import write_places
from netwatch.cli.data_access import open_data
from netwatch.cli.main import app
from netwatch.cli.outages import parse_scope
from netwatch.ledger.ledger import SqlLedger, ledger_url
from netwatch.model.entities import Entity, EntityTree
from netwatch.model.errors import InputError
from netwatch.model.incident import Incident, IncidentState
from netwatch.model.series import Bin, Level, SeriesKey
from netwatch.store.sqlite import SqliteStore

FALL: list[float | None] = [1.0] * 20 + [0.6] + [0.07] * 6 + [None] * 2 + [0.0]


def _levels(entity: str, values: list[float | None], until: datetime) -> list[Level]:
    return hourly_levels(entity, until - timedelta(hours=len(values)), values, networks=9)


@pytest.fixture
def folder(tmp_path: Path, make_incident: Callable[..., Incident], iran: EntityTree) -> Path:
    """Data of an observatory that saw Iran fall, and a small incident in Myanmar end."""
    until = make_incident().at + timedelta(minutes=30)
    store = SqliteStore(tmp_path / "series.sqlite")
    store.put_levels(_levels("country:IR", FALL, until))
    store.put_levels(_levels("region:IR-23", [1.0] * 30, until))
    key = SeriesKey("reachability", Entity.parse("region:IR-07"))
    store.put_levels(_levels("region:IR-07", [0.4] * 5, until))
    store.put_bins([Bin(until - timedelta(hours=1), key, 40.0, 100.0)], closed_until=until)
    store.close()
    ledger = SqlLedger(ledger_url(tmp_path / "ledger.sqlite"))
    early = make_incident().started_at - timedelta(days=10)
    ended = make_incident(
        id="NW-MM-2019-0001",
        entity=Entity.parse("country:MM"),
        state=IncidentState.RESOLVED,
        started_at=early,
        ended_at=early + timedelta(hours=5),
        evidence_level=1,
    )
    provisional = make_incident(
        id="NW-IR-2019-0043", state=IncidentState.PROVISIONAL, evidence_level=0
    )
    ledger.record([ended, make_incident(), provisional], [])
    ledger.close()
    write_places(tmp_path, iran)
    return tmp_path


def _run(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--data", str(folder)])


def _ids(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return [json.loads(line)["id"] for line in result.stdout.splitlines()]


def test_outages_lists_public_incidents_newest_first(folder: Path) -> None:
    result = _run(folder, "outages")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["NW-IR-2019-0042"]
    assert "1 below this level" in result.stderr
    result = _run(folder, "outages", "--min-level", "1")
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["NW-IR-2019-0042", "NW-MM-2019-0001"]
    assert "2 incidents. Not exhaustive. Times UTC." in result.stderr
    assert "NW-IR-2019-0043" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--min-level", "1"), ["NW-IR-2019-0042", "NW-MM-2019-0001"]),
        (("--country", "ir"), ["NW-IR-2019-0042"]),
        ((), ["NW-IR-2019-0042"]),
        (("--state", "resolved", "--min-level", "1"), ["NW-MM-2019-0001"]),
        (("--state", "provisional", "--min-level", "0"), ["NW-IR-2019-0043"]),
        (("--scope", "MM", "--min-level", "1"), ["NW-MM-2019-0001"]),
        (
            ("--since", "2019-11-06T21:30", "--min-level", "1"),
            ["NW-IR-2019-0042", "NW-MM-2019-0001"],
        ),
        (("--since", "2019-11-06T21:31"), ["NW-IR-2019-0042"]),
        (("--until", "2019-11-10", "--min-level", "1"), ["NW-MM-2019-0001"]),
        (("--since", "2019-11-08", "--until", "2019-11-10"), []),
    ],
)
def test_outages_filters(folder: Path, arguments: tuple[str, ...], expected: list[str]) -> None:
    assert _ids(_run(folder, "outages", "--json", *arguments)) == expected


def test_outages_prints_the_time_in_utc(folder: Path) -> None:
    result = _run(folder, "outages", "--since", "2019-11-15", "--tz", "Asia/Tehran")
    assert "2019-11-15 is 2019-11-14T20:30Z" in result.stderr
    assert "2019-11-14" not in result.stdout


def test_timeline_draws_missing_data_unlike_a_low_bar(folder: Path) -> None:
    result = _run(folder, "timeline", "IR")
    assert result.exit_code == 0, result.output
    line = result.stdout.splitlines()[1]
    assert line.split() == [
        "Iran",
        "█" * 20 + "▅" + "▁" * 6 + "··▁",
        "no",
        "success",
        "no",
        "success",
    ]


def test_timeline_by_region_draws_known_and_measured_parts(folder: Path) -> None:
    result = _run(folder, "timeline", "IR", "--by", "region", "--step", "5h", "--ascii")
    assert result.exit_code == 0, result.output
    assert result.stdout.isascii()
    names = [line.split()[0] for line in result.stdout.splitlines()[1:-1]]
    assert names == ["Iran", "Tehran", "IR-07"]
    bars = [line.split()[1] for line in result.stdout.splitlines()[1:-1]]
    assert bars == ["999910", "999999", ".....4"]


def test_a_timeline_as_json_distinguishes_null_from_zero(folder: Path) -> None:
    result = _run(folder, "timeline", "IR", "--json")
    series = json.loads(result.stdout)
    assert series["pct"][-4:] == [7.0, None, None, 0.0]
    assert series["step_seconds"] == 3600


def test_parts_by_network_come_from_incidents_and_places(folder: Path) -> None:
    result = _run(folder, "timeline", "IR", "--by", "asn", "--json")
    codes = [json.loads(line)["scope"]["id"] for line in result.stdout.splitlines()]
    assert codes == ["IR", "44244"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("timeline", "nowhere"), "is not a place"),
        (("timeline", "IR", "--by", "city"), "--by: want region or asn"),
        (("timeline", "IR", "--step", "fast"), "--step: 'fast' is not a duration"),
        (("timeline", "IR", "--step", "0s"), "--step: must be longer"),
        (("timeline", "IR", "--since", "soon"), "'soon' is not a time"),
        (("timeline", "IR", "--since", "now", "--until", "-1h"), "is not before"),
        (("outages", "--since", "2019-11-15", "--tz", "Mars/Olympus"), "is not a time zone"),
        (("outages", "--tz", "../../etc/passwd", "--since", "now"), "is not a time zone"),
    ],
)
def test_a_mistake_gives_a_one_line_error_and_exit_code_2(
    folder: Path, arguments: tuple[str, ...], words: str
) -> None:
    result = _run(folder, *arguments)
    assert result.exit_code == 2
    last = result.stderr.splitlines()[-1]
    assert last.startswith("netwatch: ")
    assert words in last
    assert result.stdout == ""


def test_a_folder_without_data_gives_a_one_line_error_and_no_files(tmp_path: Path) -> None:
    result = _run(tmp_path, "outages")
    assert result.exit_code == 2
    assert "is --data right?" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_list_of_entities_gives_a_one_line_error(folder: Path) -> None:
    (folder / "places.json").write_text('{"not": "a list"}')
    result = _run(folder, "outages")
    assert result.exit_code == 2
    assert "places.json: not a list of entities" in result.stderr


def test_names_may_come_from_a_configuration(folder: Path, tmp_path: Path) -> None:
    config = tmp_path / "netwatch.toml"
    config.write_text('[[place]]\nentity = "country:IR"\nname = "Persia"\n')
    result = _run(folder, "outages", "--config", str(config))
    assert "Persia" in result.stdout


def test_a_closed_pipe_gives_no_traceback(folder: Path) -> None:
    command = [sys.executable, "-c", "from netwatch.cli.main import run; run()"]
    with subprocess.Popen(
        [*command, "timeline", "IR", "--by", "region", "--data", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_data_is_readable_while_another_process_writes(
    folder: Path, make_incident: Callable[..., Incident]
) -> None:
    with open_data(folder) as opened:
        writer = SqlLedger(ledger_url(folder / "ledger.sqlite"))
        writer.record([make_incident(revision=2, networks_lost=12)], [])
        assert {one.networks_lost for one in opened.ledger.incidents()} >= {12}
        writer.close()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ir", "country:IR"),
        ("ir-23", "region:IR-23"),
        ("AS44244", "asn:44244"),
        ("44244", "asn:44244"),
        ("example.ir", "domain:example.ir"),
        ("country:IR", "country:IR"),
    ],
)
def test_scopes_are_parsed_in_common_spellings(text: str, expected: str) -> None:
    assert str(parse_scope(text)) == expected


@pytest.mark.parametrize("text", ["", "Iran", "I1", "ASN", "AS0", "planet:IR", "no where.ir"])
def test_an_invalid_scope_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_scope(text)


def test_verify_names_a_changed_revision(folder: Path) -> None:
    command = ["outages", "verify", "--data", str(folder)]
    intact = CliRunner().invoke(app, command)
    assert (intact.exit_code, intact.output) == (0, "All revisions are intact.\n")
    with sqlite3.connect(folder / "ledger.sqlite") as connection:
        connection.execute(
            "UPDATE incident_revision SET document = document || ' ' "
            "WHERE incident = 'NW-IR-2019-0042' AND revision = 1"
        )
    connection.close()
    broken = CliRunner().invoke(app, command)
    assert broken.exit_code == 1
    assert broken.output.startswith("NW-IR-2019-0042 revision 1: changed")
    as_json = CliRunner().invoke(app, [*command, "--json"])
    assert as_json.exit_code == 1
    assert json.loads(as_json.output) == {
        "intact": False,
        "broken": [{"incident": "NW-IR-2019-0042", "revision": 1}],
    }
