"""Erasure of an agent from every file of the observatory."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import sleep

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from netwatch.app.data_files import PRESENCE_FILE
from netwatch.app.fleet_admin import erase_agent
from netwatch.app.transports import broker_connector
from netwatch.app.vantage import purge_vantage, run_vantage
from netwatch.app.vantage_files import list_files, spool_path
from netwatch.collector.batch_log import BatchLog, ReceivedBatch
from netwatch.config import parse_config
from netwatch.model.errors import ConfigError
from netwatch.model.measurement import Batch, Measurement, Vantage
from netwatch.signals.presence.log import PresenceLog, Session
from netwatch.wire.batch_codec import BATCH
from netwatch.wire.embedded_broker import EmbeddedBroker
from netwatch.wire.signing import Signer
from netwatch.wire.topics import ALL_PRESENCE, presence_topic

NOW = datetime(2026, 1, 8, tzinfo=UTC)


def leave_traces(folder: Path, name: str) -> None:
    """Record a batch and a session of an agent."""
    vantage = Vantage(name, "XX", 64500)
    row = Measurement("one", "tcp", NOW, None, "", host_responded=True, seconds=0.1)
    batch = Batch(vantage, 1, (row,))
    signer = Signer(Ed25519PrivateKey.generate())
    received = ReceivedBatch(batch, BATCH.pack(batch, signer), signer.public, NOW)
    with BatchLog(folder / "batches.sqlite") as batch_log:
        batch_log.add([received], closed_until=None, width=timedelta(minutes=5))
    with PresenceLog(folder / PRESENCE_FILE) as presence_log:
        presence_log.opened(Session(vantage, "broker", "boot", 1, 1, NOW))


def test_no_file_holds_the_name_of_an_erased_agent(tmp_path: Path) -> None:
    config = parse_config(f'data = "{tmp_path}"')
    for name in ("volunteer-seven", "somebody-else"):
        leave_traces(tmp_path, name)
    assert erase_agent(config, "volunteer-seven") == 1
    for path in tmp_path.glob("*.sqlite"):
        with closing(sqlite3.connect(path)) as file:
            text = "\n".join(file.iterdump())
        assert "volunteer-seven" not in text, path.name
        assert "somebody-else" in text, path.name


async def test_the_broker_retains_nothing_of_an_erased_agent(tmp_path: Path) -> None:
    async with EmbeddedBroker(users={"netwatch": "secret"}) as broker:
        config = parse_config(
            f'data = "{tmp_path}"\n[broker]\nembedded = false\nport = {broker.port}\n'
            'username = "netwatch"\npassword = "secret"\n'
        )
        connect = broker_connector(config)
        async with connect(None) as transport:
            for name in ("volunteer-seven", "somebody-else"):
                await transport.publish(presence_topic(name), b"here", retain=True)
        await asyncio.to_thread(erase_agent, config, "volunteer-seven")
        async with connect(None) as transport:
            await transport.subscribe(ALL_PRESENCE)
            first = await anext(aiter(transport.messages()))
    assert first.topic == presence_topic("somebody-else")


def wait_for(path: Path) -> None:
    while not path.exists():
        sleep(0.01)


async def test_an_agent_whose_files_were_erased_ends(tmp_path: Path) -> None:
    config = parse_config(
        f'data = "{tmp_path}"\n[vantage]\nid = "v1"\n[agent]\nflush_interval = "0.1s"\n'
        '[[target]]\nid = "one"\nprobe = "tcp"\nhost = "127.0.0.1"\nport = 9\n'
    )
    running = asyncio.ensure_future(run_vantage(config))
    await asyncio.to_thread(wait_for, spool_path(config))
    purge_vantage(config)
    with pytest.raises(ConfigError, match="were erased"):
        await running
    assert list_files(config) == []
