"""The consent file: versions of the text, and damaged files."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from netwatch.agent import consent as module
from netwatch.agent.consent import Consent, needs_consent
from netwatch.model.errors import ConfigError
from netwatch.model.measurement import Target

NOW = datetime(2026, 1, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("host", "needed"),
    [
        ("127.0.0.1", False),
        ("127.66.0.1", False),
        ("::1", False),
        ("localhost", False),
        ("192.168.1.1", True),
        ("example.org", True),
        ("2001:db8::1", True),
    ],
)
def test_only_this_machine_needs_no_consent(host: str, *, needed: bool) -> None:
    assert needs_consent(Target("one", "tcp", host)) is needed


def test_a_new_text_needs_a_new_consent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    consent = Consent(tmp_path / "consent.json")
    consent.grant(NOW)
    assert consent.granted_at() == NOW
    monkeypatch.setattr(module, "CONSENT_VERSION", 3)
    assert consent.granted_at() is None


def test_a_damaged_file_gives_a_one_line_error(tmp_path: Path) -> None:
    path = tmp_path / "consent.json"
    path.write_bytes(b'{"categories":["\xff\xfe"]}')
    with pytest.raises(ConfigError, match=r"consent\.json: "):
        Consent(path).granted_at()
    path.write_text("yes, please")
    with pytest.raises(ConfigError, match=r"consent\.json: JSON is malformed"):
        Consent(path).granted_at()
