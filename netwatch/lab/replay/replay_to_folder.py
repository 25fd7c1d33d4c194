"""A replay into a folder: what an observatory would have kept, posted and drawn."""

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from netwatch.app.clock import now
from netwatch.app.factories import write_places
from netwatch.app.observatory import make_pipeline
from netwatch.config import Config, PlaceConfig, PublishConfig, write_config
from netwatch.lab.replay.runner import Replay, replay_figures
from netwatch.ledger.ledger import SqlLedger, ledger_url
from netwatch.model.entities import Entity, EntityInfo, EntityKind, EntityTree
from netwatch.model.errors import InputError
from netwatch.model.incident import Incident
from netwatch.model.series import Level, SeriesKey
from netwatch.protocols import OutboxEntry, SeriesStore
from netwatch.publish.channels.file import FileChannel
from netwatch.publish.chart import ChartRequest, draw_chart
from netwatch.publish.outbox import OutboxSender
from netwatch.publish.posts import sentence
from netwatch.sources.long_table import SeriesTable
from netwatch.store.sqlite import SqliteStore

_LEAD_IN = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What a replay came to.

    Attributes:
        incidents: newest revision of each, newest onset first.
        posts: every post, in the order written.
        statements: what would have been said at the time that was asked for.
        pictures: the charts drawn, a PNG and an SVG each.
    """

    incidents: list[Incident]
    posts: list[OutboxEntry]
    statements: list[str]
    pictures: list[Path]


def replay_into(
    folder: Path,
    figures: SeriesTable,
    *,
    at: datetime | None = None,
    progress: Callable[[float], None] = lambda _: None,
    source: str = "replayed figures",
) -> ReplayResult:
    """Replay `figures` into `folder`; what an earlier replay left there is removed.

    Raises:
        InputError: the folder holds something else than a replay.
        StoreError: it cannot be written.
    """
    _clear(folder)
    atlas = EntityTree(figures.places)
    config = Config(
        data=str(folder),
        publish=PublishConfig(channels=("file",)),
        place=tuple(_place_row(place) for place in figures.places),
    )
    write_places(folder, atlas)
    write_config(config, folder / "netwatch.toml")
    store = SqliteStore(folder / "series.sqlite")
    ledger = SqlLedger(ledger_url(folder / "ledger.sqlite"))
    try:
        pipeline = make_pipeline(config, atlas, width=figures.width)
        said = replay_figures(figures, Replay(pipeline, store, ledger, at, progress))
        asyncio.run(_send(ledger, folder))
        incidents = ledger.incidents()
        return ReplayResult(
            incidents=incidents,
            posts=[entry for one in incidents for entry in ledger.posts(one.id)],
            statements=[
                sentence(incident, atlas) for incident in said if incident.evidence_level >= 2
            ],
            pictures=_draw(folder, store, incidents, atlas=atlas, source=source),
        )
    finally:
        ledger.close()
        store.close()


def _place_row(place: EntityInfo) -> PlaceConfig:
    """Return a place as a configuration says it."""
    return PlaceConfig(
        entity=str(place.entity),
        name=place.name,
        parent=str(place.parent) if place.parent else "",
        weight=place.weight,
        timezone=place.timezone,
    )


def _clear(folder: Path) -> None:
    """Remove an earlier replay, and nothing else."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / "ledger.sqlite").exists():
            raise InputError(f"{folder}: holds something else; name an empty folder")
        shutil.rmtree(folder)


async def _send(ledger: SqlLedger, folder: Path) -> None:
    """Send every post that is ready to its file."""
    channels = {"file": FileChannel(folder / "posts")}
    sender = OutboxSender(ledger, channels, now)
    while await sender.send_due():
        pass


def _draw(
    folder: Path, store: SeriesStore, incidents: list[Incident], *, atlas: EntityTree, source: str
) -> list[Path]:
    """Draw one chart for every public incident of a region or country."""
    wide = (EntityKind.COUNTRY, EntityKind.REGION)
    pictures = []
    for incident in incidents:
        if incident.evidence_level < 2 or incident.merged_into or incident.entity.kind not in wide:
            continue
        request = ChartRequest(
            entity=incident.entity,
            levels=_levels(store, incident, atlas),
            tree=atlas,
            incident=incident,
            source=source,
        )
        draw_chart(request, folder / incident.id)
        pictures += [folder / f"{incident.id}.png", folder / f"{incident.id}.svg"]
    return pictures


def _levels(store: SeriesStore, incident: Incident, atlas: EntityTree) -> dict[Entity, list[Level]]:
    """Return the levels of an incident's scope and of its networks, from a day before on."""
    signal = incident.signals[0][0]
    start, end = incident.started_low - _LEAD_IN, incident.at + timedelta(days=7)
    entities = [incident.entity, *atlas.leaf_weights(incident.entity)]
    return {
        entity: list(store.read_levels(start, end, series=SeriesKey(signal, entity)))
        for entity in entities
    }
