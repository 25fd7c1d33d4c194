"""The mirror is asked now and then; that it does not answer is no fault."""

import asyncio

from servers import until

from netwatch.agent.list_watch import watch_mirror
from netwatch.model.errors import LinkError


async def test_what_is_new_is_told_and_what_fails_is_asked_again() -> None:
    answers = iter([LinkError("nobody is there"), False, True])
    asked, told = [], []

    async def ask() -> bool:
        asked.append(1)
        answer = next(answers, False)
        if isinstance(answer, LinkError):
            raise answer
        return answer

    watch = asyncio.ensure_future(watch_mirror(ask, lambda: told.append(1), first=0, usual=0.001))
    await until(lambda: len(asked) > 4)
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)
    assert told == [1]
