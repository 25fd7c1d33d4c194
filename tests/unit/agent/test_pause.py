"""Who holds a running agent: missing consent, its host, or the observatory's signed word."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from servers import until

from netwatch.agent import pause as module
from netwatch.agent.consent import Consent
from netwatch.agent.pause import PauseReason, PauseWatch, pause_event, run_while_not
from netwatch.agent.spool.downsample import EVENT_PREFIX
from netwatch.agent.target_list import TargetList

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

    def holder(self) -> PauseReason:
        self.seconds += 2
        assert self.watch() is (self.watch.holder is not PauseReason.NOBODY)
        return self.watch.holder


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(tmp_path, monkeypatch)


def test_a_running_agent_obeys_its_host(watched: Watched) -> None:
    assert watched.holder() is PauseReason.CONSENT
    watched.consent.grant(NOW)
    assert watched.watch(), "it looks once a second"
    assert watched.holder() is PauseReason.NOBODY
    watched.consent.pause(NOW + HOUR)
    assert watched.holder() is PauseReason.HOST
    watched.now += HOUR
    assert watched.holder() is PauseReason.NOBODY


def test_the_observatory_can_pause_and_never_unpause(watched: Watched) -> None:
    watched.consent.grant(NOW)
    watched.listed = TargetList(1, NOW - HOUR, pause_until=NOW + HOUR)  # expired, and still good
    assert watched.holder() is PauseReason.OBSERVATORY
    watched.consent.pause(NOW + 3 * HOUR)
    assert watched.holder() is PauseReason.HOST
    watched.now += 2 * HOUR
    assert watched.holder() is PauseReason.HOST
    watched.now += 2 * HOUR
    assert watched.holder() is PauseReason.NOBODY
    watched.consent.revoke()
    assert watched.holder() is PauseReason.CONSENT


def test_a_damaged_consent_is_none_and_does_not_end_the_agent(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.consent.grant(NOW)
    assert watched.holder() is PauseReason.NOBODY
    watched.consent._path.write_text("yes, please")
    assert watched.holder() is PauseReason.CONSENT
    assert watched.holder() is PauseReason.CONSENT
    assert len(caplog.records) == 1


def test_a_pause_is_told_with_who_wanted_it() -> None:
    begun, ended = pause_event(PauseReason.OBSERVATORY, NOW), pause_event(PauseReason.NOBODY, NOW)
    assert begun.target == ended.target == f"{EVENT_PREFIX}pause"
    assert (begun.failure, ended.failure) == ("observatory", None)


def test_a_pause_holds_what_is_measured_and_withdrawn_consent_all(watched: Watched) -> None:
    watched.consent.grant(NOW)
    watched.consent.pause(NOW + HOUR)
    assert watched.holder() is PauseReason.HOST
    assert not watched.watch.withdrawn()
    watched.consent.revoke()
    watched.seconds += 2
    assert watched.watch.withdrawn()


async def test_what_is_held_is_stopped_and_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOK", 0.01)
    held, told = True, list[str]()

    async def part() -> None:
        told.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            told.append("stopped")

    running = asyncio.ensure_future(run_while_not(lambda: held, part))
    await asyncio.sleep(0.05)
    assert told == []
    held = False
    await until(lambda: told == ["begun"])
    held = True
    await until(lambda: told == ["begun", "stopped"])
    held = False
    await until(lambda: told == ["begun", "stopped", "begun"])
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_breaks_while_nothing_is_held_is_told() -> None:
    async def part() -> None:
        raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        await run_while_not(lambda: False, part)
