"""Past shutdowns for the replay tests: where the real figures are, and what is made of them."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
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
from netwatch.sources.long_table import LongForm, make_longform

__all__ = ["Course", "data_folder", "longform", "replay"]


def data_folder(name: str) -> Path:
    """Return the folder of real figures called `name`; without it the test is skipped."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data" / name
    if not folder.is_dir():
        pytest.skip(f"the figures {name} are not on this machine")
    return folder


def longform(frame: pd.DataFrame, **options: object) -> LongForm:
    """Return rows as figures, through the door that a file takes."""
    return make_longform(frame.astype(str), Path("figures.csv"), **options)  # type: ignore[arg-type]


@dataclass
class Course:
    """What came of a replay.

    Attributes:
        revisions: all of them, in the order written.
        posts: likewise.
        said: at each time asked for, what would have been said of each open incident.
        levels: every level by series.
    """

    revisions: list[Incident] = field(default_factory=list)
    posts: list[Post] = field(default_factory=list)
    said: dict[datetime, list[str]] = field(default_factory=dict)
    levels: dict[SeriesKey, list[Level]] = field(default_factory=dict)

    def newest(self) -> list[Incident]:
        """Return the newest revision of every incident."""
        return list({incident.id: incident for incident in self.revisions}.values())

    def public(self) -> list[Incident]:
        """Return the incidents that a reader sees: seen twice over, and part of no other."""
        return [one for one in self.newest() if one.evidence_level >= 2 and one.merged_into is None]

    def level(self, signal: str, entity: str, time: datetime) -> Level:
        """Return one level."""
        series = self.levels[SeriesKey(signal, Entity.parse(entity))]
        return next(level for level in series if level.time == time)


def replay(figures: LongForm, *, at: Collection[datetime] = ()) -> Course:
    """Replay figures with the rules that a configuration without a word has."""
    atlas = EntityTree(figures.places)
    config = Config(publish=PublishConfig(channels=("console",)))
    pipeline = make_pipeline(config, atlas, width=figures.width)
    course = Course()
    for time, bins in by_interval(figures.bins(), figures.width):
        step = pipeline.step(time, bins)
        course.revisions += step.revisions
        course.posts += step.posts
        for level in step.levels:
            course.levels.setdefault(level.series, []).append(level)
        if time in at:
            said = [one for one in pipeline.tracker.snapshots() if one.evidence_level >= 2]
            course.said[time] = [sentence(one, atlas) for one in said]
    return course
