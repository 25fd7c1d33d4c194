"""HTTP time sources over real TLS, with certificates that look expired or not yet valid."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from certificates import Authority
from cryptography.hazmat.primitives.serialization import Encoding
from server_faults import http_answer
from servers import free_port, tcp_server, until

from netwatch.agent.clock import DisciplinedClock
from netwatch.agent.http_time import HttpTimeSource, fetch_date, poll_time_sources
from netwatch.model.clock_samples import ClockSource
from netwatch.model.errors import TransportError

DATE = "Thu, 08 Jan 2026 16:30:00 GMT"
TIME = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)


@asynccontextmanager
async def time_source(
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
async def test_the_dates_of_a_certificate_are_not_checked(
    tmp_path: Path, days: tuple[int, int]
) -> None:
    async with time_source(tmp_path, days=days) as source:
        assert await fetch_date(source) == TIME


async def test_a_wrong_name_or_a_missing_date_is_an_error(tmp_path: Path) -> None:
    async with time_source(tmp_path, name="elsewhere") as source:
        with pytest.raises(TransportError, match="cannot be reached"):
            await fetch_date(source)
        with pytest.raises(TransportError, match="cannot be reached"):
            await fetch_date(HttpTimeSource(source.url))
    for header in ("Date: yesterday", "X-Nothing: 1"):
        async with time_source(tmp_path, header=header) as source:
            with pytest.raises(TransportError, match="no valid Date header"):
                await fetch_date(source)
    with pytest.raises(TransportError, match="cannot be reached"):
        await fetch_date(HttpTimeSource(f"https://localhost:{free_port()}/"))


async def test_a_wrong_clock_is_set_by_the_first_source_that_responds(
    tmp_path: Path,
) -> None:
    wrong = TIME - timedelta(days=730)
    clock = DisciplinedClock(
        lambda: wrong, boot="ab" * 8, monotonic=lambda: 5.0, kernel=lambda: None
    )
    dead = HttpTimeSource(f"https://localhost:{free_port()}/")
    async with time_source(tmp_path) as source:
        work = poll_time_sources(clock, [dead, source], first_delay=0.01, interval=0.01)
        task = asyncio.ensure_future(work)
        await until(lambda: clock.uncertainty() < 2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    sample = clock.sample()
    assert sample.source is ClockSource.HTTP
    assert abs(sample.offset - 730 * 86_400_000) <= 1000
