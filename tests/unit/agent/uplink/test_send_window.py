"""What may be sent right now: the window, and a quarter of the rate for the backlog."""

import pytest

from netwatch.agent.uplink.send_window import InFlightWindow, TokenBucket


def gone(pacer: TokenBucket, seconds: int) -> int:
    """Return how much backlog goes in so many seconds, asked ten times a second."""
    total = 0
    for tick in range(seconds * 10):
        count = pacer.ready(100 + tick / 10)
        pacer.take(count)
        total += count
    return total


@pytest.mark.parametrize("rate", [4.0, 16.0, 40.0])
def test_the_backlog_gets_a_quarter_of_the_rate(rate: float) -> None:
    assert gone(TokenBucket(rate), 60) == pytest.approx(rate * 60 / 4, abs=3)


def test_a_lower_rate_is_obeyed_and_a_higher_one_is_not() -> None:
    pacer = TokenBucket(16.0)
    pacer.limit(2.0)
    assert gone(pacer, 60) == pytest.approx(30, abs=3)
    pacer = TokenBucket(16.0)
    pacer.limit(1000.0)
    assert gone(pacer, 60) == pytest.approx(240, abs=3)
    pacer.limit(0.0)
    pacer.take(pacer.ready(1000))
    assert pacer.wait() == float("inf")
    assert pacer.ready(1e6) == 0
    pacer.limit(None)
    assert 0 < pacer.wait() <= 0.25


def test_silence_counts_from_the_first_batch_that_nobody_answers() -> None:
    flight = InFlightWindow(patience=60)
    flight.begin(0)
    assert flight.silence(500) == 0
    flight.note(1, 500)
    flight.note(2, 540)
    assert flight.silence(560) == 60
    flight.forget(1, 1, 570)
    assert flight.silence(600) == 30
    flight.forget(2, 2, 610)
    assert flight.silence(900) == 0


def test_patience_doubles_to_a_quarter_of_an_hour() -> None:
    flight = InFlightWindow(patience=60)
    now, waits = 0.0, []
    for _ in range(6):
        flight.note(1, now)
        waits.append(flight.sent[1].resend_at - now)
        now = flight.sent[1].resend_at
        assert flight.waiting(now - 1) == {1}
        assert flight.waiting(now) == set()
    assert waits == [60, 120, 240, 480, 900, 900]
