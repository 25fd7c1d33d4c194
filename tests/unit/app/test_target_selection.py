"""A list that comes over HTTP is stored outside the event loop."""

from datetime import datetime
from pathlib import Path
from threading import get_ident

import pytest

from netwatch.agent.enrollment_client import Enrollment
from netwatch.agent.target_list_store import TargetListStore
from netwatch.app import target_selection
from netwatch.app.target_selection import fetch_target_list


class RecordingStore(TargetListStore):
    """Records the thread that would wait for the disk."""

    thread = 0

    def receive(self, message: bytes, now: datetime) -> bool:
        self.thread = get_ident()
        return message == b"list"


async def test_the_event_loop_does_not_wait_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fetch(url: str, body: bytes | None, limit: int) -> bytes:
        return b"list"

    monkeypatch.setattr(target_selection, "fetch", fetch)
    store = RecordingStore(tmp_path / "targets")
    enrollment = Enrollment("https://a.example", "00" * 32, "22" * 32, "11" * 32)
    assert await fetch_target_list(enrollment, store)
    assert store.thread not in {0, get_ident()}
