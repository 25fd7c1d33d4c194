import itertools
import math
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwatch.incidents.changepoints import find_changepoint
from netwatch.incidents.episode_history import EpisodeHistory
from netwatch.incidents.patterns import find_patterns
from netwatch.incidents.recurrence import PatternContext
from netwatch.model.entities import Entity
from netwatch.model.series import Level, SeriesKey
from netwatch.publish.summary import pattern_text

_KEY = SeriesKey("probing", Entity.parse("region:MM-02"))
_START = datetime(2021, 2, 14, tzinfo=UTC)
_WIDTH = timedelta(minutes=30)


def _follow(
    values: list[float | None],
    chances: list[float],
    history: EpisodeHistory | None = None,
    first: int = 0,
) -> EpisodeHistory:
    history = history or EpisodeHistory()
    for index, (value, chance) in enumerate(zip(values, chances, strict=True)):
        time = _START + (first + index) * _WIDTH
        history = history.observe(Level(time, _KEY, value, probability=chance), _WIDTH)
    return history


def _bin(time: datetime) -> int:
    return round((time - _START) / _WIDTH)


def test_onset_and_end_are_where_the_levels_changed_not_where_it_was_noticed() -> None:
    values: list[float | None] = [*[1.1, 0.9] * 5, *[0.0] * 16, *[1.0] * 6]
    chances = [0.01] * 14 + [0.99] * 14 + [0.2] * 4
    history = _follow(values, chances)
    (episode,) = history.episodes
    assert (_bin(episode.started_at), episode.ended_at and _bin(episode.ended_at)) == (10, 26)
    assert episode.started_low <= episode.started_at <= episode.started_high
    assert episode.lowest == 0.0
    assert history.current is None


def test_while_it_lasts_it_has_no_end() -> None:
    history = _follow([1.0] * 10 + [0.1] * 6, [0.01] * 12 + [0.97] * 4)
    assert [one.ended_at for one in history.episodes] == [None]


def test_no_data_changes_nothing() -> None:
    history = _follow([1.0] * 10 + [0.1] * 6, [0.01] * 12 + [0.97] * 4)
    assert _follow([None] * 50, [0.0] * 50, history, first=16) == history


def test_one_ordinary_bin_does_not_end_an_episode() -> None:
    history = _follow([1.0] * 10 + [0.1] * 6, [0.01] * 12 + [0.97] * 4)
    history = _follow([0.9], [0.4], history, first=16)
    assert [one.ended_at for one in history.episodes] == [None]
    history = _follow([0.1, 0.1], [0.97, 0.97], history, first=17)
    assert history.current is not None
    assert history.ordinary.bins == 0


def test_a_short_return_continues_the_episode_a_long_one_ends_it() -> None:
    once = _follow([1.0] * 10 + [0.1] * 6 + [1.0] * 2, [0.01] * 12 + [0.97] * 4 + [0.1] * 2)
    assert [one.ended_at is None for one in once.episodes] == [False]
    again = _follow([0.1] * 3, [0.97] * 3, once, first=18)
    assert len(again.episodes) == 1
    assert _bin(again.episodes[0].started_at) == 10
    later = _follow([1.0] * 8 + [0.1] * 3, [0.1] * 8 + [0.97] * 3, once, first=18)
    assert [_bin(one.started_at) for one in later.episodes] == [10, 26]


def test_a_return_in_steps_ends_where_it_was_back_not_where_it_was_ordinary() -> None:
    """As Iran came back in January 2026: a day at 88 % before ordinary levels."""
    values = [1.0] * 10 + [0.04] * 40 + [0.38] * 12 + [0.76] * 4 + [0.88] * 50 + [0.97] * 4
    chances = [0.01] * 12 + [0.99] * 104 + [0.1] * 4
    (episode,) = _follow(values, chances).episodes
    assert _bin(episode.started_at) == 10
    assert episode.ended_at is not None
    assert _bin(episode.ended_at) == 62


def test_low_levels_without_probability_open_nothing() -> None:
    assert _follow([0.1] * 20, [0.9] * 20).episodes == ()


def test_history_is_bounded() -> None:
    history, first = EpisodeHistory(), 0
    for _ in range(16 + 5):
        history = _follow([1.0] * 10 + [0.0] * 6, [0.01] * 12 + [0.97] * 4, history, first)
        history = _follow([1.0] * 20, [0.01] * 20, history, first + 16)
        first += 36
    assert len(history.episodes) == 16
    assert len(history.recent) <= 7
    assert all(one.ended_at for one in history.episodes)


def test_it_survives_a_checkpoint() -> None:
    history = _follow([1.0] * 10 + [0.1] * 6 + [1.0] * 2, [0.01] * 12 + [0.97] * 4 + [0.1] * 2)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(history), type=EpisodeHistory) == history


@pytest.mark.parametrize("falling", [True, False])
def test_a_change_in_small_counts_is_found(*, falling: bool) -> None:
    """Seven counts an hour in half hours: 3.5 a bin, as in Bago."""
    draws = np.random.default_rng(7)
    off, covered = [], 0
    for _ in range(200):
        counts = np.concatenate([draws.poisson(3.5, 8), draws.poisson(0.05, 8)]) / 3.5
        series = counts if falling else counts[::-1]
        best, first, last = find_changepoint(series, falling=falling)
        off.append(abs(best - 8))
        covered += first <= 8 <= last
    assert np.mean(np.array(off) <= 1) >= 0.97
    assert covered / 200 >= 0.85


def test_a_series_that_is_lost_from_its_first_value_on() -> None:
    assert find_changepoint([0.0] * 6, falling=True)[0] == 0
    assert find_changepoint([0.0] * 6, falling=False)[0] == 6


def test_an_episode_at_the_edge_of_memory_still_opens() -> None:
    history = _follow([0.0], [0.99])
    assert [_bin(one.started_at) for one in history.episodes] == [0]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.none() | st.floats(0, 3) | st.sampled_from([0.0, 1e300, math.inf]), st.floats(0, 1)
        ),
        min_size=1,
        max_size=80,
    )
)
def test_episodes_are_ordered_and_disjoint_for_any_levels(
    bins: list[tuple[float | None, float]],
) -> None:
    history = _follow([value for value, _ in bins], [chance for _, chance in bins])
    assert all(one.ended_at for one in history.episodes[:-1])
    for one, following in itertools.pairwise(history.episodes):
        assert one.ended_at is not None
        assert one.started_at <= one.ended_at <= following.started_at
    for one in history.episodes:
        assert one.started_low <= one.started_at <= one.started_high
    window = PatternContext(_START + len(bins) * _WIDTH, "Asia/Yangon", _WIDTH)
    assert all(pattern_text(pattern, "UTC") for pattern in find_patterns(history.episodes, window))
