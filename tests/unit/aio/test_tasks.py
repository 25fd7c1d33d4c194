"""What runs side by side ends tasks, even a part that loses a cancellation."""

import asyncio

import pytest

from netwatch.aio import tasks
from netwatch.aio.tasks import cancel_and_wait, run_until_first_exits


async def forever() -> None:
    await asyncio.Event().wait()


async def fails() -> None:
    raise ValueError("broken")


async def test_the_first_to_fail_ends_the_others() -> None:
    other = asyncio.ensure_future(forever())
    with pytest.raises(ValueError, match="broken"):
        await run_until_first_exits(other, fails())
    assert other.cancelled()


async def test_a_lost_cancellation_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that swallows the first two cancellations still ends."""
    monkeypatch.setattr(tasks, "_CANCEL_AGAIN_AFTER", 0.01)
    swallowed = 0

    async def uncancellable() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed > 2:
                    raise

    task = asyncio.ensure_future(uncancellable())
    await asyncio.sleep(0)
    await cancel_and_wait([task])
    assert task.cancelled()
    assert swallowed == 3


async def test_an_exception_during_cancellation_is_not_raised() -> None:
    async def stubborn() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise ValueError("late")

    task = asyncio.ensure_future(stubborn())
    await asyncio.sleep(0)
    await cancel_and_wait([task])
    assert str(task.exception()) == "late"
