"""Valid and invalid configurations; `tests/configs` has invalid files with their messages."""

import re
import subprocess
import sys
from datetime import timedelta
from importlib.resources import files
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.cli.main import run
from netwatch.config import Config, parse_config, read_config, resolve_secret
from netwatch.model.duration import Duration
from netwatch.model.entities import Entity
from netwatch.model.errors import ConfigError

CONFIGS = Path(__file__).parents[1] / "configs"
BROKEN = sorted(path.stem for path in CONFIGS.glob("*.txt"))


def message(name: str) -> str:
    return (CONFIGS / f"{name}.txt").read_text("utf-8").rstrip("\n")


def test_every_broken_file_has_an_expected_message() -> None:
    files_without = {path.stem for path in CONFIGS.glob("*.toml")} ^ set(BROKEN)
    assert files_without == {"missing"}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_gives_a_one_line_error_and_exit_code_2(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(CONFIGS)
    monkeypatch.setattr(sys, "argv", ["netwatch", "collect", "--config", f"{name}.toml"])
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == 2
    assert capsys.readouterr() == ("", f"netwatch: {message(name)}\n")


@pytest.mark.parametrize(
    "command", [["agent", "run"], ["up"], ["analyze"], ["serve"]], ids="-".join
)
def test_every_command_that_reads_a_configuration_refuses_a_broken_one(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(CONFIGS)
    monkeypatch.setattr(sys, "argv", ["netwatch", *command, "--config", "wrong-type.toml"])
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"netwatch: {message('wrong-type')}\n"


def test_the_process_prints_the_same_message() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "netwatch", "collect", "--config", "unknown-key-in-table.toml"],
        cwd=CONFIGS,
        capture_output=True,
        text=True,
        check=False,
        timeout=18,
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr == f"netwatch: {message('unknown-key-in-table')}\n"


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_config(tmp_path)


def test_an_empty_file_is_the_default() -> None:
    assert parse_config("") == Config()


def test_a_byte_order_mark_is_ignored() -> None:
    assert parse_config('\ufeffdata = "here"').data == "here"


def test_the_starter_is_valid_and_shows_the_defaults() -> None:
    starter = files("netwatch.app").joinpath("starter.toml").read_text("utf-8")
    config = parse_config(starter)
    assert len(config.target) == 3
    plain = msgspec.structs.replace(config, target=(), place=())
    assert plain == Config()


def test_places_keep_all_their_attributes() -> None:
    config = parse_config(
        """
        [[place]]
        entity = "asn:64496"
        name = "Example"
        parent = "region:XT-N"
        weight = 3
        timezone = "Asia/Tehran"
        """
    )
    [place] = config.places()
    assert (place.entity, place.parent) == (Entity.parse("asn:64496"), Entity.parse("region:XT-N"))
    assert (place.name, place.weight, place.timezone) == ("Example", 3.0, "Asia/Tehran")


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("500ms", timedelta(milliseconds=500)),
        ("1.5s", timedelta(seconds=1.5)),
        (" 5m ", timedelta(minutes=5)),
        ("12h", timedelta(hours=12)),
        ("2d", timedelta(days=2)),
        ("8w", timedelta(weeks=8)),
        ("0s", timedelta(0)),
    ],
)
def test_durations_are_parsed(text: str, length: timedelta) -> None:
    assert Duration.parse(text) == length


@pytest.mark.parametrize(
    "text", ["", "5", "m", "5 m", "-5m", "1e3s", "5M", "5m3s", "\u0665m", "inf s"]
)
def test_other_texts_are_refused_as_durations(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        Duration.parse(text)


def error_of(text: str) -> str:
    """Return the error of a configuration, a valid-looking line if it has no error."""
    try:
        parse_config(text, name="some.toml")
    except ConfigError as error:
        return str(error)
    return "some.toml: fine"


@given(st.text(max_size=300))
def test_any_text_gives_a_configuration_or_a_one_line_error(text: str) -> None:
    error = error_of(text)
    assert error.startswith("some.toml: ")
    assert len(error.splitlines()) == 1


KEYS = st.sampled_from(["data", "target", "place", "agent", "web", "publish", "port", "period"])
VALUES = st.sampled_from(['"5m"', "1", "-1", "nan", "true", "[]", "{}", '["x"]', "2019-11-16"])


@given(st.lists(st.tuples(KEYS, VALUES), max_size=4), st.sampled_from(["", "[{}]", "[[{}]]"]), KEYS)
def test_any_toml_gives_a_configuration_or_a_one_line_error(
    rows: list[tuple[str, str]], head: str, table: str
) -> None:
    lines = [head.format(table), *(f"{key} = {value}" for key, value in rows)]
    error = error_of("\n".join(lines))
    assert error.startswith("some.toml: ")
    assert len(error.splitlines()) == 1


def test_a_secret_is_literal_or_from_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NW_TOKEN", "pa$$word")
    assert resolve_secret("plain", key="k") == "plain"
    assert resolve_secret("", key="k") == ""
    assert resolve_secret("$NW_TOKEN", key="k") == "pa$$word"


@pytest.mark.parametrize("name", ["$NW_NOT_SET", "$NW_EMPTY"])
def test_an_empty_variable_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("NW_EMPTY", "")
    with pytest.raises(ConfigError, match=rf"store\.password: \{name} is not set"):
        resolve_secret(name, key="store.password")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[place]]\nentity = "country:XT"\nname = "a\\nb"', "place[0]: name: has characters"),
        ('[[place]]\nentity = "country:XT"\nname = "\\u202Ea"', "place[0]: name: has characters"),
        (f'[[place]]\nentity = "country:XT"\nname = "{"x" * 10_000}"', "name: 10000 characters"),
        ('[[target]]\nid = "\\u001b[31m"\nprobe = "tcp"\nhost = "h"', "target[0].id: want 1 to"),
        (f'[[target]]\nid = "{"x" * 10_000}"\nprobe = "tcp"\nhost = "h"', "target[0].id: want"),
    ],
)
def test_a_name_that_acts_on_a_line_or_fills_it_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as refused:
        parse_config(text)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 200


def test_names_of_places_may_be_of_any_script_and_hold_markup() -> None:
    name = "<b>\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645</b> $x$ [red]"
    config = parse_config(f"[[place]]\nentity = 'country:XT'\nname = '{name}'")
    assert config.place[0].name == name
