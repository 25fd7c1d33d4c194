"""Plugins come through one door, and a missing or broken one is one clear line."""

import sys
from pathlib import Path

import pytest

from netwatch.model.errors import PluginError
from netwatch.plugins import load_plugin, plugin_names


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a distribution with one sound probe and two broken ones."""
    info = tmp_path / "stranger-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[netwatch.probes]\nsound = stranger_probe:Probe\n"
        "hollow = stranger_probe:Nothing\ngone = stranger_gone:Probe\n"
    )
    (tmp_path / "stranger_probe.py").write_text("class Probe:\n    name = 'sound'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "stranger_probe", raising=False)


@pytest.mark.usefixtures("stranger")
def test_a_third_party_probe_is_loaded_by_entry_point() -> None:
    assert {"sound", "tcp"} <= set(plugin_names("probes"))
    assert load_plugin("probes", "sound")().name == "sound"


@pytest.mark.usefixtures("stranger")
@pytest.mark.parametrize("name", ["hollow", "gone"])
def test_a_broken_plugin_gives_a_one_line_error(name: str) -> None:
    with pytest.raises(PluginError, match=f"probe '{name}' cannot be loaded: ") as refused:
        load_plugin("probes", name)
    assert len(str(refused.value).splitlines()) == 1


def test_a_missing_plugin_error_lists_those_installed() -> None:
    with pytest.raises(PluginError, match=r"no probe named 'telepathy'; installed: dns, http, "):
        load_plugin("probes", "telepathy")
    with pytest.raises(PluginError, match="no nonesuch named 'x'; installed: none"):
        load_plugin("nonesuchs", "x")


def test_names_are_sorted_and_unique() -> None:
    for group in ("probes", "stores", "channels"):
        names = plugin_names(group)
        assert names == sorted(set(names))
        assert names
