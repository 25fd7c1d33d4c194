"""Back-off: bounds, jitter, and connecting until it works."""

from random import Random

import pytest

from netwatch.aio.backoff import backoff_delay, connect_with_backoff
from netwatch.protocols import Transport
from netwatch.wire.memory import MemoryBroker, MemoryTransport


def longest(failures: int, *, pace: float = 10.0) -> float:
    random = Random(1)
    return max(backoff_delay(failures, base=1.0, pace=pace, random=random) for _ in range(2000))


def test_the_bound_doubles_up_to_five_minutes_or_thirty_paces() -> None:
    bounds = [1, 2, 4, 64, 300, 300]
    for failures, bound in zip((0, 1, 2, 6, 12, 10_000), bounds, strict=True):
        assert 0.98 * bound < longest(failures) <= bound
    assert 29 < longest(12, pace=1.0) <= 30


def test_delays_are_spread_over_the_whole_range() -> None:
    random = Random(1)
    delays = [backoff_delay(3, base=1.0, pace=10.0, random=random) for _ in range(2000)]
    assert sum(delay < 4 for delay in delays) == pytest.approx(1000, abs=100)


async def test_connecting_is_retried_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    broker = MemoryBroker()
    broker.stop()
    attempts = 0

    def make() -> Transport:
        nonlocal attempts
        attempts += 1
        if attempts == 4:
            broker.start()
        return MemoryTransport(broker)

    transport = await connect_with_backoff(make, pace=0.001)
    await transport.__aexit__(None, None, None)
    assert attempts == 4
    assert [record.message for record in caplog.records] == [
        "the memory broker is stopped; retrying until it works",
        "connected after 3 failed attempts",
    ]


async def test_other_errors_are_raised() -> None:
    def make() -> Transport:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        await connect_with_backoff(make, pace=0.001)
