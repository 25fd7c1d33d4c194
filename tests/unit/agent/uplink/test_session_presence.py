"""An agent's lives are numbered upwards, whatever clock and disk do."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from netwatch.agent.spool.spool import Spool
from netwatch.agent.uplink.session_presence import AgentSession, start_session
from netwatch.model.measurement import Vantage
from netwatch.protocols import Message
from netwatch.wire.presence_message import PresenceMessage, unpack_presence

NOW = datetime(2026, 1, 8, tzinfo=UTC)


def said(message: Message) -> PresenceMessage:
    return unpack_presence(message.payload)


def live(spool: Spool, now: datetime = NOW) -> AgentSession:
    return start_session("a1", spool, now)


def test_each_life_is_above_the_one_before_even_if_the_clock_falls_back(tmp_path: Path) -> None:
    moments = [NOW, NOW, NOW - timedelta(days=9000), NOW + timedelta(days=1)]
    with Spool(tmp_path / "spool.sqlite", vantage=Vantage("a1"), created_at=NOW) as spool:
        ranks = [said(live(spool, now).will("mqtt")).order for now in moments]
    assert ranks == sorted(set(ranks))
    # A new spool, in the place of one that was lost, goes on above it.
    with Spool(tmp_path / "other.sqlite", vantage=Vantage("a1"), created_at=NOW) as spool:
        assert said(live(spool, NOW + timedelta(days=2)).will("mqtt")).order > ranks[-1]


def test_a_birth_belongs_to_the_will_before_it(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool.sqlite", vantage=Vantage("a1"), created_at=NOW) as spool:
        life = live(spool)
    will, birth = said(life.will("wss-443")), said(life.birth("wss-443"))
    assert (will.state, birth.state, birth.transport) == ("lost", "up", "wss-443")
    assert will.order == birth.order < said(life.will("https-443")).order
    assert will.boot == birth.boot != ""
    parting = life.clean_offline("https-443", "shutdown")
    assert (said(parting).state, said(parting).reason, parting.retained) == (
        "stop",
        "shutdown",
        True,
    )


def test_what_is_said_is_signed(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool.sqlite", vantage=Vantage("a1"), created_at=NOW) as spool:
        life = start_session("a1", spool, NOW, sign=lambda message: b"signed " + message)
    assert life.birth("mqtt").payload.startswith(b"signed {")
