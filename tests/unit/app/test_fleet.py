"""Whoever wishes it is forgotten, in every file that the observatory keeps."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from netwatch.app.fleet import erase_agent
from netwatch.collector.inbox import Inbox, Parcel
from netwatch.config import parse_config
from netwatch.model.measurement import Batch, Measurement, Vantage
from netwatch.signals.attendance import PRESENCE_FILE, Attendance, Stay
from netwatch.wire.envelope import pack_batch
from netwatch.wire.signing import BATCH, Signer

NOW = datetime(2026, 1, 8, tzinfo=UTC)


def leave_traces(folder: Path, name: str) -> None:
    """Let an agent send a batch, and come and go."""
    vantage = Vantage(name, "XX", 64500)
    row = Measurement("one", "tcp", NOW, None, "", alive=True, seconds=0.1)
    batch = Batch(vantage, 1, (row,))
    signer = Signer(Ed25519PrivateKey.generate())
    parcel = Parcel(batch, signer.sign(pack_batch(batch), BATCH), signer.public)
    with Inbox(folder / "inbox.sqlite") as inbox:
        inbox.add([parcel], closed_until=None, width=timedelta(minutes=5))
    with Attendance(folder / PRESENCE_FILE) as attendance:
        attendance.came(Stay(vantage, "broker", "boot", 1, 1, NOW))


def test_no_file_holds_the_name_of_who_was_erased(tmp_path: Path) -> None:
    config = parse_config(f'data = "{tmp_path}"')
    for name in ("volunteer-seven", "somebody-else"):
        leave_traces(tmp_path, name)
    assert erase_agent(config, "volunteer-seven") == 1
    for path in tmp_path.iterdir():
        with closing(sqlite3.connect(path)) as file:
            text = "\n".join(file.iterdump())
        assert "volunteer-seven" not in text, path.name
        assert "somebody-else" in text, path.name
