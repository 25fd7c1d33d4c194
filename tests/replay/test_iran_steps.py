"""How two Iranian blackouts began and ended, step by step, from the levels alone."""

from datetime import UTC, datetime, timedelta

import pytest
from past_events import iran_january_2026, replay

from netwatch.incidents.changepoints import segment_levels
from netwatch.incidents.episode_history import EpisodeHistory
from netwatch.incidents.excursion import Excursion
from netwatch.incidents.level_history import IncidentHistory, loss_order
from netwatch.incidents.patterns import partial_pattern, progressive_pattern
from netwatch.lab.sample_data.catalog import open_series
from netwatch.model.entities import Entity, EntityTree
from netwatch.model.series import Level, SeriesKey

IRAN = Entity.parse("country:IR")
HOUR = timedelta(hours=1)


def last_onset(levels: list[Level], until: datetime) -> datetime | None:
    """Return the first bin of the unbroken loss below one half that stands at `until`."""
    onset = None
    for level in levels:
        if level.time <= until and level.value is not None:
            onset = (onset or level.time) if level.value < 0.5 else None
    return onset


def test_november_2019_fell_in_steps_without_survivors() -> None:
    table = open_series("iran-2019-11")
    result, tree = replay(table), EntityTree(table.places)
    [signal] = {key.signal for key in result.levels}
    weights = tree.leaf_weights(IRAN)
    levels = {entity: result.levels[SeriesKey(signal, entity)] for entity in weights}
    morning = datetime(2019, 11, 17, 5, 30, tzinfo=UTC)
    onsets = {entity: last_onset(row, morning) for entity, row in levels.items()}
    losses = {entity: (at, weights[entity]) for entity, at in onsets.items() if at}

    falls = loss_order(losses, sum(weights.values()))
    assert len(falls) >= 28
    assert falls[0].started_at == datetime(2019, 11, 16, 16, 30, tzinfo=UTC)
    assert falls[-1].started_at == datetime(2019, 11, 17, 4, 30, tzinfo=UTC)
    pattern = progressive_pattern(list(losses.values()), morning, networks=len(weights))
    assert pattern is not None
    assert dict(pattern.measures)["steps_hours"] == 12

    national = result.levels[SeriesKey(signal, IRAN)]
    began = datetime(2019, 11, 16, 16, 30, tzinfo=UTC)
    segments = segment_levels([one for one in national if one.time >= began], HOUR)
    assert segments[-1].start == began + 2 * HOUR
    assert segments[-1].low < 0.07 < segments[-1].high
    history = IncidentHistory()
    for level in national:
        if level.time >= began + 2 * HOUR:
            own = {
                entity: Excursion(one)
                for entity, row in levels.items()
                for one in row
                if one.time == level.time
            }
            history.observe(level, own)
    survivors = history.survivors(weights)
    assert survivors is not None
    assert survivors.networks == ()
    assert survivors.lost_share == pytest.approx(1.0)


@pytest.fixture(scope="module")
def january() -> list[Level]:
    return replay(iran_january_2026("probing")).levels[SeriesKey("probing", IRAN)]


def test_january_2026_is_one_episode_with_its_real_end(january: list[Level]) -> None:
    log = EpisodeHistory()
    for level in january:
        log = log.observe(level, HOUR / 2)
    [episode] = log.episodes
    assert abs(episode.started_at - datetime(2026, 1, 8, 16, 30, tzinfo=UTC)) <= HOUR
    assert episode.ended_at is not None
    assert abs(episode.ended_at - datetime(2026, 1, 27, 7, 30, tzinfo=UTC)) <= HOUR


def test_january_2026_came_back_in_steps(january: list[Level]) -> None:
    began, over = datetime(2026, 1, 8, 16, 30, tzinfo=UTC), datetime(2026, 1, 28, tzinfo=UTC)
    segments = segment_levels(
        [one for one in january if began <= one.time < over], timedelta(minutes=30)
    )
    longest = max(segments, key=lambda one: one.end - one.start)
    assert longest.end - longest.start >= timedelta(days=15)
    assert longest.level == pytest.approx(0.037, abs=0.01)
    back = [one for one in segments if one.start >= datetime(2026, 1, 27, tzinfo=UTC)]
    assert [one.level for one in back] == sorted(one.level for one in back)
    assert len(back) >= 3
    pattern = partial_pattern(segments)
    assert pattern is not None
    assert pattern.since >= datetime(2026, 1, 27, tzinfo=UTC)
