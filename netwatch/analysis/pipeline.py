"""One bin through the whole of analysis: levels, incidents, posts. Live and past alike."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

import msgspec

from netwatch.analysis.mass_disconnect import DisconnectEvidence
from netwatch.incidents.tracker import Tracker
from netwatch.model.errors import StoreError
from netwatch.model.incident import Incident, Post
from netwatch.model.series import Bin, Level
from netwatch.protocols import Detector
from netwatch.signals.presence.log import AGENTS


@dataclass(frozen=True, slots=True)
class PipelineResult:
    """What one interval came to; `notice` is for the operator, where our own side failed."""

    time: datetime
    levels: list[Level]
    revisions: list[Incident]
    posts: list[Post]
    notice: str = ""


class _Saved(msgspec.Struct):
    """The states of the two parts that remember."""

    detector: bytes
    tracker: bytes


class Pipeline:
    """Detector, tracker and composer in a row; a pure function of the bins it was shown."""

    def __init__(
        self,
        detector: Detector,
        tracker: Tracker,
        compose: Callable[[Incident], list[Post]],
        *,
        roll: Callable[[datetime], DisconnectEvidence] = lambda _: DisconnectEvidence(),
    ) -> None:
        """Judge with `detector`, follow with `tracker`, write posts with `compose`.

        `roll` says what agents that vanished together tell of an interval.
        """
        self.tracker = tracker
        self._detector = detector
        self._compose = compose
        self._roll = roll

    def step(self, time: datetime, bins: Sequence[Bin]) -> PipelineResult:
        """Judge the interval that starts at `time`."""
        roll = self._roll(time)
        if roll.masked:
            bins = [entry for entry in bins if entry.series.signal != AGENTS]
        self._detector.weigh_in(roll.evidence)
        levels = self._detector.step(
            time, bins, frozen=self.tracker.frozen(), expected=self.tracker.expected(time)
        )
        revisions = self.tracker.step(levels)
        posts = [post for revision in revisions for post in self._compose(revision)]
        return PipelineResult(time, levels, revisions, posts, roll.notice)

    def save(self) -> bytes:
        """Return the state of all parts."""
        return msgspec.msgpack.encode(_Saved(self._detector.save(), self.tracker.save()))

    def load(self, state: bytes) -> None:
        """Take up a saved state.

        Raises:
            StoreError: it is damaged or of another version.
        """
        try:
            saved = msgspec.msgpack.decode(state, type=_Saved)
        except msgspec.DecodeError as error:
            raise StoreError(f"checkpoint: damaged: {error}") from error
        self._detector.load(saved.detector)
        self.tracker.load(saved.tracker)


def by_interval(
    bins: Iterable[Bin],
    width: timedelta,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
) -> Iterator[tuple[datetime, list[Bin]]]:
    """Yield (time, bins) for every interval from `start` to `end`, empty ones included.

    `bins` come in order of time; without bounds, the first and last bin are the bounds.
    """
    due = start
    for time, group in groupby(bins, key=lambda entry: entry.time):
        while due is not None and due < time:
            yield due, []
            due += width
        yield time, list(group)
        due = time + width
    while due is not None and end is not None and due < end:
        yield due, []
        due += width
