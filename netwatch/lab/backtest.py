"""A researcher's own series through the detector: levels and incidents, as a live system's."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from netwatch.detect.core import Judged
from netwatch.detect.detector import GridDetector
from netwatch.incidents.rules import Rules
from netwatch.incidents.tracker import Tracker
from netwatch.model.atlas import Atlas
from netwatch.model.entity import Entity
from netwatch.model.errors import InputError
from netwatch.model.incident import Incident
from netwatch.model.series import ACTIVE_SIGNALS, Level, SeriesKey
from netwatch.sources.longform import LongForm, make_longform

__all__ = ["Backtest", "backtest_figures", "plain_incident", "run_backtest", "write_backtest"]

Floats = npt.NDArray[np.float64]

_LEAST_HISTORY = timedelta(days=2)
_SUSPECT = 0.5
_REDUCED = 0.9
_COLUMNS = ("level", "low", "high", "probability")


@dataclass(frozen=True, slots=True)
class Backtest:
    """What a backtest came to.

    Attributes:
        levels: columns time, entity, level, low, high, probability; level 1.0 = ordinary.
        incidents: newest revision of each incident, oldest onset first.
    """

    levels: pd.DataFrame
    incidents: list[Incident]


def run_backtest(
    frame: pd.DataFrame, *, training_until: datetime | None = None
) -> tuple[pd.DataFrame, list[dict[str, object]]]:
    """Judge a long table: columns time, entity, signal, value[, total, parent, weight].

    Rows before `training_until` only teach; without it, the least history does. Returns the
    levels and the incidents as plain objects, the contents of `levels.parquet` and
    `incidents.json`.

    Raises:
        InputError: the table cannot be used.
    """
    found = backtest_figures(make_longform(frame, Path("table")), training_until=training_until)
    return found.levels, [plain_incident(incident) for incident in found.incidents]


def backtest_figures(
    figures: LongForm,
    *,
    training_until: datetime | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> Backtest:
    """Judge every bin of `figures` in order, as a live system would have.

    Raises:
        InputError: `training_until` leaves nothing to learn from.
    """
    return _Run(figures, training_until).play(progress)


def plain_incident(incident: Incident) -> dict[str, object]:
    """Return an incident as `incidents.json` has it; times are ISO 8601 UTC."""
    trough = incident.trough
    return {
        "id": incident.id,
        "entity": str(incident.entity),
        "started_at": _text(incident.started_at),
        "started_low": _text(incident.started_low),
        "started_high": _text(incident.started_high),
        "ended_at": _text(incident.ended_at),
        "provisional_at": _text(incident.provisional_at),
        "confirmed_at": _text(incident.confirmed_at),
        "trough": {
            "level": trough.value / 100,
            "low": trough.low / 100,
            "high": trough.high / 100,
            "at": _text(incident.trough_at),
        },
        "signals": [name for name, agrees in incident.signals if agrees],
        "pattern": incident.pattern,
        "parent": incident.parent,
        "children": [
            {
                "entity": str(child.entity),
                "started_at": _text(child.started_at),
                "ended_at": _text(child.ended_at),
            }
            for child in incident.children
        ],
    }


def _text(time: datetime | None) -> str | None:
    """Return a time as ISO 8601 with a Z."""
    return None if time is None else time.isoformat().replace("+00:00", "Z")


class _Run:
    """One pass over the figures."""

    def __init__(self, figures: LongForm, training_until: datetime | None) -> None:
        atlas = Atlas(figures.places)
        self._width = figures.width
        self._times = _grid(figures)
        history = _LEAST_HISTORY
        if training_until is not None:
            history = training_until - self._times[0]
            if history <= timedelta(0):
                raise InputError(f"nothing before {training_until} to learn from")
        self._detector = GridDetector(atlas, width=figures.width, least_history=history)
        self._tracker = Tracker(atlas, width=figures.width, rules=Rules())
        self._values, self._totals = self._matrices(figures)
        self._lead = _lead_rows(self._detector.rows)
        self._entities = list(self._lead)
        places = {entity: place for place, entity in enumerate(self._entities)}
        self._together = np.array([places[key.entity] for key in self._detector.fused], np.intp)
        self._found = {
            name: np.full((len(self._times), len(self._lead)), np.nan) for name in _COLUMNS
        }
        self._incidents: dict[str, Incident] = {}

    def play(self, progress: Callable[[float], None]) -> Backtest:
        """Judge all intervals."""
        rows = np.array(list(self._lead.values()), np.intp)
        for number, time in enumerate(self._times):
            judged = self._detector.judge(
                time, self._values[number], self._totals[number], frozen=self._tracker.frozen()
            )
            self._keep(number, judged, rows)
            for revision in self._tracker.step(list(self._interesting(judged, time))):
                self._incidents[revision.id] = revision
            if number % 64 == 0:
                progress(number / len(self._times))
        progress(1.0)
        incidents = sorted(self._incidents.values(), key=lambda one: (one.started_at, one.id))
        return Backtest(self._levels(), incidents)

    def _matrices(self, figures: LongForm) -> tuple[Floats, Floats]:
        """Return values and totals, shape (time, row); rows are the detector's."""
        wider = {str(entity) for entity in self._detector.wider}
        frame = figures.frame[~figures.frame["entity"].isin(wider)]
        pairs = frame[["signal", "entity"]].drop_duplicates()
        keys = [
            SeriesKey(signal, Entity.parse(entity))
            for signal, entity in zip(pairs["signal"], pairs["entity"], strict=True)
        ]
        self._detector.admit(keys, self._times[0])
        index = {(key.signal, str(key.entity)): row for key, row in self._detector.rows.items()}
        columns = np.array(
            [index[pair] for pair in zip(frame["signal"], frame["entity"], strict=True)]
        )
        start = pd.Timestamp(self._times[0])
        lines = ((frame["time"] - start) // pd.Timedelta(self._width)).to_numpy()
        shape = (len(self._times), len(self._detector.rows))
        values, totals = np.full(shape, np.nan), np.full(shape, np.nan)
        values[lines, columns] = frame["value"].to_numpy()
        totals[lines, columns] = frame["total"].to_numpy()
        self._detector.set_shares(np.isfinite(totals).any(axis=0))
        return values, totals

    def _keep(self, number: int, judged: Judged, rows: npt.NDArray[np.intp]) -> None:
        """Keep the levels of one interval; what several signals say together where they do."""
        rows = rows.copy()
        seen = judged.fused.rows >= 0
        rows[self._together[seen]] = judged.fused.rows[seen]
        for name, values in zip(
            _COLUMNS, (judged.ratio, judged.low, judged.high, judged.probability), strict=True
        ):
            self._found[name][number] = np.where(judged.ready[rows], values[rows], np.nan)
        chance = self._found["probability"][number]
        chance[self._together[seen]] = judged.fused.probability[seen]

    def _interesting(self, judged: Judged, time: datetime) -> Iterable[Level]:
        """Yield the levels that may matter to an incident; ordinary ones never do."""
        with np.errstate(invalid="ignore"):
            odd = (judged.probability > _SUSPECT) | (judged.ratio < _REDUCED)
        odd &= judged.ready
        keys = list(self._detector.rows)
        entities = {keys[row].entity for row in np.flatnonzero(odd)} | self._tracker.drop_quiet()
        together = np.flatnonzero(judged.fused.probability > _SUSPECT).tolist()
        entities |= {self._detector.fused[number].entity for number in together}
        if not entities:
            return
        for row, key in enumerate(keys):
            if judged.ready[row] and key.entity in entities:
                yield self._detector.level(judged, row, time)
        yield from self._detector.fused_levels(judged, time, entities)

    def _levels(self) -> pd.DataFrame:
        """Return the kept levels as a table, rows without a level left out."""
        known = np.isfinite(self._found["level"])
        lines, columns = np.nonzero(known)
        table = {
            "time": pd.DatetimeIndex(self._times)[lines],
            "entity": np.array([str(entity) for entity in self._entities])[columns],
        }
        return pd.DataFrame(table | {name: self._found[name][known] for name in _COLUMNS})


def _grid(figures: LongForm) -> list[datetime]:
    """Return the start of every interval from the first to the last."""
    first, last = figures.frame["time"].iloc[0], figures.frame["time"].iloc[-1]
    return [
        time.to_pydatetime()
        for time in pd.date_range(first, last, freq=pd.Timedelta(figures.width))
    ]


def _lead_rows(rows: dict[SeriesKey, int]) -> dict[Entity, int]:
    """Return for every entity the row of its leading signal: active ones first."""
    order = {name: place for place, name in enumerate(ACTIVE_SIGNALS)}
    found: dict[Entity, int] = {}
    for key in sorted(rows, key=lambda one: (order.get(one.signal, len(order)), one.signal)):
        found.setdefault(key.entity, rows[key])
    return found


def write_backtest(found: Backtest, folder: Path) -> None:
    """Write `levels.parquet` and `incidents.json` into `folder`.

    Raises:
        InputError: the folder cannot be written.
    """
    import duckdb  # noqa: PLC0415 - only who writes Parquet waits for it

    try:
        folder.mkdir(parents=True, exist_ok=True)
        plain = [plain_incident(incident) for incident in found.incidents]
        text = json.dumps(plain, indent=2, ensure_ascii=False)
        (folder / "incidents.json").write_text(text + "\n", "utf-8")
        with duckdb.connect() as connection:
            connection.register("levels", found.levels)
            target = str(folder / "levels.parquet").replace("'", "''")
            connection.execute(f"copy levels to '{target}' (format parquet, compression zstd)")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror}") from error
