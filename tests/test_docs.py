"""Every command, key and plugin is documented, and the README's commands run."""

import pkgutil
import re
import tomllib
from pathlib import Path

import pytest
from adversary.frame.registry import all_attacks
from generate_reference import (
    MEANINGS,
    commands_page,
    config_keys,
    configuration_page,
    leaf_commands,
    plugin_options,
)

from netwatch.config import parse_config
from netwatch.plugins import decode_section

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
GROUPS = ("probes", "stores", "channels", "sources")


def keys() -> list[str]:
    return [f"{table}.{key}".lstrip(".") for table, rows in config_keys().items() for key in rows]


def test_every_key_has_a_meaning_and_every_meaning_a_key() -> None:
    assert set(MEANINGS) == set(keys()), "say in tests/generate_reference.py what a key means"
    assert all(meaning.strip() for meaning in MEANINGS.values())


@pytest.mark.parametrize(
    ("name", "page"),
    [("configuration.md", configuration_page), ("commands.md", commands_page)],
)
def test_generated_pages_match_the_program(name: str, page: object) -> None:
    assert callable(page)
    stands = (ROOT / "docs" / name).read_text("utf-8")
    assert stands == page(), "call `make docs` and read what changed"


def test_documented_defaults_are_toml_with_the_same_values() -> None:
    for table, rows in config_keys().items():
        if table in {"uplink", "target", "place"}:
            continue
        lines = [f"{key} = {value}" for key, value in rows.items() if value != "required"]
        options = plugin_options().get(table)
        if options is not None:
            needed = {key: "x" for key, value in rows.items() if value == "required"}
            section = needed | tomllib.loads("\n".join(lines))
            assert decode_section(options, section) == decode_section(options, needed)
            continue
        head = [f"[{table}]"] if table else []
        assert parse_config("\n".join([*head, *lines])) == parse_config("")


def test_every_plugin_is_documented() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    page = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    for group in GROUPS:
        section = page.partition(f"## {group.capitalize()}\n")[2].partition("\n## ")[0]
        for name in project["entry-points"][f"netwatch.{group}"]:
            assert re.search(rf"^\| `{name}` \| \S.*\|$", section, re.MULTILINE), name


def test_the_architecture_page_names_functions_and_files_that_exist() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    functions = re.findall(r"`(netwatch[\w.]*:[\w.]+)`", page)
    assert len(functions) >= 15
    for name in functions:
        assert callable(pkgutil.resolve_name(name)), name
    files = re.findall(r"`([\w/]+\.py)`", page)
    assert len(files) >= 10
    for name in files:
        assert (ROOT / "netwatch" / name).is_file(), name


def test_every_command_explains_itself() -> None:
    for name, command in leaf_commands():
        assert command.help, name
        for parameter in command.params:
            about = getattr(parameter, "help", None)
            assert about, f"{name} {parameter.name}"
            # Rich takes brackets for markup and shows nothing.
            assert not re.search(r"\[\w+\]", about), f"{name} {parameter.name}"
        assert not re.search(r"\[\w+\]", command.help), name


def readme_commands() -> list[str]:
    """Return the command lines in the README's blocks, without comments."""
    text = (ROOT / "README.md").read_text("utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    lines = [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [line.removeprefix("$ ") for line in lines]


def test_the_readmes_make_targets_are_the_makefiles() -> None:
    wanted = {line.split()[1] for line in readme_commands() if line.startswith("make ")}
    assert {"demo", "test"} <= wanted
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert wanted <= targets
    first = (ROOT / "README.md").read_text("utf-8").partition("```")[2].partition("```")[0]
    assert [line.split("#")[0].strip() for line in first.strip().splitlines()] == [
        "make demo",
        "make test",
    ]


def test_the_readmes_netwatch_commands_exist_with_their_options() -> None:
    known = dict(leaf_commands())
    seen = 0
    for line in readme_commands():
        _, found, rest = line.partition("netwatch ")
        if not found or not re.match(r"(\S*/)?netwatch ", line):
            continue
        words = rest.split()
        name = next(
            (one for one in known if " ".join(words).startswith(one.removeprefix("netwatch "))),
            None,
        )
        assert name is not None, line
        options = {option for one in known[name].params for option in one.opts}
        assert {word for word in words if word.startswith("--")} <= options | {"--help"}, line
        seen += 1
    assert seen >= 4


def test_links_between_pages_lead_somewhere() -> None:
    missing = []
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            if "://" not in link and not link.startswith("mailto:"):
                target = (page.parent / link).resolve()
                if not target.exists():
                    missing.append(f"{page.name}: {link}")
    assert missing == []


def test_the_threat_model_names_every_attack_of_the_harness() -> None:
    page = (ROOT / "docs" / "threat-model.md").read_text("utf-8")
    table = page.partition("<!-- adversary: begin -->")[2].partition("<!-- adversary: end -->")[0]
    for one in all_attacks():
        assert f"`{one.name}`" in table, (
            "call python -m tests.adversary --page docs/threat-model.md"
        )
    assert "<!-- poisoning: begin -->" in page
    assert "<!-- poisoning: end -->" in page
