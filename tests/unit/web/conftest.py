"""A site at the moment when Iran, November 2019, stood at 7%."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from web_fixtures import Site

from netwatch.ledger.ledger import SqlLedger, ledger_url
from netwatch.model.entities import EntityTree
from netwatch.model.incident import Incident
from netwatch.store.memory import MemoryStore


@pytest.fixture
async def site(
    tmp_path: Path, make_incident: Callable[..., Incident], iran: EntityTree
) -> AsyncIterator[Site]:
    ledger = SqlLedger(ledger_url(tmp_path / "ledger.sqlite"))
    until = make_incident().at + timedelta(hours=1)
    made = Site(
        store=MemoryStore(),
        ledger=ledger,
        now=until + timedelta(minutes=10),
        places=iran,
        options={"url": "https://netwatch.example"},
    )
    made.client = made.serve()
    yield made
    await made.client.aclose()
    ledger.close()
