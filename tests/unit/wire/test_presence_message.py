"""Presence messages and rate advice round-trip; anything else is refused."""

import pytest

from netwatch.model.errors import InputError
from netwatch.wire.presence_message import PRESENCE, PresenceMessage
from netwatch.wire.rate_advice import RATE_ADVICE, RateAdvice


def test_a_presence_message_round_trips() -> None:
    presence = PresenceMessage("stop", "5f" * 8, 1767890000, 3, 86400.5, "wss-443", "shutdown")
    assert PRESENCE.unpack(PRESENCE.pack(presence)) == (presence, None)
    assert presence.order == (1767890000, 3)
    advice = RateAdvice(16.0, 20.0, 1767890000000)
    assert RATE_ADVICE.unpack(RATE_ADVICE.pack(advice)) == (advice, None)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"lost",
        b"{}",
        b'{"state":"gone"}',
        b'{"state":"up","session":-1}',
        b'{"state":"up","connection":1e300}',
        b'{"state":"up","boot":"' + b"x" * 65 + b'"}',
        b'{"state":"up","transport":null}',
        b'{"state":"up","reason":"' + b"x" * 2000 + b'"}',
    ],
)
def test_an_invalid_presence_message_is_refused(message: bytes) -> None:
    with pytest.raises(InputError, match=r"^presence: "):
        PRESENCE.unpack(message)


@pytest.mark.parametrize(
    "message",
    [
        b"{}",
        b'{"rate":-1}',
        b'{"rate":1e9}',
        b'{"rate":"NaN"}',
        b'{"rate":1,"reconnect_spread":86400}',
    ],
)
def test_an_invalid_rate_advice_is_refused(message: bytes) -> None:
    with pytest.raises(InputError, match=r"^rate advice: "):
        RATE_ADVICE.unpack(message)
