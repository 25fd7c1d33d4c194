"""The mirror is asked now and then; that it does not answer is no fault."""

import asyncio

from servers import until

from netwatch.agent.target_list_poll import poll_target_list
from netwatch.model.errors import TransportError


async def test_what_is_new_is_told_and_what_fails_is_asked_again() -> None:
    answers = iter([TransportError("nobody is there"), False, True])
    asked, told = [], []

    async def ask() -> bool:
        asked.append(1)
        answer = next(answers, False)
        if isinstance(answer, TransportError):
            raise answer
        return answer

    watch = asyncio.ensure_future(
        poll_target_list(ask, lambda: told.append(1), first=0, usual=0.001)
    )
    await until(lambda: len(asked) > 4)
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)
    assert told == [1]
