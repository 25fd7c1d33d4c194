"""Compares the records with and without liars, and says which goals a cell misses."""

from dataclasses import dataclass, replace

from benchmarks.poisoning.cells import Cell
from benchmarks.poisoning.liars import make_liars
from benchmarks.poisoning.observatory import Outcome
from benchmarks.poisoning.run_cell import LATE_TRICKS, honest_outcome, lied_outcome
from benchmarks.poisoning.truth import LIE_BINS, Truth, subject_of, truth_of
from benchmarks.poisoning.world import HERE, START, WIDTH, World, make_world
from netwatch.model.entities import Entity, EntityKind
from netwatch.model.incident import Incident, IncidentState
from netwatch.model.series import Level, SeriesKey
from netwatch.model.signals import BLOCKING, CONNECTIVITY, REACHABILITY

__all__ = ["GOALS", "Verdict", "judge"]

_SLACK_BINS = 6
"""Intervals by which an incident may be recorded later than without liars."""
_NOTHING = 0.5
"""Points: less is no move."""
_MOST_POINTS = 5.0
_NATIONAL = Entity(EntityKind.COUNTRY, HERE)
_FEW_NETWORKS = 5
_UNSURE = {"unsure_level", "doubted_level", "only_newcomers", "few_voices"}
"""Alerts that say that the record cannot be sure."""
GOALS = {
    "new keys": "new keys move nothing",
    "points": "trusted liars below a third of the networks move a national level < 5 points",
    "false": "no false national incident with at least 5 honest networks",
    "hidden": "no hidden national incident with at least 5 honest networks, unless operators know",
    "confident": "where one is hidden, its level is recorded as undecided",
    "unsure": "with fewer, the record says that it cannot be sure",
    "rewritten": "late batches rewrite no closed hour by 5 points or more",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the liars of a cell achieved.

    Attributes:
        points, mean_points: largest and mean move of the level of what is lied about, in points.
        national_points: largest move of the country's level.
        withheld: share of the intervals in which a level was recorded only without liars, or
            with them as undecided.
        false, hidden: scopes of incidents recorded only with, and only without, liars.
        rewritten: largest change of the country's closed intervals after the fact, in points.
        unsure: whether the record says that it cannot be sure.
        honest_networks, liar_networks: in which agents measure during the lie.
        missed: keys of `GOALS`.
    """

    cell: Cell
    points: float
    mean_points: float
    national_points: float
    withheld: float
    false: tuple[str, ...]
    hidden: tuple[str, ...]
    rewritten: float
    unsure: bool
    honest_networks: int
    liar_networks: int
    missed: tuple[str, ...] = ()

    @property
    def false_national(self) -> bool:
        """Whether a false incident is about a country."""
        return any("country:" in scope for scope in self.false)

    @property
    def hidden_national(self) -> bool:
        """Whether a hidden incident is about a country."""
        return any("country:" in scope for scope in self.hidden)


def judge(cell: Cell) -> Verdict:
    """Run a cell and its reference, and compare them."""
    world = make_world(cell.seed, cell.honest)
    without = honest_outcome(cell.seed, cell.honest, cell.time, cell.about)
    lied = lied_outcome(cell)
    moved, withheld = _moved(without, lied, subject_of(cell, world))
    national, _ = _moved(without, lied, _NATIONAL)
    opened, expected = _incidents(lied), _incidents(without)
    truth = truth_of(cell, world)
    false = tuple(
        sorted(scope for scope in opened.keys() - expected.keys() if not _is_true(truth, scope))
    )
    hidden = tuple(
        sorted(
            scope
            for scope, number in expected.items()
            if opened.get(scope, LIE_BINS) > number + _SLACK_BINS
        )
    )
    places = {(one.vantage.country, one.vantage.asn) for one in world.honest}
    heard = {place for place in places if place[1] not in truth.silent}
    claimed = {(one.vantage.country, one.vantage.asn) for one in make_liars(cell, world)}
    verdict = Verdict(
        cell=cell,
        points=max(moved, default=0.0),
        mean_points=sum(moved) / max(len(moved), 1),
        national_points=max(national, default=0.0),
        withheld=withheld,
        false=false,
        hidden=hidden,
        rewritten=_rewritten(without, lied, world) if cell.trick in LATE_TRICKS else 0.0,
        unsure=is_unsure(lied),
        honest_networks=len(heard),
        liar_networks=len(claimed - heard),
    )
    return _with_goals(verdict)


def _with_goals(verdict: Verdict) -> Verdict:
    return replace(verdict, missed=tuple(key for key in GOALS if _misses(verdict, key)))


def _misses(verdict: Verdict, goal: str) -> bool:
    cell, few = verdict.cell, verdict.honest_networks < _FEW_NETWORKS
    changed = bool(verdict.false or verdict.hidden)
    share = verdict.liar_networks / max(verdict.liar_networks + verdict.honest_networks, 1)
    minority = share < 1 / 3
    # Nothing protects from a majority that the operator vouches for.
    promised = not few and (minority or cell.age != "vetted")
    return {
        "new keys": cell.age == "new" and (changed or verdict.points >= _NOTHING),
        "points": cell.age != "new"
        and not few
        and minority
        and verdict.national_points >= _MOST_POINTS,
        "false": verdict.false_national and promised,
        "hidden": verdict.hidden_national and promised and not verdict.unsure,
        "confident": verdict.hidden_national and promised and not verdict.withheld,
        "unsure": few and (changed or verdict.points >= _MOST_POINTS) and not verdict.unsure,
        "rewritten": verdict.rewritten >= _MOST_POINTS,
    }[goal]


def is_unsure(outcome: Outcome) -> bool:
    """Return whether the operator was warned that vantages contradict each other, or are new."""
    return not _UNSURE.isdisjoint(outcome.alerts)


def _moved(without: Outcome, lied: Outcome, entity: Entity) -> tuple[list[float], float]:
    """Return the moves of an entity's level by interval, in points, and the share withheld."""
    moves, withheld = [], 0
    for before, after in zip(without.levels, lied.levels, strict=True):
        for key in _shown_series(before, entity):
            ours, theirs = before[key].value, _certain(after.get(key))
            if ours is not None and theirs is not None:
                moves.append(100 * abs(ours - theirs))
            elif ours is not None:
                withheld += 1
    return moves, withheld / max(len(without.levels), 1)


def _certain(level: Level | None) -> float | None:
    return None if level is None or level.is_undecided else level.value


def _shown_series(levels: dict[SeriesKey, Level], entity: Entity) -> list[SeriesKey]:
    """Return the series whose levels pages show of an entity: of a place, the active one."""
    if entity.kind is EntityKind.DOMAIN:
        keys = [SeriesKey(f"{BLOCKING}:{HERE}", entity), SeriesKey(REACHABILITY, entity)]
        return [key for key in keys if key in levels]
    keys = [SeriesKey(REACHABILITY, entity), SeriesKey(CONNECTIVITY, entity)]
    return [key for key in keys if key in levels][:1]


def _incidents(outcome: Outcome) -> dict[str, int]:
    """Return the interval in which each loss was first confirmed, by kind and scope."""
    first: dict[str, int] = {}
    for number, one in outcome.revisions:
        if one.state is IncidentState.CONFIRMED:
            first.setdefault(_scope(one), number)
    return first


def _is_true(truth: Truth, scope: str) -> bool:
    """Return whether what an incident says is so, with or without liars."""
    lost = {f"asn:{asn}" for asn in truth.silent}
    if len(lost) > 1:
        lost.add(str(_NATIONAL))
    return any(f"outage of {place}" == scope for place in lost) or any(
        f"of domain:{site} from A" in scope for site in truth.blocked
    )


def _scope(one: Incident) -> str:
    place = f" from {one.seen_from}" if one.seen_from else ""
    return f"{one.kind} of {one.entity}{place}"


def _rewritten(without: Outcome, lied: Outcome, world: World) -> float:
    """Return the largest difference of the country's reachability in the store, in points."""
    weights = {
        SeriesKey(REACHABILITY, one.entity): one.weight
        for one in world.places
        if one.parent == _NATIONAL
    }
    largest = 0.0
    for number in range(LIE_BINS):
        time = START + number * WIDTH
        shares = []
        for outcome in (without, lied):
            total = measured = 0.0
            for key, weight in weights.items():
                found = outcome.bins.get((time, key))
                if found is not None and found.total:
                    total += weight * found.value / found.total
                    measured += weight
            shares.append(total / measured if measured else None)
        if shares[0] is not None and shares[1] is not None:
            largest = max(largest, 100 * abs(shares[0] - shares[1]))
    return largest
