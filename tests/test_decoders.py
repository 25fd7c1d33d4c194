"""Every decoder of bytes from outside is known, and no bytes make it raise anything but its error.

A new decoder fails `test_every_decoder_is_known` until it is in `tests/foreign_decoders.py`.
"""

import ast
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from foreign_decoders import DECODERS, OWN, Decoder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).parents[1]
PRIMITIVES = frozenset({
    "Decoder", "ParquetFile", "b64decode", "convert", "decode", "decode_foreign", "decompress",
    "decompressobj", "frombuffer", "from_bytes", "fromhex", "from_wire", "fromisoformat",
    "iter_unpack", "load_der_x509_certificate", "load_pem_private_key",
    "load_pem_x509_certificate", "loads", "read_csv", "read_json", "read_parquet", "read_table",
    "receive_datagram", "strptime", "unpack", "unpack_from", "urlsafe_b64decode", "urlsplit",
})  # fmt: skip
"""Functions that take bytes or text apart."""
SHORT, LONG = 60, 1_000_000
"""Inputs by Hypothesis: of each decoder, and in the long form of all together."""
FUZZED_SECONDS = 600
MAX_GROWTH_MB = 300
"""Memory that decoding any inputs may take, beyond what the process had."""


def sites(path: Path) -> Iterator[str]:
    """Yield the functions of a module that use a primitive, as `path:Class.function`."""
    name = path.relative_to(ROOT).as_posix()

    def visit(node: ast.AST, scope: tuple[str, ...]) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            inner = scope
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inner = (*scope, child.name)
            used = getattr(child, "attr", getattr(child, "id", ""))
            if isinstance(child, ast.Attribute | ast.Name) and used in PRIMITIVES:
                yield f"{name}:{'.'.join(scope)}"
            yield from visit(child, inner)

    yield from visit(ast.parse(path.read_text("utf-8")), ())


def test_every_decoder_is_known() -> None:
    packages = (ROOT / "netwatch", ROOT / "probes" / "netwatch_probes")
    found = {site for package in packages for path in package.rglob("*.py") for site in sites(path)}
    known = {site for one in DECODERS for site in one.sites}
    known |= {site for group in OWN.values() for site in group}
    assert found - known == set(), "feed these in tests/foreign_decoders.py"
    assert known - found == set(), "these are no decoders any more"


def test_a_new_decoder_is_found(tmp_path: Path) -> None:
    path = ROOT / "netwatch" / "wire" / "topics.py"
    text = path.read_text("utf-8")
    assert list(sites(path)) == []
    tree = ast.parse(text + "\n\ndef read(data):\n    return json.loads(data)\n")
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert names & PRIMITIVES == {"loads"}


@st.composite
def mutated(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """Return random bytes, or a valid input with some bytes changed, inserted or cut off."""
    if not seeds or draw(st.integers(0, 3)) == 0:
        return draw(st.binary(max_size=400))
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        data[start : start + draw(st.integers(0, 4))] = draw(st.binary(max_size=6))
    return bytes(data)


def memory_mb() -> float:
    """Return the largest resident memory that this process had, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def check(decoder: Decoder, count: int) -> None:
    """Feed as many inputs, with a limit on memory."""
    for seed in decoder.seeds:
        decoder.feed(seed)
    before = memory_mb()

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(mutated(decoder.seeds))
    def feed(data: bytes) -> None:
        decoder.feed(data)

    feed()
    assert memory_mb() - before < MAX_GROWTH_MB


@pytest.mark.parametrize("decoder", DECODERS, ids=lambda one: one.name)
def test_no_bytes_raise_another_error(decoder: Decoder) -> None:
    check(decoder, SHORT)


@pytest.mark.long
@pytest.mark.parametrize("decoder", DECODERS, ids=lambda one: one.name)
def test_a_million_inputs_raise_no_other_error(decoder: Decoder) -> None:
    check(decoder, LONG // len(DECODERS))


def fuzz(name: str, seconds: int, folder: Path) -> None:
    """Run atheris on one decoder in a process of its own."""
    pytest.importorskip("atheris", reason="atheris has no wheel for this machine or Python")
    command = [sys.executable, str(Path(__file__).with_name("fuzz_decoder.py")), name]
    limits = [f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=1500", "-max_len=4096"]
    done = subprocess.run(
        [*command, *limits, f"-artifact_prefix={folder}/", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + 120,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_fuzzing_finds_no_other_error(tmp_path: Path) -> None:
    fuzz("all", 5, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("decoder", DECODERS, ids=lambda one: one.name)
def test_ten_minutes_of_fuzzing_find_no_other_error(decoder: Decoder, tmp_path: Path) -> None:
    fuzz(decoder.name, FUZZED_SECONDS // len(DECODERS) + 1, tmp_path)
