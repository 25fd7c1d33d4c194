"""Who holds a running agent: missing consent, its host, or the observatory's signed word."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from netwatch.agent import pausing as module
from netwatch.agent.consent import Consent
from netwatch.agent.pausing import Holder, PauseWatch, pause_note
from netwatch.agent.target_list import TargetList
from netwatch.agent.thinning import NOTE

NOW = datetime(2026, 1, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Watched:
    """A watch with both clocks in hand."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.consent = Consent(folder / "deep" / "consent.json")
        self.listed: TargetList | None = None
        self.now, self.seconds = NOW, 0.0
        monkeypatch.setattr(module, "monotonic", lambda: self.seconds)
        self.watch = PauseWatch(
            self.consent, clock=lambda: self.now, needed=True, listed=lambda: self.listed
        )

    def holder(self) -> Holder:
        self.seconds += 2
        assert self.watch() is (self.watch.holder is not Holder.NOBODY)
        return self.watch.holder


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(tmp_path, monkeypatch)


def test_a_running_agent_obeys_its_host(watched: Watched) -> None:
    assert watched.holder() is Holder.CONSENT
    watched.consent.grant(NOW)
    assert watched.watch(), "it looks once a second"
    assert watched.holder() is Holder.NOBODY
    watched.consent.pause(NOW + HOUR)
    assert watched.holder() is Holder.HOST
    watched.now += HOUR
    assert watched.holder() is Holder.NOBODY


def test_the_observatory_can_pause_and_never_unpause(watched: Watched) -> None:
    watched.consent.grant(NOW)
    watched.listed = TargetList(1, NOW - HOUR, pause_until=NOW + HOUR)  # expired, and still good
    assert watched.holder() is Holder.OBSERVATORY
    watched.consent.pause(NOW + 3 * HOUR)
    assert watched.holder() is Holder.HOST
    watched.now += 2 * HOUR
    assert watched.holder() is Holder.HOST
    watched.now += 2 * HOUR
    assert watched.holder() is Holder.NOBODY
    watched.consent.withdraw()
    assert watched.holder() is Holder.CONSENT


def test_a_damaged_consent_is_none_and_does_not_end_the_agent(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.consent.grant(NOW)
    assert watched.holder() is Holder.NOBODY
    watched.consent._path.write_text("yes, please")
    assert watched.holder() is Holder.CONSENT
    assert watched.holder() is Holder.CONSENT
    assert len(caplog.records) == 1


def test_a_pause_is_told_with_who_wanted_it() -> None:
    begun, ended = pause_note(Holder.OBSERVATORY, NOW), pause_note(Holder.NOBODY, NOW)
    assert begun.target == ended.target == f"{NOTE}pause"
    assert (begun.failure, ended.failure) == ("observatory", None)
