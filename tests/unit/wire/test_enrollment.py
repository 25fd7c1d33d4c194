"""Tokens that were not copied whole, and invalid messages, are refused."""

from base64 import urlsafe_b64encode
from contextlib import suppress
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.msgpack import encode

from netwatch.model.errors import InputError
from netwatch.wire.enrollment import (
    ENROLLED,
    ENROLLMENT,
    EnrollmentRequest,
    Invitation,
    check_url,
)

INVITATION = Invitation(
    bytes(range(16)), bytes(range(32)), bytes(range(32, 64)), "https://netwatch.example"
)


def test_a_token_round_trips() -> None:
    text = INVITATION.text()
    assert Invitation.parse(text) == INVITATION
    assert Invitation.parse(f"  {text[:40]}\n   {text[40:]} ") == INVITATION
    assert len(text) < 180
    assert not set(text) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


@given(st.data())
def test_one_wrong_letter_is_detected(data: st.DataObject) -> None:
    text = INVITATION.text()
    index = data.draw(st.integers(11, len(text) - 1))
    wrong = data.draw(st.sampled_from("abcXYZ059-_").filter(lambda one: one != text[index]))
    try:
        invitation = Invitation.parse(text[:index] + wrong + text[index + 1 :])
    except InputError:
        return
    assert invitation == INVITATION  # the last letter's unused bits


@pytest.mark.parametrize(
    "text",
    ["", "hello", "netwatch-2-", "netwatch-2-????", "netwatch-2-" + "A" * 2000, "netwatch-3-AAAA",
     INVITATION.text()[:-5], INVITATION.text() + "AAAA", "netwatch-2-é"],
)  # fmt: skip
def test_invalid_tokens_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="token") as caught:
        Invitation.parse(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@given(st.binary(max_size=200))
def test_a_token_of_random_bytes_raises_nothing_else(content: bytes) -> None:
    whole = content + sha256(content).digest()[:4]
    with suppress(InputError):
        Invitation.parse("netwatch-2-" + urlsafe_b64encode(whole).decode().rstrip("="))


@pytest.mark.parametrize(
    "message",
    [b"", b"\xc0", b"\x93" * 4000, b"\xdd\xff\xff\xff\xff", b"x" * 5000, encode(INVITATION)],
)
def test_invalid_messages_are_refused(message: bytes) -> None:
    with pytest.raises(InputError):
        ENROLLMENT.unpack(message)
    with pytest.raises(InputError):
        ENROLLED.unpack(message)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "../../etc"), ("name", "a\n"), ("name", ""), ("country", "Iran"),
        ("country", "ir"), ("network", -1), ("network", 2**32), ("region", "somewhere"),
        ("secret", b"short"), ("collector", b"short"), ("software", "x" * 65), ("consent", -1),
    ],
)  # fmt: skip
def test_every_field_is_looked_at(field: str, value: object) -> None:
    good = {
        "secret": bytes(16), "collector": bytes(32), "name": "a1", "country": "XX",
        "network": 64500, "region": "XX-1", "consent": 1, "software": "0.1",
    }  # fmt: skip
    request = EnrollmentRequest(**good)
    assert ENROLLMENT.unpack(ENROLLMENT.pack(request)) == (request, None)
    with pytest.raises(InputError, match="enrollment: "):
        ENROLLMENT.unpack(ENROLLMENT.pack(EnrollmentRequest(**(good | {field: value}))))


@pytest.mark.parametrize("url", ["", "netwatch.example", "ftp://x", "https://", "http://[::1"])
def test_invalid_urls_are_refused(url: str) -> None:
    with pytest.raises(InputError, match="not an address"):
        check_url(url)
