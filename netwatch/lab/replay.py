"""Replays recorded series into a data folder, with the posts and charts of a live observatory."""

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from netwatch.analysis.pipeline import PipelineResult, PipelineRunner
from netwatch.app.factories import make_channels
from netwatch.app.observatory import ObservatoryContext, make_pipeline, open_context
from netwatch.app.wall_clock import now
from netwatch.config import Config, PlaceConfig, PublishConfig, write_config
from netwatch.ledger.ledger import SqlLedger
from netwatch.model.entities import Entity, EntityInfo, EntityKind, EntityTree
from netwatch.model.errors import InputError
from netwatch.model.incident import Incident
from netwatch.model.series import Level, SeriesKey
from netwatch.protocols import OutboxEntry, SeriesStore
from netwatch.publish.chart import ChartRequest, draw_chart
from netwatch.publish.outbox import OutboxSender
from netwatch.publish.posts import sentence
from netwatch.sources.long_table import SeriesTable

_LEAD_IN = timedelta(days=1)
"""Time before the onset that a chart shows."""


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """Result of a replay.

    Attributes:
        incidents: newest revision of each, newest onset first.
        posts: all posts, in the order written.
        statements: those that were due at the requested time.
        pictures: charts, a PNG and an SVG each.
    """

    incidents: list[Incident]
    posts: list[OutboxEntry]
    statements: list[str]
    pictures: list[Path]


def replay_into(
    folder: Path,
    table: SeriesTable,
    *,
    at: datetime | None = None,
    progress: Callable[[float], None] = lambda _: None,
    source: str = "replayed series",
) -> ReplayResult:
    """Replay `table` into `folder`, replacing an earlier replay.

    Raises:
        InputError: the folder holds other files than a replay, or no series cover `at`.
        StoreError: the folder cannot be written.
    """
    _clear(folder)
    config = Config(
        data=str(folder),
        publish=PublishConfig(channels=("file",)),
        place=tuple(_place_row(info) for info in table.places),
    )
    write_config(config, folder / "netwatch.toml")
    with open_context(config) as context:
        store, ledger, tree = context.store, context.ledger, context.tree
        snapshots = _replay(context, table, at, progress)
        asyncio.run(_send(config, ledger))
        incidents = ledger.incidents()
        return ReplayResult(
            incidents=incidents,
            posts=[entry for one in incidents for entry in ledger.outbox.posts(one.id)],
            statements=[sentence(one, tree) for one in snapshots if one.evidence_level >= 2],
            pictures=_draw(folder, store, incidents, tree=tree, source=source),
        )


def _place_row(info: EntityInfo) -> PlaceConfig:
    return PlaceConfig(
        entity=str(info.entity),
        name=info.name,
        parent=str(info.parent) if info.parent else "",
        weight=info.weight,
        timezone=info.timezone,
    )


def _clear(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        if not (folder / "ledger.sqlite").exists():
            raise InputError(f"{folder}: holds other files; name an empty folder")
        shutil.rmtree(folder)


def _replay(
    context: ObservatoryContext,
    table: SeriesTable,
    at: datetime | None,
    progress: Callable[[float], None],
) -> list[Incident]:
    """Evaluate and record every bin; return the incidents open as of `at`, widest scope first."""
    bins = list(table.bins())
    start, end = bins[0].time, bins[-1].time + table.width
    if at is not None and not start <= at < end:
        raise InputError(
            f"{at:%Y-%m-%dT%H:%MZ}: no series; they go from "
            f"{start:%Y-%m-%dT%H:%MZ} to {end:%Y-%m-%dT%H:%MZ}"
        )
    pipeline = make_pipeline(context.config, context.tree, width=table.width)
    snapshots: list[Incident] = []

    def on_step(result: PipelineResult) -> None:
        if at is not None and result.time <= at < result.time + table.width:
            snapshots.extend(pipeline.tracker.snapshots())
        progress((result.time + table.width - start) / (end - start))

    context.store.put_bins(bins, closed_until=end)
    runner = PipelineRunner(
        pipeline, context.store, context.ledger, width=table.width, on_step=on_step
    )
    while runner.catch_up():
        pass
    return snapshots


async def _send(config: Config, ledger: SqlLedger) -> None:
    sender = OutboxSender(ledger.outbox, make_channels(config), now)
    while await sender.send_due():
        pass


def _draw(
    folder: Path, store: SeriesStore, incidents: list[Incident], *, tree: EntityTree, source: str
) -> list[Path]:
    wide = (EntityKind.COUNTRY, EntityKind.REGION)
    pictures = []
    for incident in incidents:
        if incident.evidence_level < 2 or incident.merged_into or incident.entity.kind not in wide:
            continue
        request = ChartRequest(incident, _levels(store, incident, tree), tree, source=source)
        draw_chart(request, folder / incident.id)
        pictures += [folder / f"{incident.id}.png", folder / f"{incident.id}.svg"]
    return pictures


def _levels(store: SeriesStore, incident: Incident, tree: EntityTree) -> dict[Entity, list[Level]]:
    signal = incident.signals[0][0]
    start, end = incident.started_low - _LEAD_IN, incident.at + timedelta(days=7)
    entities = [incident.entity, *tree.leaf_weights(incident.entity)]
    return {
        entity: list(store.read_levels(start, end, series=SeriesKey(signal, entity)))
        for entity in entities
    }
