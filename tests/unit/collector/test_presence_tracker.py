"""Presence from births, late wills and goodbyes, and around failures of our own side."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from netwatch.collector.metrics import CollectorMetrics, by_label
from netwatch.collector.presence_tracker import HTTP_TRANSPORT, PresenceTracker
from netwatch.model.entities import Entity
from netwatch.model.measurement import Vantage
from netwatch.model.series import SeriesKey
from netwatch.model.signals import AGENTS
from netwatch.protocols import Message
from netwatch.signals.presence.disconnects import DisconnectMonitor
from netwatch.signals.presence.log import (
    PresenceEvent,
    PresenceLog,
)
from netwatch.signals.presence.online_counts import count_agents
from netwatch.wire.presence_message import PRESENCE, PresenceMessage
from netwatch.wire.signing import Signer
from netwatch.wire.topics import presence_topic

START = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)
IRAN = Entity.parse("country:IR")
KEY = Signer(Ed25519PrivateKey.generate())


class Bench:
    """A tracker on simulated time, and agents that are known."""

    def __init__(self, folder: Path) -> None:
        self.now = START
        self.metrics = CollectorMetrics()
        self.presence_log = PresenceLog(folder / "presence.sqlite")
        self.known = {f"a{number}" for number in range(9)}
        self.key: bytes | None = None
        self.former_keys: set[bytes] = set()
        self.restart()
        self.tracker.on_broker_up("b1")
        self.tick()

    def restart(self) -> None:
        self.tracker = PresenceTracker(
            self.presence_log,
            identify=lambda agent, _: (
                (Vantage(agent, "IR", 44244), frozenset([self.key, *self.former_keys]))
                if agent in self.known
                else None
            ),
            clock=lambda: self.now,
            metrics=self.metrics,
            settle_time=timedelta(minutes=3),
        )

    def tick(self, seconds: float = 0) -> None:
        self.now += timedelta(seconds=seconds)
        self.tracker.tick()

    def say(
        self, agent: str, state: str, session: int = 1, connection: int = 1, *,
        retained: bool = False, signer: Signer | None = None, **more: object,
    ) -> None:  # fmt: skip
        presence = PresenceMessage(state, "boot", session, connection, **more)
        payload = PRESENCE.pack(presence, signer)
        self.tracker.on_message(Message(presence_topic(agent), payload, retained=retained))

    def events(self) -> list[PresenceEvent]:
        return self.presence_log.events(START - timedelta(days=1), START + timedelta(days=90))

    def states(self) -> list[tuple[str, str, str, bool]]:
        return [(one.state, one.vantage.id, one.reason, one.masked) for one in self.events()]

    def count(self) -> tuple[float, float | None] | None:
        found = count_agents(self.presence_log, self.now - timedelta(seconds=30), self.now)
        return next(((one.value, one.total) for one in found if one.series.entity == IRAN), None)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.presence_log.close()


def test_births_losses_and_goodbyes_become_events_and_counts(bench: Bench) -> None:
    for agent in ("a1", "a2", "a3"):
        bench.say(agent, "up")
    bench.tick(60)
    assert bench.count() == (3, 3)
    bench.tracker.on_batch(["a1"])
    bench.tick(20)
    bench.say("a1", "lost")
    bench.say("a2", "stop", reason="shutdown")
    bench.tick(40)
    assert bench.count() == (1, 2)
    assert bench.states()[3:] == [("lost", "a1", "", False), ("stop", "a2", "shutdown", False)]
    # Dated to the last known packet, not to the will.
    assert bench.events()[3].at == START + timedelta(seconds=60)


def test_outdated_messages_are_ignored(bench: Bench) -> None:
    bench.say("a1", "up", 1, 1)
    bench.say("a1", "up", 1, 2)
    bench.say("a1", "lost", 1, 1)
    bench.say("a1", "up", 2, 1)
    bench.say("a1", "lost", 1, 9)
    assert [state for state, *_ in bench.states()] == ["up", "up"]
    assert by_label(bench.metrics.presence_messages)["outdated"] == 2
    bench.say("a1", "lost", 2, 1)
    bench.say("a1", "up", 2, 1, retained=True)
    assert by_label(bench.metrics.presence_messages)["outdated"] == 3
    assert bench.states()[-1][0] == "lost"


def test_a_return_is_after_a_network_loss_or_a_restart(bench: Bench) -> None:
    bench.say("a1", "up", 1, 1)
    bench.say("a1", "lost", 1, 1)
    bench.tick(600)
    bench.say("a1", "up", 1, 2)
    bench.say("a1", "lost", 1, 2)
    bench.tick(600)
    bench.say("a1", "up", 2, 1)
    assert [reason for state, _, reason, _ in bench.states() if state == "up"] == [
        "", "network", "restart",
    ]  # fmt: skip


def test_an_unknown_agent_is_held_until_its_first_batch(bench: Bench) -> None:
    bench.say("new", "up")
    assert bench.states() == []
    bench.known.add("new")
    bench.tracker.on_batch(["new"])
    assert bench.states() == [("up", "new", "", False)]


def test_presence_signed_with_another_key_is_ignored(bench: Bench) -> None:
    bench.key = KEY.public
    bench.say("a1", "up", signer=KEY)
    bench.say("a1", "lost", signer=Signer(Ed25519PrivateKey.generate()))
    bench.say("a1", "lost")
    bench.tracker.on_message(Message(presence_topic("a1"), b"garbage"))
    bench.tracker.on_message(Message(presence_topic("a1"), b"", retained=True))
    assert [state for state, *_ in bench.states()] == ["up"]
    assert by_label(bench.metrics.presence_messages)["wrong_key"] == 3
    signed = KEY.sign(b'{"state":"up","boot":"\xff\xfe"}', PRESENCE.purpose)
    bench.tracker.on_message(Message(presence_topic("a1"), signed))
    assert by_label(bench.metrics.presence_messages)["garbled"] == 1
    bench.say("a1", "lost", signer=KEY)
    assert bench.states()[-1][0] == "lost"


def test_presence_signed_with_a_former_key_that_is_still_valid_counts(bench: Bench) -> None:
    bench.key, bench.former_keys = Signer(Ed25519PrivateKey.generate()).public, {KEY.public}
    bench.say("a1", "up", signer=KEY)
    assert [state for state, *_ in bench.states()] == ["up"]
    bench.say("a1", "lost")
    assert [state for state, *_ in bench.states()] == ["up"]


def test_a_broker_restart_is_not_a_shutdown(bench: Bench) -> None:
    """All wills arrive at once and the connection breaks: a gap, then only some are lost."""
    for number in range(8):
        bench.say(f"a{number}", "up", 1, 1)
    bench.tick(60)
    for number in range(4):
        bench.say(f"a{number}", "lost", 1, 1)
    assert bench.tracker.on_broker_lost() == 8
    # A last message of the broker may be processed after the connection broke.
    bench.say("a4", "lost", 1, 1)
    bench.tick(30)
    assert bench.count() is None
    bench.tracker.on_broker_up("b1")
    for number in range(6):
        bench.say(f"a{number}", "up", 1, 2)
    bench.tick(60)
    assert bench.count() is None
    bench.tick(121)
    bench.tick(60)
    assert bench.count() == (6, 8)
    lost = [one for one in bench.events() if one.state == "lost"]
    assert len(lost) == 6
    assert all(one.masked for one in lost)
    monitor = DisconnectMonitor()
    monitor.replay(bench.events())
    assert monitor.evaluate(START).log_likelihoods == {}
    # Agents that came back after their will are still tracked.
    for number in range(4):
        bench.say(f"a{number}", "lost", 1, 2)
    assert bench.count() == (2, 8)
    monitor.replay(bench.events()[-4:])
    result = monitor.evaluate(bench.now - timedelta(seconds=90))
    assert result.log_likelihoods[SeriesKey(AGENTS, IRAN)] > 15


def test_a_restarted_collector_continues_from_the_log(bench: Bench) -> None:
    bench.say("a1", "up", 3, 5)
    bench.say("a2", "up", 1, 1)
    bench.tick(60)
    bench.restart()
    bench.tracker.on_broker_up("b1")
    bench.say("a1", "up", 3, 5, retained=True)
    bench.say("a1", "lost", 3, 4)
    bench.say("a2", "up", 1, 1, retained=True)
    bench.tick(30)
    bench.tick(30)
    assert [state for state, *_ in bench.states()] == ["up", "up"]
    assert bench.count() == (2, 2)


def test_a_batch_shows_that_its_sender_is_online(bench: Bench) -> None:
    bench.say("a1", "up")
    bench.say("a1", "lost")
    bench.tick(60)
    bench.tracker.on_batch(["a1"])
    assert bench.states()[-1] == ("up", "a1", "network", False)
    bench.say("a1", "stop")
    bench.tracker.on_batch(["a1"])
    assert bench.states()[-1][0] == "stop"


def test_over_http_silence_is_a_loss(bench: Bench) -> None:
    bench.say("a1", "up", transport=f"{HTTP_TRANSPORT}s-443")
    bench.say("a2", "up", transport="mqtt")
    for _ in range(4):
        bench.tick(40)
    (event,) = [one for one in bench.events() if one.state == "lost"]
    assert (event.vantage.id, event.at) == ("a1", START)


def test_an_agent_erased_by_another_process_is_not_recorded_again(
    bench: Bench, tmp_path: Path
) -> None:
    for agent, transport in (("a1", f"{HTTP_TRANSPORT}s-443"), ("a2", "mqtt")):
        bench.say(agent, "up", transport=transport)
    with PresenceLog(tmp_path / "presence.sqlite") as other:
        for agent in ("a1", "a2"):
            other.erase(agent)
    bench.tick(120)
    bench.say("a2", "lost")
    bench.tracker.on_broker_lost()
    assert bench.events() == []


def test_invented_names_keep_no_agent_out(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netwatch.collector.presence_tracker._MAX_PENDING", 3)
    for number in range(50):
        bench.say(f"invented-{number}", "up")
    bench.say("new", "up")
    bench.known.add("new")
    bench.tracker.on_batch(["new"])
    assert bench.states()[-1][:2] == ("up", "new")


def test_presence_of_the_future_is_forgotten_and_agents_settle_anew(bench: Bench) -> None:
    """A clock was a day ahead; those that are online stay so, and nobody is a loss."""
    bench.say("a1", "up")
    bench.tick(60)
    bench.tick(86_400)
    bench.say("a2", "up")
    bench.say("a1", "lost")
    bench.tick(60)
    assert sorted(state for state, *_ in bench.states()) == ["lost", "up", "up"]
    bench.now = START + timedelta(minutes=5)
    bench.tracker.restart("b1")
    assert bench.states() == [("up", "a1", "", False)]
    bench.say("a1", "up", 1, 2)
    bench.say("a2", "up", 1, 2)
    for _ in range(5):
        bench.tick(60)
    bench.tick(30)
    assert bench.count() == (2, 2)
    assert not [one for one in bench.states() if one[0] == "lost" and not one[3]]
