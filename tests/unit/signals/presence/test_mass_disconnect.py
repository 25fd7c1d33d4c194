"""Mass disconnects: evidence if a country is lost, one alert if our own side failed."""

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from netwatch.analysis.loop import log_results
from netwatch.analysis.pipeline import PipelineResult, PipelineRunner
from netwatch.app.observatory import make_pipeline
from netwatch.config import AnalysisConfig, Config, PublishConfig
from netwatch.ledger.ledger import SqlLedger, ledger_url
from netwatch.model.duration import Duration
from netwatch.model.entities import Entity, EntityInfo, EntityTree
from netwatch.model.incident import Incident
from netwatch.model.measurement import Vantage
from netwatch.model.series import Bin, SeriesKey
from netwatch.model.signals import AGENTS
from netwatch.signals.presence.disconnects import DisconnectEvidence, MassDisconnectDetector
from netwatch.signals.presence.log import PresenceLog, PresenceState, Session
from netwatch.signals.presence.online_counts import count_agents
from netwatch.store.memory import MemoryStore

WIDTH = timedelta(minutes=5)
START = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)
FALL = START + DAY + timedelta(minutes=1)
COUNTRIES = ("XA", "XB", "XC")
EACH = 12
CONFIG = Config(
    analysis=AnalysisConfig(min_history=Duration(hours=12)), publish=PublishConfig(channels=())
)
XA = Entity.parse("country:XA")
MEASURED = {
    "XA": Entity.parse("asn:64999"),
    "XB": Entity.parse("country:XB"),
    "XC": Entity.parse("country:XC"),
}
"""Whose traffic is known; no agent is in the network of the first."""


@pytest.fixture
def log(tmp_path: Path) -> Iterator[PresenceLog]:
    """A log of three countries' agents, online for days."""
    with PresenceLog(tmp_path / "presence.sqlite") as opened:
        for country in COUNTRIES:
            for number in range(EACH):
                opened.opened(session(country, number))
        yield opened


def session(country: str, number: int, broker: str = "one") -> Session:
    vantage = Vantage(f"{country}-{number}", country, 64500 + number % 3)
    return Session(vantage, broker, "boot", 1, 1, START)


def lose(log: PresenceLog, *countries: str, at: datetime = FALL, masked: bool = False) -> None:
    for country in countries:
        for number in range(EACH):
            moment = at + timedelta(seconds=number)
            log.closed(session(country, number), PresenceState.LOST, at=moment, masked=masked)


def results(log: PresenceLog, *, hours: int = 2) -> list[DisconnectEvidence]:
    """Return what every interval around the fall came to."""
    call, first = MassDisconnectDetector(log, width=WIDTH), FALL - timedelta(hours=1, minutes=1)
    return [call(first + number * WIDTH) for number in range(hours * 12)]


def test_a_lost_country_is_evidence_for_it_alone(log: PresenceLog) -> None:
    log.mark_listening(START, START + 5 * DAY)
    lose(log, "XA")
    evidence = results(log)
    disconnects = [result for result in evidence if result.log_likelihoods]
    assert len(disconnects) == 1
    assert disconnects[0].log_likelihoods[SeriesKey(AGENTS, XA)] > 50
    assert not any(
        str(key.entity) in {"country:XB", "country:XC"} for key in disconnects[0].log_likelihoods
    )
    assert not any(result.masked or result.operator_alert for result in evidence)


def test_evidence_is_available_within_the_interval_after_the_loss(log: PresenceLog) -> None:
    log.mark_listening(START, START + 5 * DAY)
    lose(log, "XA")
    call = MassDisconnectDetector(log, width=WIDTH)
    before = call(FALL - timedelta(minutes=6))
    assert not before.log_likelihoods
    assert call(FALL - timedelta(minutes=1)).log_likelihoods


def test_losing_every_agent_is_an_own_fault_and_alerted_once(log: PresenceLog) -> None:
    log.mark_listening(START, START + 5 * DAY)
    lose(log, *COUNTRIES)
    evidence = results(log)
    assert [bool(result.operator_alert) for result in evidence].count(True) == 1
    assert any(result.masked for result in evidence)
    assert not any(result.log_likelihoods for result in evidence)


def test_losses_without_listening_are_no_evidence(log: PresenceLog) -> None:
    log.mark_listening(START, FALL - timedelta(minutes=2))
    lose(log, "XA")
    assert all(result == DisconnectEvidence() for result in results(log))


def test_masked_losses_are_no_evidence(log: PresenceLog) -> None:
    log.mark_listening(START, START + 5 * DAY)
    lose(log, "XA", masked=True)
    assert not any(result.log_likelihoods for result in results(log))


