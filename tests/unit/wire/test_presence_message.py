"""What agents and the collector say of themselves: there and back, and nothing hostile."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.model.errors import InputError
from netwatch.wire.presence_message import PresenceMessage, pack_presence, unpack_presence
from netwatch.wire.rate_advice import RateAdvice, pack_rate_advice, unpack_rate_advice


def test_a_presence_message_round_trips() -> None:
    said = PresenceMessage("stop", "5f" * 8, 1767890000, 3, 86400.5, "wss-443", "shutdown")
    assert unpack_presence(pack_presence(said)) == said
    assert said.order == (1767890000, 3)
    drain = RateAdvice(16.0, 20.0, 1767890000000)
    assert unpack_rate_advice(pack_rate_advice(drain)) == drain


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
        unpack_presence(message)


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
        unpack_rate_advice(message)


@given(st.binary(max_size=200), st.sampled_from([unpack_presence, unpack_rate_advice]))
def test_nothing_else_is_raised(message: bytes, unpack: Callable[[bytes], object]) -> None:
    with suppress(InputError):
        unpack(message)
