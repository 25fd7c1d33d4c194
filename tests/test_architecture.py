"""The rules of the house that a test can hold; ruff, mypy and import-linter hold the others."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted([*ROOT.glob("netwatch/**/*.py"), *ROOT.glob("probes/**/*.py")])
EVERYTHING = sorted([*SOURCES, *ROOT.glob("tests/**/*.py"), *ROOT.glob("benchmarks/**/*.py")])
HEAVY = ("numpy", "pandas", "matplotlib", "sqlalchemy", "duckdb", "amqtt", "starlette", "jinja2")
MAX_LINES = 600


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def test_no_file_is_long() -> None:
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in EVERYTHING}
    assert len(lengths) > 100
    assert names([path for path, found in lengths.items() if found > MAX_LINES]) == []


def test_most_files_are_short() -> None:
    lengths = sorted(len(path.read_text("utf-8").splitlines()) for path in SOURCES)
    assert lengths[len(lengths) // 2] <= 150


@pytest.mark.parametrize(
    "module",
    ["netwatch.agent.loop", "netwatch.app.vantage", "netwatch.cli.agent", "netwatch_probes.http"],
)
def test_a_vantage_is_light(module: str) -> None:
    program = (
        f"import sys, {module}\n"
        f"print(*sorted({set(HEAVY)!r} & {{name.partition('.')[0] for name in sys.modules}}))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=18
    )
    assert (ended.returncode, ended.stdout.strip(), ended.stderr) == (0, "", "")


def imported(path: Path) -> Iterator[str]:
    """Yield the modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_the_model_imports_only_the_standard_library() -> None:
    for path in ROOT.glob("netwatch/model/*.py"):
        for module in imported(path):
            top = module.partition(".")[0]
            assert top in sys.stdlib_module_names or module.startswith("netwatch.model"), path


def test_only_the_command_prints_and_nothing_sleeps_in_the_loop() -> None:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "print", path


def test_only_the_composition_root_reads_the_clock() -> None:
    # Each exception stands where a promise of its own module asks for the present.
    allowed = {"netwatch/app/wall_clock.py", "netwatch/store/validation.py", "netwatch/cli"}
    clock = re.compile(r"datetime\.now\(|\btime\.time\(")
    found = {
        str(path.relative_to(ROOT)) for path in SOURCES if clock.search(path.read_text("utf-8"))
    }
    assert {name for name in found if not name.startswith(tuple(allowed))} == set()


def test_every_suppressed_rule_has_its_reason() -> None:
    # An explanation follows the codes, after a dash or as a second comment.
    bare = re.compile(r"#\s*noqa(?!: [A-Z]+[0-9]+(?:, ?[A-Z]+[0-9]+)*\s+[-#] ?\S)")
    ignored = re.compile(r"#\s*type: ignore(?!\[)")
    for path in SOURCES:
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            assert not bare.search(line), f"{path}:{number}"
            assert not ignored.search(line), f"{path}:{number}"


def test_no_file_has_a_path_of_the_build_machine() -> None:
    secret = re.compile(r"(?<![\w.])/(?:work|tmp)/|/home/\w|/root/")
    suffixes = {".py", ".md", ".toml", ".yaml", ".yml", ".json", ".csv", ".txt", ".html"}
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("no git repository here")
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.suffix in suffixes and path.exists() and path != Path(__file__):
            assert not secret.search(path.read_text("utf-8", "replace")), name


def test_only_the_shipped_data_sets_are_in_the_repository() -> None:
    large = [path for path in ROOT.glob("netwatch/**/*.csv") if path.stat().st_size > 100_000]
    assert names(large) == []


def test_heavy_libraries_are_not_core_dependencies() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    light = " ".join(project["dependencies"])
    assert not any(re.search(rf"\b{name}\b", light) for name in HEAVY)


def test_every_package_has_a_docstring() -> None:
    for path in ROOT.glob("netwatch/**/__init__.py"):
        assert ast.get_docstring(ast.parse(path.read_text("utf-8"))), path
