"""The watcher: who came and went, told from wills that come late, and from our own failures."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from netwatch.collector.metrics import CollectorMetrics, by_label
from netwatch.collector.presence_tracker import DOOR, PresenceTracker
from netwatch.model.entities import Entity
from netwatch.model.measurement import Vantage
from netwatch.protocols import Message
from netwatch.signals.presence.disconnects import DisconnectMonitor
from netwatch.signals.presence.log import (
    PresenceEvent,
    PresenceLog,
    count_agents,
)
from netwatch.wire.presence_message import PresenceMessage, pack_presence
from netwatch.wire.signing import PRESENCE, Signer
from netwatch.wire.topics import presence_topic

START = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)
IRAN = Entity.parse("country:IR")
KEY = Signer(Ed25519PrivateKey.generate())


class Post:
    """A watcher with a clock that the test moves and a register that knows everybody."""

    def __init__(self, folder: Path) -> None:
        self.now = START
        self.metrics = CollectorMetrics()
        self.attendance = PresenceLog(folder / "presence.sqlite")
        self.known = {f"a{number}" for number in range(9)}
        self.key: bytes | None = None
        self.restart()
        self.watcher.came_back("b1")
        self.tick()

    def restart(self) -> None:
        self.watcher = PresenceTracker(
            self.attendance,
            register=lambda agent: (
                (Vantage(agent, "IR", 44244), self.key) if agent in self.known else None
            ),
            clock=lambda: self.now,
            metrics=self.metrics,
            settle=timedelta(minutes=3),
        )

    def tick(self, seconds: float = 0) -> None:
        self.now += timedelta(seconds=seconds)
        self.watcher.tick()

    def say(
        self, agent: str, state: str, life: int = 1, connection: int = 1, *, retained: bool = False,
        signer: Signer | None = None, **more: object,
    ) -> None:  # fmt: skip
        payload = pack_presence(PresenceMessage(state, "boot", life, connection, **more))
        if signer:
            payload = signer.sign(payload, PRESENCE)
        self.watcher.take([Message(presence_topic(agent), payload, retained=retained)])

    def events(self) -> list[PresenceEvent]:
        return self.attendance.events(START - timedelta(days=1), START + timedelta(days=90))

    def told(self) -> list[tuple[str, str, str, bool]]:
        return [(one.state, one.vantage.id, one.reason, one.masked) for one in self.events()]

    def count(self) -> tuple[float, float | None] | None:
        found = count_agents(self.attendance, self.now - timedelta(seconds=30), self.now)
        return next(((one.value, one.total) for one in found if one.series.entity == IRAN), None)


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    made = Post(tmp_path)
    yield made
    made.attendance.close()


def test_births_losses_and_goodbyes_become_events_and_counts(post: Post) -> None:
    for agent in ("a1", "a2", "a3"):
        post.say(agent, "up")
    post.tick(60)
    assert post.count() == (3, 3)
    post.watcher.hear(["a1"])
    post.tick(20)
    post.say("a1", "lost")
    post.say("a2", "stop", reason="shutdown")
    post.tick(40)
    assert post.count() == (1, 2)
    assert post.told()[3:] == [("lost", "a1", "", False), ("stop", "a2", "shutdown", False)]
    # Dated to the last packet that we know of, not to the will.
    assert post.events()[3].at == START + timedelta(seconds=60)


def test_what_is_older_than_the_last_statement_is_ignored(post: Post) -> None:
    post.say("a1", "up", 1, 1)
    post.say("a1", "up", 1, 2)
    post.say("a1", "lost", 1, 1)
    post.say("a1", "up", 2, 1)
    post.say("a1", "lost", 1, 9)
    assert [state for state, *_ in post.told()] == ["up", "up"]
    assert by_label(post.metrics.presence_messages)["outdated"] == 2
    post.say("a1", "lost", 2, 1)
    post.say("a1", "up", 2, 1, retained=True)
    assert by_label(post.metrics.presence_messages)["outdated"] == 3
    assert post.told()[-1][0] == "lost"


def test_a_return_says_whether_the_network_or_the_machine_was_away(post: Post) -> None:
    post.say("a1", "up", 1, 1)
    post.say("a1", "lost", 1, 1)
    post.tick(600)
    post.say("a1", "up", 1, 2)
    post.say("a1", "lost", 1, 2)
    post.tick(600)
    post.say("a1", "up", 2, 1)
    assert [reason for state, _, reason, _ in post.told() if state == "up"] == [
        "", "network", "restart",
    ]  # fmt: skip


def test_a_stranger_waits_for_his_first_batch(post: Post) -> None:
    post.say("new", "up")
    assert post.told() == []
    post.known.add("new")
    post.watcher.hear(["new"])
    assert post.told() == [("up", "new", "", False)]


def test_presence_of_another_hand_is_not_believed(post: Post) -> None:
    post.key = KEY.public
    post.say("a1", "up", signer=KEY)
    post.say("a1", "lost", signer=Signer(Ed25519PrivateKey.generate()))
    post.say("a1", "lost")
    post.watcher.take([Message(presence_topic("a1"), b"garbage")])
    post.watcher.take([Message(presence_topic("a1"), b"", retained=True)])
    assert [state for state, *_ in post.told()] == ["up"]
    assert by_label(post.metrics.presence_messages)["wrong_key"] == 2
    assert by_label(post.metrics.presence_messages)["garbled"] == 1
    post.say("a1", "lost", signer=KEY)
    assert post.told()[-1][0] == "lost"


def test_a_broker_that_restarts_is_no_shutdown(post: Post) -> None:
    """All wills come at once and the link breaks: a gap, then only who stayed away is absent."""
    for number in range(8):
        post.say(f"a{number}", "up", 1, 1)
    post.tick(60)
    for number in range(4):
        post.say(f"a{number}", "lost", 1, 1)
    assert post.watcher.went_deaf() == 8
    # What the broker had still to say when it ended came after the link's end.
    post.say("a4", "lost", 1, 1)
    post.tick(30)
    assert post.count() is None
    post.watcher.came_back("b1")
    for number in range(6):
        post.say(f"a{number}", "up", 1, 2)
    post.tick(60)
    assert post.count() is None
    post.tick(121)
    post.tick(60)
    assert post.count() == (6, 8)
    lost = [one for one in post.events() if one.state == "lost"]
    assert len(lost) == 6
    assert all(one.masked for one in lost)
    monitor = DisconnectMonitor()
    monitor.replay(post.events())
    assert monitor.evaluate(START).disconnects == []
    # Those whose wills were heard, and who are back, are watched on.
    for number in range(4):
        post.say(f"a{number}", "lost", 1, 2)
    assert post.count() == (2, 8)
    monitor.replay(post.events()[-4:])
    (found,) = {one.lost for one in monitor.evaluate(post.now - timedelta(seconds=90)).disconnects}
    assert found == 4


def test_a_collector_that_restarts_takes_up_where_it_was(post: Post) -> None:
    post.say("a1", "up", 3, 5)
    post.say("a2", "up", 1, 1)
    post.tick(60)
    post.restart()
    post.watcher.came_back("b1")
    post.say("a1", "up", 3, 5, retained=True)
    post.say("a1", "lost", 3, 4)
    post.say("a2", "up", 1, 1, retained=True)
    post.tick(30)
    post.tick(30)
    assert [state for state, *_ in post.told()] == ["up", "up"]
    assert post.count() == (2, 2)


def test_a_batch_proves_its_sender_alive(post: Post) -> None:
    post.say("a1", "up")
    post.say("a1", "lost")
    post.tick(60)
    post.watcher.hear(["a1"])
    assert post.told()[-1] == ("up", "a1", "network", False)
    post.say("a1", "stop")
    post.watcher.hear(["a1"])
    assert post.told()[-1][0] == "stop"


def test_behind_a_door_silence_is_the_will(post: Post) -> None:
    post.say("a1", "up", transport=f"{DOOR}s-443")
    post.say("a2", "up", transport="mqtt")
    for _ in range(4):
        post.tick(40)
    (event,) = [one for one in post.events() if one.state == "lost"]
    assert (event.vantage.id, event.at) == ("a1", START)


def test_who_was_erased_by_another_process_is_not_written_down_again(
    post: Post, tmp_path: Path
) -> None:
    for agent, transport in (("a1", f"{DOOR}s-443"), ("a2", "mqtt")):
        post.say(agent, "up", transport=transport)
    with PresenceLog(tmp_path / "presence.sqlite") as other:
        for agent in ("a1", "a2"):
            other.erase(agent)
    post.tick(120)
    post.say("a2", "lost")
    post.watcher.went_deaf()
    assert post.events() == []


def test_invented_names_keep_no_newcomer_out(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netwatch.collector.presence_tracker._STRANGERS", 3)
    for number in range(50):
        post.say(f"invented-{number}", "up")
    post.say("new", "up")
    post.known.add("new")
    post.watcher.hear(["new"])
    assert post.told()[-1][:2] == ("up", "new")
