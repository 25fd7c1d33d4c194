"""The operator's commands for agents: what they print, and what they refuse."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from netwatch.app.target_list_publisher import published_list
from netwatch.cli.fleet import app
from netwatch.config import read_config
from netwatch.model.errors import InputError
from netwatch.wire.enrollment import Invitation

Command = Callable[..., Result]
LIST = """
high_risk_countries = ["XK"]
[[target]]
id = "root-f"
probe = "dns"
host = "192.5.5.241"
path = "."
[[target]]
id = "shop"
probe = "http"
host = "shop.example.org"
tier = "B"
[[target]]
id = "paper"
probe = "http"
host = "news.example.org"
tier = "C"
category = "NEWS"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "netwatch.toml"
    path.write_text(f'data = "{tmp_path / "data"}"\n[fleet]\nurl = "https://netwatch.example/"\n')
    return path


@pytest.fixture
def agents(config: Path) -> Command:
    def call(*words: str, given: str | None = None) -> Result:
        return CliRunner().invoke(app, [*words, "--config", str(config)], input=given)

    return call


def publish(agents: Command, folder: Path, text: str = LIST) -> Result:
    path = folder / "targets.toml"
    path.write_text(text)
    return agents("publish", str(path), "--json")


def test_an_invitation_is_one_word_with_the_command_to_run(agents: Command) -> None:
    lines = agents("invite", "--for", "12h").stdout.splitlines()
    assert Invitation.parse(lines[0]).url == "https://netwatch.example"
    assert lines[-1] == f"  netwatch agent enroll {lines[0]}"
    other = json.loads(agents("invite", "--json").stdout)["token"]
    assert Invitation.parse(other).secret != Invitation.parse(lines[0]).secret
    assert Invitation.parse(other).key == Invitation.parse(lines[0]).key


def test_a_token_for_loopback_prints_a_hint(agents: Command, config: Path) -> None:
    assert "fleet.url" not in agents("invite").stdout
    config.write_text(config.read_text().replace("https://netwatch.example/", ""))
    assert "set fleet.url for agents elsewhere" in agents("invite").stdout


@pytest.mark.parametrize(
    ("words", "kind", "reason"),
    [
        (("invite", "--for", "soon"), InputError, "--for"),
        (("retire", "nobody"), InputError, "no agent has that name"),
        (("publish", "missing.toml"), InputError, r"missing\.toml: cannot be read"),
        (("pause", "a while"), InputError, "length"),
    ],
)
def test_an_impossible_request_gives_a_one_line_error(
    agents: Command, words: tuple[str, ...], kind: type[Exception], reason: str
) -> None:
    with pytest.raises(kind, match=reason) as caught:
        raise agents(*words).exception or AssertionError("nothing was raised")
    assert "\n" not in str(caught.value)


def test_an_unknown_agent_has_nothing_to_release_or_erase(agents: Command) -> None:
    refused = agents("release", "nobody", "--json")
    assert (refused.exit_code, str(refused.exception)) == (
        1,
        "'nobody' has sent nothing yet; see: netwatch agents list",
    )
    assert json.loads(agents("erase", "nobody", "--yes", "--json").stdout)["batches"] == 0
    assert agents("erase", "nobody", given="n\n").exit_code == 1
    assert json.loads(agents("list", "--json").stdout) == []


def test_a_list_is_published_by_tier_and_each_is_newer(
    agents: Command, config: Path, tmp_path: Path
) -> None:
    first = json.loads(publish(agents, tmp_path).stdout)
    assert first["targets"] == {"A": 2, "B": 1, "C": 1}  # with the observatory's canary
    second = json.loads(publish(agents, tmp_path).stdout)
    assert second["version"] > first["version"]
    listed = published_list(read_config(config))
    assert listed is not None
    assert [(one.target.id, one.tier.value, one.category) for one in listed.listed_targets()] == [
        ("root-f", "A", ""), ("canary", "A", ""), ("shop", "B", ""), ("paper", "C", "NEWS"),
    ]  # fmt: skip
    assert listed.high_risk_countries == ("XK",)


def test_a_pause_keeps_the_targets_and_a_list_keeps_the_pause(
    agents: Command, config: Path, tmp_path: Path
) -> None:
    publish(agents, tmp_path)
    agents("pause", "2h", "--reason", "a fault")
    publish(agents, tmp_path)
    listed = published_list(read_config(config))
    assert listed is not None
    assert (listed.pause_until is not None, listed.pause_reason) == (True, "a fault")
    assert [one.id for one in listed.targets] == ["root-f", "canary"]
    agents("pause", "0s")
    listed = published_list(read_config(config))
    assert listed is not None
    assert listed.pause_until is None
    assert [one.id for one in listed.targets] == ["root-f", "canary"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (LIST.replace("192.5.5.241", "192.168.1.1"), "private or special range"),
        (LIST.replace("shop.example.org", "shop.local"), "private network"),
        (LIST.replace('"shop"', '"root-f"'), "is listed twice"),
        (LIST.replace('"NEWS"', '"MALWARE"'), "not a category that is probed"),
        (LIST.replace('category = "NEWS"', ""), "tier C needs a category"),
        (LIST.replace('tier = "B"', 'tier = "D"'), "tier"),
        (LIST.replace('probe = "dns"', 'probe = "dns"\ncolour = "red"'), "colour"),
        ("[[target", r"targets\.toml: "),
    ],
)
def test_an_unprobeable_list_is_not_published(
    agents: Command, config: Path, tmp_path: Path, text: str, reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        raise publish(agents, tmp_path, text).exception or AssertionError("nothing was raised")
    assert published_list(read_config(config)) is None


def test_the_signing_key_may_be_stored_elsewhere(
    agents: Command, config: Path, tmp_path: Path
) -> None:
    path = tmp_path / "targets.toml"
    path.write_text(LIST)
    agents("publish", str(path), "--key", str(tmp_path / "stick.key"))
    assert (tmp_path / "stick.key").stat().st_mode & 0o077 == 0
    assert not (tmp_path / "data" / "targets.key").exists()
