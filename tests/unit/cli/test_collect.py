"""Batches that travel in files: from a spool, to a collector, and its receipts back."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from netwatch.app.vantage import open_spool
from netwatch.config import read_config
from netwatch.model.measurement import Measurement
from netwatch.wire.ack import ACKNOWLEDGEMENT, Ack
from netwatch.wire.export import FileKind, write_messages
from netwatch.wire.signing import Signer

Call = Callable[..., tuple[int, str, str]]
START = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)
CONFIG = """
data = "{}"
[vantage]
id = "far"
country = "XX"
asn = 64500
[[target]]
id = "one"
probe = "tcp"
host = "127.0.0.1"
port = 9
"""


@pytest.fixture(autouse=True)
def _configurations(tmp_path: Path) -> None:
    """Write the configuration of an agent, `far.toml`, and of an observatory."""
    for name in ("far", "netwatch"):
        (tmp_path / f"{name}.toml").write_text(CONFIG.format(tmp_path / f"{name}-data"))


def fill_spool(count: int) -> None:
    with open_spool(read_config(Path("far.toml"))) as spool:
        for number in range(count):
            time = START + timedelta(seconds=number)
            spool.append(
                [Measurement("one", "tcp", time, None, "", host_responded=True, seconds=0.1)]
            )
            spool.flush()


def waiting() -> int:
    with open_spool(read_config(Path("far.toml"))) as spool:
        return spool.count_pending()


def test_an_export_is_imported_and_its_receipts_return(call: Call) -> None:
    fill_spool(120)
    assert call("agent", "export", "stick.nwx", "-c", "far.toml")[0] == 0
    code, output, error = call("collect", "import", "stick.nwx", "--receipts", "back")
    assert (code, error) == (0, "")
    assert output == "120 batches with 120 measurements stored, 0 were stored before\n"
    fill_spool(1)
    code, output, _ = call("agent", "import-receipts", "back", "-c", "far.toml", "--json")
    assert code == 0
    expected = {"deleted": 120, "refused": 0, "foreign": 0, "problem": ""}
    assert json.loads(output) == expected
    assert waiting() == 1
    assert (
        json.loads(call("collect", "import", "stick.nwx", "--json")[1])["repeated_batches"] == 120
    )


def test_each_bad_file_gives_one_line_and_the_others_are_imported(
    call: Call, tmp_path: Path
) -> None:
    fill_spool(3)
    call("agent", "export", "good.nwx", "-c", "far.toml")
    whole = (tmp_path / "good.nwx").read_bytes()
    (tmp_path / "cut.nwx").write_bytes(whole[:-1])
    (tmp_path / "text.nwx").write_text("hello")
    code, output, error = call("collect", "import", "text.nwx", "cut.nwx", "no.nwx", "good.nwx")
    assert code == 2
    assert output == "3 batches with 3 measurements stored, 2 were stored before\n"
    lines = error.splitlines()
    assert [line.split(":")[1].strip() for line in lines] == ["text.nwx", "cut.nwx", "no.nwx"]
    assert all(line.startswith("netwatch: ") for line in lines)


@pytest.mark.parametrize("harm", ["unsigned", "foreign key", "text"])
def test_false_receipts_delete_nothing(call: Call, tmp_path: Path, harm: str) -> None:
    fill_spool(2)
    call("agent", "export", "stick.nwx", "-c", "far.toml")
    call("collect", "import", "stick.nwx", "--receipts", "back")
    if harm == "foreign key":
        call("agent", "import-receipts", "back", "-c", "far.toml")
        fill_spool(2)
    forger = Signer(Ed25519PrivateKey.generate()) if harm == "foreign key" else None
    receipt = ACKNOWLEDGEMENT.pack(Ack("far", ((0, 2**52),)), forger)
    write_messages(tmp_path / "false", [receipt], FileKind.RECEIPTS)
    if harm == "text":
        (tmp_path / "false").write_text("netwatch export 1\n")
    code, _, error = call("agent", "import-receipts", "false", "-c", "far.toml")
    assert code == 2
    assert error.startswith("netwatch: false: ")
    assert waiting() == 2


def test_receipts_for_another_agent_change_nothing(call: Call, tmp_path: Path) -> None:
    fill_spool(2)
    signer = Signer(Ed25519PrivateKey.generate())
    ack = Ack("near", ((0, 2**52),))
    write_messages(tmp_path / "back", [ACKNOWLEDGEMENT.pack(ack, signer)], FileKind.RECEIPTS)
    code, output, _ = call("agent", "import-receipts", "back", "-c", "far.toml", "--json")
    assert (code, json.loads(output)["foreign"], waiting()) == (0, 1, 2)
