"""Pauses by missing consent, the host, or the observatory's signed list."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from servers import until

from netwatch.agent import pause as module
from netwatch.agent.consent import Consent
from netwatch.agent.pause import PauseReason, PauseWatch, pause_event, run_with_consent
from netwatch.agent.target_list import TargetList

NOW = datetime(2026, 1, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)


class PausableVantage:
    """A watch with both clocks set by hand."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.consent = Consent(folder / "deep" / "consent.json")
        self.listed: TargetList | None = None
        self.now, self.seconds = NOW, 0.0
        monkeypatch.setattr(module, "monotonic", lambda: self.seconds)
        self.pause_watch = PauseWatch(
            self.consent,
            clock=lambda: self.now,
            consent_needed=True,
            target_list=lambda: self.listed,
        )

    def reason(self) -> PauseReason:
        self.seconds += 2
        return self.pause_watch()


@pytest.fixture
def vantage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PausableVantage:
    return PausableVantage(tmp_path, monkeypatch)


def test_the_host_can_pause_and_resume(vantage: PausableVantage) -> None:
    assert vantage.reason() is PauseReason.CONSENT
    vantage.consent.grant(NOW)
    assert vantage.pause_watch(), "the files are read once a second"
    assert vantage.reason() is PauseReason.NONE
    vantage.consent.pause(NOW + HOUR)
    assert vantage.reason() is PauseReason.HOST
    vantage.now += HOUR
    assert vantage.reason() is PauseReason.NONE


def test_the_observatory_can_pause_but_not_resume(vantage: PausableVantage) -> None:
    vantage.consent.grant(NOW)
    vantage.listed = TargetList(1, NOW - HOUR, pause_until=NOW + HOUR)  # expired, and still good
    assert vantage.reason() is PauseReason.OBSERVATORY
    vantage.consent.pause(NOW + 3 * HOUR)
    assert vantage.reason() is PauseReason.HOST
    vantage.now += 2 * HOUR
    assert vantage.reason() is PauseReason.HOST
    vantage.now += 2 * HOUR
    assert vantage.reason() is PauseReason.NONE
    vantage.consent.revoke()
    assert vantage.reason() is PauseReason.CONSENT


def test_a_damaged_consent_file_pauses_and_does_not_end_the_agent(
    vantage: PausableVantage, caplog: pytest.LogCaptureFixture
) -> None:
    vantage.consent.grant(NOW)
    assert vantage.reason() is PauseReason.NONE
    vantage.consent._path.write_text("yes, please")
    assert vantage.reason() is PauseReason.CONSENT
    assert vantage.reason() is PauseReason.CONSENT
    assert len(caplog.records) == 1


def test_a_pause_event_carries_its_reason() -> None:
    begun, ended = pause_event(PauseReason.OBSERVATORY, NOW), pause_event(PauseReason.NONE, NOW)
    assert begun.target == ended.target == "@pause"
    assert (begun.failure, ended.failure) == ("observatory", None)


async def test_only_missing_consent_cancels_and_its_return_starts_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_POLL_INTERVAL", 0.01)
    reason, log = PauseReason.CONSENT, list[str]()

    async def part() -> None:
        log.append("started")
        try:
            await asyncio.Event().wait()
        finally:
            log.append("cancelled")

    running = asyncio.ensure_future(run_with_consent(lambda: reason, part))
    await asyncio.sleep(0.05)
    assert log == []
    reason = PauseReason.HOST
    await until(lambda: log == ["started"])
    reason = PauseReason.OBSERVATORY
    await asyncio.sleep(0.05)
    assert log == ["started"]
    reason = PauseReason.CONSENT
    await until(lambda: log == ["started", "cancelled"])
    reason = PauseReason.NONE
    await until(lambda: log == ["started", "cancelled", "started"])
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_an_exception_of_the_part_is_raised() -> None:
    async def part() -> None:
        raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        await run_with_consent(lambda: PauseReason.NONE, part)
