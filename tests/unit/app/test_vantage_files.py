"""Files of a vantage are readable by its owner only, whatever the umask."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from stat import S_IMODE

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from netwatch.agent.enrollment_client import Enrollment
from netwatch.agent.record_file import write_record
from netwatch.agent.target_list import TARGET_LIST, TargetList
from netwatch.app.target_selection import open_target_list_store
from netwatch.app.transports import broker_password
from netwatch.app.vantage import open_spool
from netwatch.app.vantage_files import enrollment_path, list_files, open_consent
from netwatch.config import parse_config
from netwatch.model.measurement import Measurement
from netwatch.wire.signing import Signer

NOW = datetime(2026, 1, 8, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _careless() -> Iterator[None]:
    """Set a umask that lets everybody read new files."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return S_IMODE(path.stat().st_mode)


def test_folder_and_files_of_a_vantage_are_private(tmp_path: Path) -> None:
    config = parse_config(f'data = "{tmp_path / "data"}"')
    open_consent(config).grant(NOW)
    write_record(
        enrollment_path(config), Enrollment("https://a.example", "00" * 32, "22" * 32, "11" * 32)
    )
    signer = Signer(Ed25519PrivateKey.generate())
    listed = TargetList(1, NOW.replace(year=2027))
    open_target_list_store(config, key=signer.public).adopt(TARGET_LIST.pack(listed, signer), NOW)
    with open_spool(config) as spool:
        spool.append([Measurement("one", "tcp", NOW, None, "", host_responded=True, seconds=0.1)])
        modes = {path.name: mode(path) for path in list_files(config)}
    assert mode(tmp_path / "data") == 0o700
    assert set(modes) == {
        "agent-local.key",
        "consent-local.json",
        "observatory-local.json",
        "spool-local.sqlite",
        "spool-local.sqlite-shm",
        "spool-local.sqlite-wal",
        "targets-local",
    }
    assert set(modes.values()) == {0o600}


def test_folder_of_the_observatory_is_private(tmp_path: Path) -> None:
    broker_password(parse_config(f'data = "{tmp_path / "data"}"'))
    assert mode(tmp_path / "data") == 0o700
