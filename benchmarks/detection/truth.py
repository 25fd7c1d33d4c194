"""What really happened: events as cuts of networks, and the rows of truth they make."""

from dataclasses import dataclass

import numpy as np

from benchmarks.detection.population import Population
from netwatch.arrays import Bools, Floats, Ints
from netwatch.lab.backtest.matching import Span

__all__ = ["NOTICEABLE", "Event", "Piece", "Truth", "truths_of_event"]

NOTICEABLE = 0.05
"""An aggregate's event begins once this share of its weight is lost."""
_COUNTS = 0.2
_TOUCHED = 0.01
_UNSEEN = 0.01
_WIDTH = {"asn": 0, "region": 1, "country": 2}


@dataclass(frozen=True, slots=True)
class Piece:
    """Networks that go down together or one after another; arrays of one length.

    Attributes:
        networks: their indices.
        starts, ends: minutes since the world began.
        levels: what is left of each while its piece lasts, 0 to 1.
    """

    networks: Ints
    starts: Ints
    ends: Ints
    levels: Floats


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    Attributes:
        kind: `national_full`, `curfew`, `short` …
        scope: the widest scope that it is about: country, region or asn.
        place: index of that country, region or network.
        pieces: what it did to networks.
        visible: signals that show it.
        hidden: networks in which active probing does not show it all the same.
    """

    kind: str
    scope: str
    place: int
    pieces: tuple[Piece, ...]
    visible: frozenset[str]
    hidden: frozenset[int] = frozenset()

    @property
    def start(self) -> int:
        """First minute."""
        return min(int(piece.starts.min()) for piece in self.pieces)

    @property
    def end(self) -> int:
        """Minute after the last."""
        return max(int(piece.ends.max()) for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class Truth(Span):
    """One event as one entity sees it, or one fault, in minutes since the world began.

    Attributes:
        event: number of the event, shared by the entities that it touches.
        kind: the event's or fault's kind.
        fault: whether nothing happened to the entity and silence is the right answer.
        entity: `kind:code`.
        level: lowest true level, 1.0 = ordinary.
        required: whether missing it counts; a false one is excused when called, too.
        size: /24 blocks of the entity.
        measurable: whether active probing shows the true level, so that it can be read.
    """

    event: int
    kind: str
    fault: bool
    entity: str
    level: float
    required: bool
    size: int
    measurable: bool = True


def truths_of_event(event: Event, number: int, population: Population) -> list[Truth]:
    """Return the rows of truth that `event` makes for networks, regions and countries.

    A row begins when at least 5 % of the entity's weight is lost and ends when less is.
    Required are the country of a national event, and every entity that belongs to the event's
    scope and loses at least 20 %; a wider entity that is affected is excused.
    """
    networks, regions, countries = population.names()
    touched = np.unique(np.concatenate([piece.networks for piece in event.pieces]))
    itself = np.arange(population.networks)
    unseen = np.isin(itself, list(event.hidden)) | ("probing" not in event.visible)
    rows = []
    for scope, membership, names in (
        ("asn", itself, networks),
        ("region", population.region, regions),
        ("country", population.country, countries),
    ):
        for place in np.unique(membership[touched]).tolist():
            members = membership == place
            start, end, lost = _span(event, population, members, threshold=NOTICEABLE)
            if lost < _TOUCHED:
                continue
            about = _WIDTH[scope] <= _WIDTH[event.scope]
            rows.append(
                Truth(
                    event=number,
                    kind=event.kind,
                    fault=False,
                    entity=names[place],
                    start=start,
                    end=end,
                    level=1 - lost,
                    required=about and (lost >= _COUNTS or scope == event.scope == "country"),
                    size=int(population.size[members].sum()),
                    measurable=_share(population, members & unseen, members) < _UNSEEN,
                )
            )
    return rows


def _share(population: Population, part: Bools, whole: Bools) -> float:
    return float(population.size[part].sum() / population.size[whole].sum())


def _span(
    event: Event, population: Population, members: Bools, *, threshold: float
) -> tuple[int, int, float]:
    """Return first and last minute with at least `threshold` lost among `members`, and the most."""
    weight = population.size / population.size[members].sum()
    times, changes = [], []
    for piece in event.pieces:
        here = members[piece.networks]
        loss = weight[piece.networks[here]] * (1 - piece.levels[here])
        times += [piece.starts[here], piece.ends[here]]
        changes += [loss, -loss]
    when = np.concatenate(times)
    order = np.argsort(when, kind="stable")
    when = when[order]
    lost = np.cumsum(np.concatenate(changes)[order])
    # Only the last change of an instant is a state that lasted.
    last = np.append(np.diff(when) > 0, True)
    when, lost = when[last], lost[last]
    most = float(lost.max())
    low = np.flatnonzero(lost >= min(threshold, 0.6 * most) + 1e-9)
    return int(when[low[0]]), int(when[min(low[-1] + 1, when.size - 1)]), most
