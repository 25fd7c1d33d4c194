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
from netwatch.model.entities import EntityInfo, EntityKind
from netwatch.model.errors import InputError
from netwatch.model.incident import CORROBORATED, Incident
from netwatch.model.series import SeriesKey
from netwatch.protocols import OutboxEntry
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
        snapshots = [
            one
            for one in _replay(context, table, at, progress)
            if one.evidence_level >= CORROBORATED
        ]
        asyncio.run(_send(context))
        incidents = context.ledger.incidents()
        return ReplayResult(
            incidents=incidents,
            posts=[entry for one in incidents for entry in context.ledger.outbox.posts(one.id)],
            statements=[sentence(one, context.tree) for one in snapshots],
            pictures=_draw(context, incidents, folder, source),
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
    bins, width = list(table.bins()), table.width
    start, end = bins[0].time, bins[-1].time + width
    if at is not None and not start <= at < end:
        raise InputError(
            f"{at:%Y-%m-%dT%H:%MZ}: no series; they go from "
            f"{start:%Y-%m-%dT%H:%MZ} to {end:%Y-%m-%dT%H:%MZ}"
        )
    pipeline = make_pipeline(context.config, context.tree, width=width)
    snapshots: list[Incident] = []

    def on_step(result: PipelineResult) -> None:
        if at is not None and result.time <= at < result.time + width:
            snapshots.extend(pipeline.tracker.snapshots())
        progress((result.time + width - start) / (end - start))

    context.store.put_bins(bins, closed_until=end)
    runner = PipelineRunner(pipeline, context.store, context.ledger, width=width, on_step=on_step)
    while runner.catch_up():
        pass
    return snapshots


async def _send(context: ObservatoryContext) -> None:
    sender = OutboxSender(context.ledger.outbox, make_channels(context.config), now)
    while await sender.send_due():
        pass


def _draw(
    context: ObservatoryContext, incidents: list[Incident], folder: Path, source: str
) -> list[Path]:
    """Draw the public incidents of countries and regions."""
    pictures = []
    for incident in incidents:
        public = incident.evidence_level >= CORROBORATED and not incident.merged_into
        if public and incident.entity.kind in {EntityKind.COUNTRY, EntityKind.REGION}:
            start, end = incident.started_low - _LEAD_IN, incident.at + timedelta(days=7)
            signal = incident.signals[0][0]
            levels = {
                entity: list(
                    context.store.read_levels(start, end, series=SeriesKey(signal, entity))
                )
                for entity in (incident.entity, *context.tree.leaf_weights(incident.entity))
            }
            request = ChartRequest(incident, levels, context.tree, source=source)
            draw_chart(request, folder / incident.id)
            pictures += [folder / f"{incident.id}.png", folder / f"{incident.id}.svg"]
    return pictures