def test_a_late_will_counts(log: PresenceLog) -> None:
    log.mark_listening(START, START + 5 * DAY)
    call, first = MassDisconnectDetector(log, width=WIDTH), FALL - timedelta(minutes=1)
    at = first + timedelta(minutes=4)
    assert not call(first).log_likelihoods
    # A minute after the interval was judged, of a packet before its end.
    lose(log, "XA", at=at)
    assert call(first + WIDTH).log_likelihoods


@pytest.mark.parametrize("lost", [("XA",), COUNTRIES], ids=["a country", "everybody"])
@pytest.mark.parametrize("minutes", [1, 3])
def test_a_restart_and_a_second_try_change_nothing(
    log: PresenceLog, minutes: int, lost: tuple[str, ...]
) -> None:
    log.mark_listening(START, START + 5 * DAY)
    lose(log, *lost, at=FALL + timedelta(minutes=minutes))
    times = [FALL - timedelta(minutes=6) + number * WIDTH for number in range(6)]
    whole = MassDisconnectDetector(log, width=WIDTH)
    expected = [whole(time) for time in times]
    assert any(result.log_likelihoods or result.operator_alert for result in expected)
    assert [MassDisconnectDetector(log, width=WIDTH)(time) for time in times] == expected
    again = MassDisconnectDetector(log, width=WIDTH)
    assert [again(time) for time in times for _ in range(2)][1::2] == expected


class Observatory:
    """Everything from the presence log to the ledger, in memory."""

    def __init__(self, folder: Path, log: PresenceLog) -> None:
        self.log, self.store = log, MemoryStore()
        self.ledger = SqlLedger(ledger_url(folder / "ledger.sqlite"))
        places = [EntityInfo(Entity.parse(f"country:{code}"), code) for code in COUNTRIES]
        places.append(EntityInfo(Entity.parse("asn:64999"), "AS64999", XA))
        pipeline = make_pipeline(
            CONFIG, EntityTree(places), width=WIDTH,
            disconnects=MassDisconnectDetector(log, width=WIDTH),
        )  # fmt: skip
        self.analysis = PipelineRunner(pipeline, self.store, self.ledger, width=WIDTH)

    def run(self, traffic: Callable[[str, datetime], float]) -> list[PipelineResult]:
        """Close and judge a day and some hours."""
        time, rows = START, list[Bin]()
        while time < START + 1.15 * DAY:
            rows += count_agents(self.log, time, time + WIDTH)
            rows += [
                Bin(time, SeriesKey("traffic", MEASURED[code]),
                    traffic(code, time) * (1000 + (time.minute * 7) % 20))
                for code in COUNTRIES
            ]  # fmt: skip
            time += WIDTH
        self.store.put_bins(rows, closed_until=time)
        done: list[PipelineResult] = []
        while step := self.analysis.catch_up():
            done += step
        return done


def incidents(observatory: Observatory) -> list[Incident]:
    return observatory.ledger.incidents()


def test_a_broker_failure_alerts_the_operator_and_opens_no_incident(
    tmp_path: Path, log: PresenceLog
) -> None:
    log.mark_listening(START, START + 5 * DAY)
    lose(log, *COUNTRIES)
    observatory = Observatory(tmp_path, log)
    done = observatory.run(lambda _, time: 1.0)
    assert [one.operator_alert for one in done if one.operator_alert] == [
        "36 agents were lost in 3 countries at once"
    ]
    assert incidents(observatory) == []
    observatory.ledger.close()


def test_agents_and_one_other_signal_open_an_incident(tmp_path: Path, log: PresenceLog) -> None:
    log.mark_listening(START, START + 5 * DAY)
    lose(log, "XA")
    observatory = Observatory(tmp_path, log)
    done = observatory.run(lambda code, time: 0.02 if code == "XA" and time > FALL else 1.0)
    assert [one.operator_alert for one in done if one.operator_alert] == []
    [incident] = incidents(observatory)
    assert incident.entity == XA
    assert incident.confirmed_at is not None
    assert incident.confirmed_at <= FALL + timedelta(minutes=30)
    assert dict(incident.signals) == {"agents": True, "traffic": True}
    observatory.ledger.close()


def test_agents_alone_confirm_no_incident(tmp_path: Path, log: PresenceLog) -> None:
    log.mark_listening(START, START + 5 * DAY)
    lose(log, "XA")
    observatory = Observatory(tmp_path, log)
    observatory.run(lambda _, time: 1.0)
    assert all(one.confirmed_at is None for one in incidents(observatory))
    observatory.ledger.close()


def test_the_alert_is_logged(
    tmp_path: Path, log: PresenceLog, caplog: pytest.LogCaptureFixture
) -> None:
    log.mark_listening(START, START + 5 * DAY)
    lose(log, *COUNTRIES)
    observatory = Observatory(tmp_path, log)
    with caplog.at_level(logging.WARNING, logger="netwatch.analysis.loop"):
        log_results(observatory.run(lambda _, time: 1.0))
    assert [record.message for record in caplog.records if "suspect ourselves" in record.message]
    observatory.ledger.close()
