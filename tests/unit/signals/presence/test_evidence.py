"""A damaged presence log stops no analysis."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from netwatch.signals.presence.disconnects import DisconnectEvidence
from netwatch.signals.presence.evidence import PresenceEvidence
from netwatch.signals.presence.log import PresenceLog

WIDTH = timedelta(minutes=5)
TIME = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_without_a_readable_log_there_is_no_evidence_and_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "presence.sqlite"
    path.write_bytes(b"not a database, but as long as the header of one would be" * 10)
    with PresenceEvidence(path, width=WIDTH) as evidence:
        for number in range(3):
            assert evidence(TIME + number * WIDTH) == DisconnectEvidence()
        assert len(caplog.records) == 1
        assert "is not a database" in caplog.text
        # The collector starts anew; the evidence comes from its new file.
        with PresenceLog(path, replace_at=TIME) as log:
            log.mark_listening(TIME, TIME + WIDTH)
            evidence(TIME + 3 * WIDTH)
            assert evidence._log is not None
    assert len(list(tmp_path.glob("presence.sqlite.damaged-20260301T120000"))) == 1
