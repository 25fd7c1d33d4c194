"""Session numbers increase, whatever happens to the clock and the disk."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from netwatch.agent.spool.spool import Spool
from netwatch.agent.uplink.session_presence import AgentSession, start_session
from netwatch.model.measurement import Vantage
from netwatch.protocols import Message
from netwatch.wire.presence_message import PRESENCE, PresenceMessage

NOW = datetime(2026, 1, 8, tzinfo=UTC)


def decoded(message: Message) -> PresenceMessage:
    return PRESENCE.unpack(message.payload)[0]


def start(spool: Spool, now: datetime = NOW) -> AgentSession:
    return start_session("a1", spool, now)


def test_session_numbers_increase_even_if_the_clock_steps_back(tmp_path: Path) -> None:
    times = [NOW, NOW, NOW - timedelta(days=9000), NOW + timedelta(days=1)]
    with Spool(tmp_path / "spool.sqlite", vantage=Vantage("a1"), created_at=NOW) as spool:
        orders = [decoded(start(spool, now).will("mqtt")).order for now in times]
    assert orders == sorted(set(orders))
    # So do those of a new spool that replaces a lost one.
    with Spool(tmp_path / "other.sqlite", vantage=Vantage("a1"), created_at=NOW) as spool:
        assert decoded(start(spool, NOW + timedelta(days=2)).will("mqtt")).order > orders[-1]


def test_a_birth_has_the_order_of_its_will(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool.sqlite", vantage=Vantage("a1"), created_at=NOW) as spool:
        session = start(spool)
    will, birth = decoded(session.will("wss-443")), decoded(session.birth("wss-443"))
    assert (will.state, birth.state, birth.transport) == ("lost", "up", "wss-443")
    assert will.order == birth.order < decoded(session.will("https-443")).order
    assert will.boot == birth.boot != ""
    offline = session.clean_offline("https-443", "shutdown")
    assert (decoded(offline).state, decoded(offline).reason, offline.retained) == (
        "stop",
        "shutdown",
        True,
    )


def test_presence_messages_are_signed(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool.sqlite", vantage=Vantage("a1"), created_at=NOW) as spool:
        session = start_session("a1", spool, NOW, sign=lambda message: b"signed " + message)
    assert session.birth("mqtt").payload.startswith(b"signed {")
