"""The token bucket: its rate, its burst, and what a changed rate does."""

import pytest

from netwatch.aio.token_bucket import TokenBucket


def count_taken(bucket: TokenBucket, seconds: int) -> int:
    """Return how many tokens are taken in `seconds`, with ten attempts a second."""
    return sum(bucket.try_take(100 + tick / 10) for tick in range(seconds * 10))


@pytest.mark.parametrize("rate", [1.0, 4.0, 8.0])
def test_gives_its_burst_and_then_its_rate(rate: float) -> None:
    assert count_taken(TokenBucket(rate, 5.0), 60) == pytest.approx(5 + rate * 60, abs=1)


def test_never_holds_more_than_its_burst() -> None:
    bucket = TokenBucket(1.0, 3.0)
    assert bucket.available(1e9) == 3.0
    bucket.take(2)
    assert bucket.available(1e9 + 0.5) == 1.5


def test_a_changed_rate_holds_from_then_on() -> None:
    bucket = TokenBucket(4.0, 1.0)
    bucket.take()
    bucket.rate = 0.0
    assert bucket.delay(10.0) == float("inf")
    bucket.rate = 2.0
    assert bucket.delay(10.0) == 0.5
    assert bucket.delay(10.25) == 0.25
    assert bucket.delay(11.0) == 0.0


def test_a_debt_is_paid_back_first() -> None:
    bucket = TokenBucket(1.0, 1.0)
    bucket.take(3)
    assert bucket.delay(0.0) == 3.0
    assert not bucket.try_take(2.9)
    assert bucket.try_take(3.1)


def test_a_clock_that_steps_back_adds_nothing() -> None:
    bucket = TokenBucket(1.0, 2.0)
    bucket.take(2)
    assert bucket.available(5.0) == 2.0
    bucket.take(2)
    assert bucket.available(4.0) == 0.0
