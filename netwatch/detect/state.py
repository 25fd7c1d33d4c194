"""Everything a detector remembers, as arrays with one row a series; saved and loaded whole."""

import io
import math
import zipfile
from bisect import bisect_left
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime

import msgspec
import numpy as np
import numpy.typing as npt

from netwatch.arrays import Bools, Float32, Floats
from netwatch.detect.bayes_filter import DEPTHS, Posterior, start_posterior
from netwatch.detect.seasonal_baseline import SeasonalBaseline
from netwatch.model.entities import Entity
from netwatch.model.errors import InputError, StoreError
from netwatch.model.series import SeriesKey

_VERSION = 7
_NEVER = float("nan")
_NO_TIME = np.uint32(2**32 - 1)
"""What stands in a saved state for a time that is not known."""


class _Head(msgspec.Struct):
    """What a saved state says of itself besides its arrays."""

    version: int
    width: float
    began: float | None
    keys: list[tuple[str, str]]
    times: list[float]


@dataclass(slots=True)
class Training:
    """Bins kept until every series in them is old enough to have an ordinary level."""

    times: list[datetime] = field(default_factory=list)
    values: list[Floats] = field(default_factory=list)
    totals: list[Floats] = field(default_factory=list)

    def add(self, time: datetime, values: Floats, totals: Floats) -> None:
        """Keep one bin of all series."""
        self.times.append(time)
        self.values.append(values)
        self.totals.append(totals)

    def matrix(self, rows: npt.NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Return values and totals of `rows`, each of shape (time, series)."""
        return _stack(self.values, rows), _stack(self.totals, rows)

    def keep_from(self, time: datetime) -> None:
        """Forget what came before `time`."""
        past = bisect_left(self.times, time)
        for kept in (self.times, self.values, self.totals):
            del kept[:past]

    def clear(self) -> None:
        """Forget it all."""
        self.times.clear()
        self.values.clear()
        self.totals.clear()


def _stack(kept: list[Floats], rows: npt.NDArray[np.intp]) -> Floats:
    """Stack rows of different ages; a series that did not exist yet is missing."""
    width = int(rows.max()) + 1 if len(rows) else 0
    padded = [np.pad(row, (0, max(0, width - len(row))), constant_values=np.nan) for row in kept]
    return np.array([row[rows] for row in padded]).reshape(len(kept), len(rows))


def _pack_times(times: Floats) -> Floats | npt.NDArray[np.uint32]:
    """Return Unix times in half the space, where all of them are whole seconds."""
    known = times[np.isfinite(times)]
    if ((known != np.floor(known)) | (known < 0) | (known >= _NO_TIME)).any():
        return times
    return np.where(np.isfinite(times), times, _NO_TIME).astype(np.uint32)


def _unpack_times(saved: npt.NDArray[np.generic]) -> Floats:
    """Return the times that `_pack_times` packed."""
    times = saved.astype(np.float64)
    return np.where(times == _NO_TIME, np.nan, times) if saved.dtype == np.uint32 else times


@dataclass(slots=True)
class SeriesState:
    """The rows of a detector.

    Attributes:
        keys: the series, in the order in which they first came; rows follow this order.
        baseline: what is ordinary for each.
        belief: probability of each depth, (n, G).
        ratio: current over ordinary at the last bin with data; NaN before the first.
        first: Unix time of the first bin with data, NaN before it.
        ready: whether an ordinary level is known.
        share: whether values are successes out of a total.
        frozen: Unix time since when nothing is learned, NaN while it is.
        low_since, low_at: Unix time of the first and the newest bin of the present loss; the
            latter stays after its end. NaN for none.
        shadow: what a low series has been at of late, in shares of ordinary; NaN for others.
        gain: how much more is counted than is ordinary, of late.
        pace: how many bins are judged together; counted, awaited: counts in the present window,
            and ordinary ones.
        rested: hours of rest days that were seen.
        scale: usual size of the shift of each signal (`NuisanceTest`), no value a row.
        width: bin width in seconds.
        began: Unix time of the first interval in which there was any series.
    """

    width: float
    began: float = math.inf
    keys: list[SeriesKey] = field(default_factory=list)
    rows: dict[SeriesKey, int] = field(default_factory=dict)
    baseline: SeasonalBaseline = field(default_factory=SeasonalBaseline)
    belief: Posterior = field(default_factory=lambda: np.zeros((0, len(DEPTHS)), np.float32))
    ratio: Floats = field(default_factory=lambda: np.zeros(0))
    first: Floats = field(default_factory=lambda: np.zeros(0))
    ready: Bools = field(default_factory=lambda: np.zeros(0, dtype=bool))
    share: Bools = field(default_factory=lambda: np.zeros(0, dtype=bool))
    frozen: Floats = field(default_factory=lambda: np.zeros(0))
    low_since: Floats = field(default_factory=lambda: np.zeros(0))
    low_at: Floats = field(default_factory=lambda: np.zeros(0))
    shadow: Float32 = field(default_factory=lambda: np.zeros(0, np.float32))
    gain: Float32 = field(default_factory=lambda: np.zeros(0, np.float32))
    pace: npt.NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, np.int8))
    counted: Float32 = field(default_factory=lambda: np.zeros(0, np.float32))
    awaited: Float32 = field(default_factory=lambda: np.zeros(0, np.float32))
    rested: Float32 = field(default_factory=lambda: np.zeros(0, np.float32))
    scale: Floats = field(default_factory=lambda: np.zeros(0))
    training: Training = field(default_factory=Training)

    def add(self, keys: list[SeriesKey], time: datetime) -> None:
        """Make rows for series that were never seen before."""
        count = len(keys)
        self.began = min(self.began, time.timestamp())
        for key in keys:
            self.rows[key] = len(self.keys)
            self.keys.append(key)
        self.baseline.grow(count)
        self.belief = np.concatenate([self.belief, start_posterior(count)])
        self.ratio = np.concatenate([self.ratio, np.full(count, _NEVER)])
        self.first = np.concatenate([self.first, np.full(count, _NEVER)])
        self.ready = np.concatenate([self.ready, np.zeros(count, dtype=bool)])
        self.share = np.concatenate([self.share, np.zeros(count, dtype=bool)])
        self.frozen = np.concatenate([self.frozen, np.full(count, _NEVER)])
        self.low_since = np.concatenate([self.low_since, np.full(count, _NEVER)])
        self.low_at = np.concatenate([self.low_at, np.full(count, _NEVER)])
        self.shadow = np.concatenate([self.shadow, np.full(count, _NEVER, np.float32)])
        self.gain = np.concatenate([self.gain, np.zeros(count, np.float32)])
        self.pace = np.concatenate([self.pace, np.ones(count, np.int8)])
        self.counted = np.concatenate([self.counted, np.zeros(count, np.float32)])
        self.awaited = np.concatenate([self.awaited, np.zeros(count, np.float32)])
        self.rested = np.concatenate([self.rested, np.zeros(count, np.float32)])

    def copy(self) -> "SeriesState":
        """Return the same state, which goes its own way from here; the series stay shared."""
        learned = {name: getattr(self.baseline, name).copy() for name in _LEARNED}
        kept = self.training
        return replace(
            self,
            baseline=SeasonalBaseline(**learned),
            training=Training(list(kept.times), list(kept.values), list(kept.totals)),
            **{name: getattr(self, name).copy() for name in _ARRAYS},
        )

    def save(self) -> bytes:
        """Return the whole state as one block of bytes."""
        values, totals = self.training.matrix(np.arange(len(self.keys)))
        head = _Head(
            version=_VERSION,
            width=self.width,
            # JSON knows no infinity: of a state without a series, there is nothing to say.
            began=self.began if math.isfinite(self.began) else None,
            keys=[(key.signal, str(key.entity)) for key in self.keys],
            times=[time.timestamp() for time in self.training.times],
        )
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        arrays |= {name: _pack_times(arrays[name]) for name in _TIMES}
        arrays |= {f"baseline_{name}": getattr(self.baseline, name) for name in _LEARNED}
        arrays |= {"values": values, "totals": totals}
        arrays["head"] = np.frombuffer(msgspec.json.encode(head), np.uint8)
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        return buffer.getvalue()

    @classmethod
    def load(cls, data: bytes, *, width: float) -> "SeriesState":
        """Return the state that `save` wrote.

        Raises:
            StoreError: another version, another bin width, or damaged bytes.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            head = msgspec.json.decode(arrays["head"].tobytes(), type=_Head)
            if (head.version, head.width) != (_VERSION, width):
                raise StoreError("checkpoint: written with another version or bin width")
            keys = [SeriesKey(signal, Entity.parse(entity)) for signal, entity in head.keys]
            began = math.inf if head.began is None else head.began
            state = cls(width=width, began=began, keys=keys)
            for name in _ARRAYS:
                setattr(state, name, arrays[name])
            for name in _TIMES:
                setattr(state, name, _unpack_times(arrays[name]))
            for name in _LEARNED:
                setattr(state.baseline, name, arrays[f"baseline_{name}"])
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, InputError) as error:
            raise StoreError(f"checkpoint: damaged: {error}") from error
        state.rows = {key: row for row, key in enumerate(state.keys)}
        times = [datetime.fromtimestamp(time, UTC) for time in head.times]
        state.training = Training(times, list(arrays["values"]), list(arrays["totals"]))
        return state


_ARRAYS = (
    *("belief", "ratio", "first", "ready", "share", "frozen"),
    *("low_since", "low_at", "shadow", "gain", "pace", "counted", "awaited", "rested", "scale"),
)
_TIMES = ("first", "frozen", "low_since", "low_at")
_LEARNED = tuple(entry.name for entry in fields(SeasonalBaseline))
