"""A web server's word on the time, on real TLS, from a machine whose clock is anywhere."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from certificates import Authority
from cryptography.hazmat.primitives.serialization import Encoding
from faults import http_answer
from servers import free_port, tcp_server, until

from netwatch.agent.clock import DisciplinedClock
from netwatch.agent.http_time import HttpTimeSource, ask_date, poll_time_sources
from netwatch.model.clock_samples import ClockSource
from netwatch.model.errors import TransportError

DATE = "Thu, 08 Jan 2026 16:30:00 GMT"
TOLD = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)


@asynccontextmanager
async def canary(
    folder: Path, *, header: str = f"Date: {DATE}", days: tuple[int, int] = (-1, 30),
    name: str = "localhost",
) -> AsyncIterator[HttpTimeSource]:  # fmt: skip
    authority = Authority(folder)
    trusted = folder / "authority.pem"
    trusted.write_bytes(authority.certificate.public_bytes(Encoding.PEM))
    answer = http_answer("404 Not Found", header)
    async with tcp_server(answer, tls=authority.serving(name, days)) as port:
        yield HttpTimeSource(f"https://localhost:{port}/", str(trusted))


@pytest.mark.parametrize("days", [(-1, 30), (-800, -700), (700, 800)], ids=str)
async def test_a_certificate_need_not_fit_our_idea_of_the_time(
    tmp_path: Path, days: tuple[int, int]
) -> None:
    async with canary(tmp_path, days=days) as found:
        assert await ask_date(found) == TOLD


async def test_whoever_has_not_the_name_or_no_date_is_not_believed(tmp_path: Path) -> None:
    async with canary(tmp_path, name="elsewhere") as found:
        with pytest.raises(TransportError, match="cannot be asked for the time"):
            await ask_date(found)
        with pytest.raises(TransportError, match="cannot be asked for the time"):
            await ask_date(HttpTimeSource(found.url))
    for header in ("Date: yesterday", "X-Nothing: 1"):
        async with canary(tmp_path, header=header) as found:
            with pytest.raises(TransportError, match="tells no time"):
                await ask_date(found)
    with pytest.raises(TransportError, match="cannot be asked for the time"):
        await ask_date(HttpTimeSource(f"https://localhost:{free_port()}/"))


async def test_a_clock_that_nobody_has_told_learns_from_the_first_that_answers(
    tmp_path: Path,
) -> None:
    wrong = TOLD - timedelta(days=730)
    keeper = DisciplinedClock(lambda: wrong, boot="ab" * 8, steady=lambda: 5.0, kernel=lambda: None)
    dead = HttpTimeSource(f"https://localhost:{free_port()}/")
    async with canary(tmp_path) as found:
        work = poll_time_sources(keeper, [dead, found], first=0.01, usual=0.01)
        task = asyncio.ensure_future(work)
        await until(lambda: keeper.doubt() < 2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    reading = keeper.read()
    assert reading.source is ClockSource.CANARY
    assert abs(reading.offset - 730 * 86_400_000) <= 1000
