"""Data of past shutdowns for the replay tests, and the results of replaying them."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from netwatch.analysis.pipeline import by_interval
from netwatch.app.observatory import make_pipeline
from netwatch.config import Config, PublishConfig
from netwatch.model.entities import Entity, EntityTree
from netwatch.model.incident import Incident, Post
from netwatch.model.series import Level, SeriesKey
from netwatch.publish.posts import sentence
from netwatch.sources.long_table import SeriesTable, make_series_table


def data_folder(name: str) -> Path:
    """Return the data folder `name`; skip the test if it is missing."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data" / name
    if not folder.is_dir():
        pytest.skip(f"the data {name} are not on this machine")
    return folder


def longform(frame: pd.DataFrame, **options: object) -> SeriesTable:
    """Return rows as a data file has them."""
    return make_series_table(frame.astype(str), Path("figures.csv"), **options)  # type: ignore[arg-type]


@dataclass
class ReplayResult:
    """Results of a replay.

    Attributes:
        revisions: all revisions, in the order written.
        posts: all posts, in the order written.
        sentences: at each requested time, the sentence of each open incident.
        levels: all levels by series.
    """

    revisions: list[Incident] = field(default_factory=list)
    posts: list[Post] = field(default_factory=list)
    sentences: dict[datetime, list[str]] = field(default_factory=dict)
    levels: dict[SeriesKey, list[Level]] = field(default_factory=dict)

    def newest(self) -> list[Incident]:
        """Return the newest revision of every incident."""
        return list({incident.id: incident for incident in self.revisions}.values())

    def public(self) -> list[Incident]:
        """Return the corroborated incidents that are not merged into another."""
        return [one for one in self.newest() if one.evidence_level >= 2 and one.merged_into is None]

    def level(self, signal: str, entity: str, time: datetime) -> Level:
        """Return one level."""
        series = self.levels[SeriesKey(signal, Entity.parse(entity))]
        return next(level for level in series if level.time == time)


def replay(table: SeriesTable, *, at: Collection[datetime] = ()) -> ReplayResult:
    """Replay data with the default configuration."""
    tree = EntityTree(table.places)
    config = Config(publish=PublishConfig(channels=("console",)))
    pipeline = make_pipeline(config, tree, width=table.width)
    result = ReplayResult()
    bins = list(table.bins())
    start, end = bins[0].time, bins[-1].time + table.width
    for time, interval in by_interval(bins, table.width, start=start, end=end):
        step = pipeline.step(time, interval)
        result.revisions += step.revisions
        result.posts += step.posts
        for level in step.levels:
            result.levels.setdefault(level.series, []).append(level)
        if time in at:
            snapshots = [one for one in pipeline.tracker.snapshots() if one.evidence_level >= 2]
            result.sentences[time] = [sentence(one, tree) for one in snapshots]
    return result


def iran_january_2026(*signals: str) -> SeriesTable:
    """Return signals of Iran in the blackout of January 2026, in half hours."""
    columns = {
        "probing": "Active Probing (#/24s Up)",
        "bgp": "BGP (#Visible /24s)",
        "telescope": "Telescope (# Unique Source IPs)",
        "traffic": "Google (Search)",
    }
    wide = pd.read_csv(data_folder("iran-2026-01") / "ioda-IR-2026-01-normalized.csv")
    parts = [
        pd.DataFrame(
            {
                "time": wide["Time (UTC)"],
                "signal": signal,
                "entity": "country:IR",
                "value": wide[columns[signal]],
                "name": "Iran",
            }
        )
        for signal in signals
    ]
    return longform(pd.concat(parts).dropna(subset="value"))


@cache
def replay_bago() -> ReplayResult:
    """Replay the replies from Bago, Myanmar, in the curfews of 2021, in half hours."""
    table = pd.read_csv(data_folder("myanmar-2021-curfews") / "mmr-2021-04-09_Bago.csv")
    times = pd.to_datetime(table["time_local_str"]) - pd.Timedelta(hours=6, minutes=30)
    counts = times.dt.floor("30min").value_counts()
    grid = pd.date_range(counts.index.min(), counts.index.max(), freq="30min")
    # The first and the last half hour were not measured whole.
    values = counts.reindex(grid, fill_value=0).iloc[1:-1]
    frame = pd.DataFrame(
        {
            "time": values.index.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "signal": "probing",
            "entity": "region:MM-02",
            "value": values.to_numpy(),
            "timezone": "Asia/Yangon",
        }
    )
    return replay(longform(frame))
