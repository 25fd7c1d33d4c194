"""A data folder with every file that an observatory and an agent write, and what is in it."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from netwatch.agent.enrollment_client import Enrollment
from netwatch.agent.record_file import write_record
from netwatch.app.data_files import PRESENCE_FILE, open_installation
from netwatch.app.factories import make_channels
from netwatch.app.fleet_admin import collector_identity, invite, open_batch_log, targets_identity
from netwatch.app.observatory import open_context
from netwatch.app.target_list_publisher import publish_list, read_published
from netwatch.app.target_selection import open_target_list_store
from netwatch.app.transports import broker_password
from netwatch.app.vantage import open_spool
from netwatch.app.vantage_files import enrollment_path, open_consent
from netwatch.app.wall_clock import now
from netwatch.collector.batch_log import ReceivedBatch
from netwatch.collector.registry import InvitationScope
from netwatch.config import Config
from netwatch.model.entities import Entity
from netwatch.model.incident import Incident, Post
from netwatch.model.measurement import Batch, Measurement, Vantage
from netwatch.model.series import Bin, Level, SeriesKey
from netwatch.protocols import MaintainedStore
from netwatch.publish.outbox import OutboxSender
from netwatch.signals.presence.log import PresenceLog, Session
from netwatch.wire.batch_codec import BATCH
from netwatch.wire.signing import Signer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SERIES = SeriesKey("reachability", Entity.parse("country:XT"))
_TARGETS = '[[target]]\nid = "one"\nprobe = "tcp"\nhost = "192.5.5.241"\nport = 53\ntier = "A"\n'


def fill(config: Config, incident: Incident, post: Post) -> None:
    """Fill the empty data folder of `config` by the functions that the commands call."""
    folder = Path(config.data)
    with open_context(config) as context:
        _fill_store(context.store)
        context.ledger.record([incident], [post])
        asyncio.run(_send(OutboxSender(context.ledger.outbox, make_channels(config), now)))
    _fill_collector(config)
    broker_password(config)
    invite(config, InvitationScope("XT"), length=timedelta(days=1))
    (folder.parent / "targets.toml").write_text(_TARGETS)
    publish_list(config, folder.parent / "targets.toml", length=timedelta(days=9))
    _fill_agent(config)


def _fill_store(store: object) -> None:
    assert isinstance(store, MaintainedStore)
    today = now().replace(hour=0, minute=0, second=0, microsecond=0)
    hours = [today - timedelta(days=4) + timedelta(hours=hour) for hour in range(24 * 4)]
    # Bins past their retention are rolled up: the coarser stores have files then.
    hours += [today - timedelta(days=20), today - timedelta(days=800)]
    store.put_bins([Bin(hour, SERIES, 5.0, 10.0) for hour in hours], closed_until=today)
    store.put_levels([Level(hour, SERIES, 1.0, 0.9, 1.1, 0.0, 1.0, 3) for hour in hours[:96]])
    store.maintain(now())


def _fill_collector(config: Config) -> None:
    signer = Signer(Ed25519PrivateKey.generate())
    vantage = Vantage("volunteer", "XT", 64500)
    row = Measurement("one", "tcp", now(), None, "", host_responded=True, seconds=0.1)
    with open_batch_log(config) as batch_log:
        for sequence in range(1, 60):
            batch = Batch(vantage, sequence, (row,) * 30)
            received = ReceivedBatch(batch, BATCH.pack(batch, signer), signer.public, now())
            batch_log.add([received], closed_until=None, width=timedelta(minutes=5))
    collector_identity(config)
    opened = open_installation(config).open_replaceable(PRESENCE_FILE, PresenceLog)
    with opened as presence_log:
        presence_log.opened(Session(vantage, "broker", "boot", 1, 1, now()))


def _fill_agent(config: Config) -> None:
    open_consent(config).grant(now())
    collector, targets = (
        one(config).signer.public.hex() for one in (collector_identity, targets_identity)
    )
    url = f"http://127.0.0.1:{config.web.port}"
    write_record(enrollment_path(config), Enrollment(url, collector, "22" * 32, targets))
    published = read_published(config)
    assert published is not None
    open_target_list_store(config).adopt(published, now())
    with open_spool(config) as spool:
        row = Measurement("one", "tcp", now(), None, "", host_responded=True, seconds=0.1)
        spool.append([row])
        spool.flush()


async def _send(sender: OutboxSender) -> None:
    while await sender.send_due():
        pass


def count(path: Path, query: str) -> object:
    """Return what `query` counts, without a write to the file."""
    with closing(sqlite3.connect(path)) as file:
        return file.execute(query).fetchone()[0]


def digest(path: Path) -> object:
    return sha256(path.read_bytes()).hexdigest()


def facts(folder: Path, *, without: str = "") -> dict[str, object]:
    """Return what the files of a folder hold that must not be lost, by name."""
    queries: Mapping[str, str] = {
        "batches.sqlite": "SELECT count(*) FROM batch WHERE vantage = 'volunteer'",
        "ledger.sqlite": "SELECT count(*) || ' ' || (SELECT count(*) FROM post)"
        " FROM incident_revision",
        "series.sqlite": "SELECT count(*) FROM compacted",
        "presence.sqlite": "SELECT count(*) FROM session WHERE agent = 'volunteer'",
    }
    read: dict[str, Callable[[Path], object]] = {
        name: lambda path, query=query: count(path, query) for name, query in queries.items()
    }
    patterns = ("*.key", "targets.signed", "posts/*.txt", "consent-*", "observatory-*")
    days = ("**/days/*.parquet",)
    found = [path for pattern in (*patterns, *days) for path in folder.glob(pattern)]
    read |= {path.relative_to(folder).as_posix(): digest for path in found}
    return {
        name: call(folder / name)
        for name, call in read.items()
        if name != without and (folder / name).is_file()
    }
