"""The observatory's commands: what they print, and one line and exit code 2 where they cannot."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from netwatch.config import Config, read_config

Call = Callable[..., tuple[int, str, str]]
HEAD = "time,signal,entity,value\n"


def test_the_version_is_printed_without_a_command(call: Call) -> None:
    code, output, error = call("--version")
    assert (code, error) == (0, "")
    assert output.startswith("netwatch ")


def test_without_a_command_it_lists_the_commands(call: Call) -> None:
    _, output, error = call()
    assert "replay" in output + error
    assert "outages" in output + error


def test_init_writes_a_configuration_and_overwrites_nothing(call: Call, tmp_path: Path) -> None:
    code, output, _ = call("init")
    assert (code, output) == (0, "netwatch.toml written; `netwatch up` starts with it\n")
    assert read_config(tmp_path / "netwatch.toml").agent == Config().agent
    (tmp_path / "netwatch.toml").write_text("mine")
    code, _, error = call("init")
    assert (code, error) == (2, "netwatch: netwatch.toml: not written: File exists\n")
    assert (tmp_path / "netwatch.toml").read_text() == "mine"


def test_replay_prints_the_statement(call: Call, tmp_path: Path) -> None:
    code, output, error = call("replay", "iran-2019-11", "--at", "2019-11-17T05:30Z")
    assert (code, error) == (0, "")
    assert (
        "Iran: internet connectivity is at 7% of ordinary levels "
        "after 12 hours of progressive disconnections."
    ) in output.splitlines()
    drawn = [line for line in output.splitlines() if line.startswith("chart: ")]
    assert len(drawn) == 2
    assert (tmp_path / "replay" / "ledger.sqlite").exists()


def test_between_two_bins_the_statement_is_that_of_the_earlier_bin(call: Call) -> None:
    _, output, _ = call("replay", "iran-2019-11", "--json", "--at", "2019-11-17T09:29+03:30")
    assert "at 7% of ordinary levels after 12 hours" in json.loads(output)["statements"][0]


def test_replay_again_gives_the_same(call: Call) -> None:
    words = ("replay", "iran-2019-11", "--json", "--at", "2019-11-17T05:30Z")
    first, second = call(*words), call(*words)
    assert first == second
    report = json.loads(first[1])
    assert len(report["statements"]) == 1
    assert report["posts"]


REFUSED = {
    ("replay", "absent.csv"): "absent.csv: no such file; data sets that come with netwatch: iran",
    ("replay", "iran-2019-11", "--at", "teatime"): "--at: 'teatime' is not a time; write 2019",
    ("replay", "iran-2019-11", "--at", "2020-01-01"): (
        "2020-01-01T00:00Z: no series; they go from 2019-11-10T20:30Z to 2019-11-20T"
    ),
    ("replay", "iran-2019-11", "--bin", "weekly"): "--bin: 'weekly' is not a duration; write 30s",
    ("replay", "iran-2019-11", "--bin", "0s"): "--bin: must be longer than zero",
    ("replay", "iran-2019-11", "--out", "full"): "full: holds other files; name an empty folder",
    ("replay", "broken.csv"): "broken.csv: no column 'entity'; found time, signal, value",
    ("analyze", "--config", "klingon.toml"): "publish.languages: no templates for tlh; installed",
    ("collect", "--config", "klingon.toml"): "publish.languages: no templates for tlh; installed",
    ("serve", "--config", "klingon.toml"): "publish.languages: no templates for tlh; installed",
    ("collect", "--config", "absent.toml"): "absent.toml: cannot be read: No such file",
    ("agent", "run", "--config", "absent.toml"): "absent.toml: cannot be read: No such file",
}


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_an_impossible_command_gives_a_one_line_error(
    call: Call, tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "diary.txt").write_text("precious")
    (tmp_path / "klingon.toml").write_text('[publish]\nlanguages = ["tlh"]\n')
    (tmp_path / "broken.csv").write_text("time,signal,value\n2019-11-16T00:00Z,probing,1\n")
    code, output, error = call(*words)
    assert (code, output) == (2, "")
    assert error.startswith(f"netwatch: {REFUSED[words]}")
    assert len(error.splitlines()) == 1
    assert (tmp_path / "full" / "diary.txt").read_text() == "precious"


def test_data_files_are_replayed_and_aggregated(call: Call, tmp_path: Path) -> None:
    hours = [f"2026-03-{2 + hour // 24:02}T{hour % 24:02}" for hour in range(24 * 6)]
    rows = [
        f"{hour}:{minute:02}Z,probing,country:XT,{10 if number >= 120 else 1000 + minute}\n"
        for number, hour in enumerate(hours)
        for minute in (1, 17, 44)
    ]
    (tmp_path / "own.csv").write_text(HEAD + "".join(rows))
    code, output, error = call("replay", "own.csv", "--bin", "1h", "--json")
    assert (code, error) == (0, "")
    report = json.loads(output)
    assert report["incidents"] == ["NW-XT-2026-0001"]
    assert report["posts"] == [], "one signal of one network is not published"
