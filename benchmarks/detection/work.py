"""One task of a run: one family of detectors in one world."""

from dataclasses import dataclass
from functools import lru_cache
from time import process_time

from benchmarks.detection.baselines import DOMAIN_FAMILIES, NETWORK_FAMILIES, Family
from benchmarks.detection.domains import DomainSize, make_domain_world
from benchmarks.detection.injection import InjectionSize, make_injected_world
from benchmarks.detection.ours import judge_ours
from benchmarks.detection.scoring import Outcome, judge
from benchmarks.detection.signals import Noise
from benchmarks.detection.world import World, WorldSize, make_world

__all__ = ["CONFIDENCES", "OURS", "Answer", "AnySize", "Task", "do_task", "family_of"]

OURS = "netwatch"
CONFIDENCES = ("confirmed", "provisional")


AnySize = WorldSize | DomainSize | InjectionSize


@dataclass(frozen=True, slots=True)
class Task:
    """A family to run in the world of a seed; the type of the size tells which world."""

    family: str
    seed: int
    size: AnySize
    noise: Noise


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcomes of a task: (detector, confidence) -> outcome, and what it cost.

    Attributes:
        task: what was done.
        outcomes: a detector with one confidence answers for `confirmed` alone.
        seconds: of processor time, of the detector alone.
        bins: entity bins of the world.
    """

    task: Task
    outcomes: dict[tuple[str, str], Outcome]
    seconds: float
    bins: int


def family_of(name: str, *, domains: bool) -> Family:
    """Return the family called `name`."""
    if name == OURS:
        return judge_ours
    return (DOMAIN_FAMILIES if domains else NETWORK_FAMILIES)[name]


def do_task(task: Task) -> Answer:
    """Make the world, run the family, score its verdicts."""
    world = _world(task.seed, task.size, task.noise)
    family = family_of(task.family, domains=isinstance(task.size, DomainSize))
    began = process_time()
    verdicts = family(world.panel, world.training_until)
    seconds = process_time() - began
    confidences = CONFIDENCES if task.family == OURS else CONFIDENCES[:1]
    outcomes = {
        (name, confidence): judge(world, verdict, confidence=confidence)
        for name, verdict in verdicts.items()
        for confidence in confidences
    }
    return Answer(task, outcomes, seconds, world.levels.size)


@lru_cache(maxsize=1)
def _world(seed: int, size: AnySize, noise: Noise) -> World:
    if isinstance(size, InjectionSize):
        return make_injected_world(seed, size)
    if isinstance(size, DomainSize):
        return make_domain_world(seed, size)
    return make_world(seed, size, noise=noise)
