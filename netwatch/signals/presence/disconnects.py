"""Presence: agents that vanish together, which no packet of ours had to find out.

Each agent a leaves now and then of itself, at a rate lambda_a per day, which is learned: a
gamma prior over the rate, updated by Poisson counts of losses in days seen. In a window dt,
an agent of n is lost with p0 = 1 - exp(-lambda g dt), lambda the mean rate of those online and
g how much more is lost everywhere else right now. Losing d of n is evidence for an event by

    LLR = log mean_p1 Bin(d; n, p1) - log Bin(d; n, p0),    p1 in {.3, .6, .9}

and conclusive when P(D >= d | p0) < 9.3e-9: one false alarm a month over 5,000 entities and
720 windows of two minutes a day (`detection.md` 5.2, after Disco, TMA 2017). When the losses
are everywhere, or at one broker, the fault is ours: no evidence, and a notice to the operator.
"""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from netwatch.signals.attribution.contingency import Bools, Floats, Integers

WINDOW = timedelta(minutes=2)
MOST_LIKELY_CHANCE = 9.3e-9
"""A burst that chance explains no better than this is conclusive."""
_EVENT_SHARES = (0.3, 0.6, 0.9)
_FAULTY_RATIO = 5.0
_BROKER_SHARE = 0.8
_ALL = 0.95
_LEAST_LOSSES = 3
"""Fewer losses are neither a burst nor a broker's fault."""
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Hazard:
    """How often an agent is lost by itself: a gamma posterior over losses a day.

    Attributes:
        losses: prior losses, plus those counted.
        days: prior days, plus those online.
    """

    losses: float
    days: float

    @classmethod
    def steady(cls) -> "Hazard":
        """Return what is believed of a server: once a day (Disco), on two days' worth."""
        return cls(2.0, 2.0)

    @classmethod
    def portable(cls) -> "Hazard":
        """Return what is believed of a laptop: six times a day, on two days' worth."""
        return cls(12.0, 2.0)

    def seen(self, losses: int, online: timedelta) -> "Hazard":
        """Return the hazard after so many losses in so much time online."""
        return Hazard(self.losses + losses, self.days + online / _DAY)

    @property
    def rate(self) -> float:
        """Losses a day, the posterior mean."""
        return self.losses / self.days


@dataclass(frozen=True, slots=True)
class Losses:
    """The agents online at the start of a window and what became of them; arrays of one length.

    Attributes:
        lost: whether the agent was lost in the window, clean goodbyes left out.
        rates: losses a day of each, `Hazard.rate`.
        entities: number of the entity that each is in (a country or a network); an agent
            that counts for two entities is judged in two calls.
        countries: number of the country of each, the control group of all others.
        brokers: number of the broker that each was connected to.
    """

    lost: Bools
    rates: Floats
    entities: Integers
    countries: Integers
    brokers: Integers


@dataclass(frozen=True, slots=True)
class DisconnectTest:
    """What a window of losses says.

    Attributes:
        online, lost: agents of each entity, shape (e,).
        evidence: log likelihood ratio of an event, shape (e,); all 0 when `notice` is set.
        chance: P(so many losses or more | no event), shape (e,); all 1 when `notice` is set.
        notice: one line for the operator when our own side failed, else empty.
    """

    online: Integers
    lost: Integers
    evidence: Floats
    chance: Floats
    operator_alert: str = ""

    @property
    def conclusive(self) -> Bools:
        """Which entities have lost more agents at once than chance explains in a month."""
        return np.asarray(self.chance < MOST_LIKELY_CHANCE)


def evaluate_losses(losses: Losses, *, window: timedelta = WINDOW) -> DisconnectTest:
    """Return the evidence of every entity in one window."""
    size = int(losses.entities.max(initial=-1)) + 1
    online = np.bincount(losses.entities, minlength=size)
    lost = np.bincount(losses.entities[losses.lost], minlength=size)
    notice = _own_fault(losses, window)
    if notice:
        return DisconnectTest(online, lost, np.zeros(size), np.ones(size), notice)
    days = window / _DAY
    expected = np.bincount(losses.entities, losses.rates, size) * days
    expected *= np.maximum(_elsewhere(losses, window), 1)
    share = np.divide(expected, online, out=np.zeros(size), where=online > 0)
    usual = -np.expm1(-share)
    chance = np.array(
        [_log_tail(int(d), int(n), float(p)) for d, n, p in zip(lost, online, usual, strict=True)]
    )
    return DisconnectTest(online, lost, burst_evidence(lost, online, usual), np.exp(chance))


def burst_evidence(lost: Integers, online: Integers, usual: Floats) -> Floats:
    """Return log mean over p1 of Bin(d; n, p1), less log Bin(d; n, p0); element by element."""
    kept = online - lost
    event = np.stack([lost * np.log(p) + kept * np.log1p(-p) for p in _EVENT_SHARES])
    low = np.clip(usual, 1e-12, 1 - 1e-12)
    mean = np.logaddexp.reduce(event, axis=0) - np.log(len(_EVENT_SHARES))
    return np.asarray(mean - lost * np.log(low) - kept * np.log1p(-low))


def least_losses(online: int, rate: float, *, window: timedelta = WINDOW) -> int | None:
    """Return how many of `online` agents must go in a window to be conclusive by themselves.

    None where even all of them are too few. `rate` is losses a day of one agent.
    """
    usual = float(-np.expm1(-rate * (window / _DAY)))
    for lost in range(1, online + 1):
        if _log_tail(lost, online, usual) < np.log(MOST_LIKELY_CHANCE):
            return lost
    return None


def _log_tail(lost: int, online: int, usual: float) -> float:
    """Return log P(D >= lost) for D binomial of `online` at `usual`, exactly."""
    if lost <= 0:
        return 0.0
    if online <= 0 or usual <= 0:
        return -np.inf
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, online + 1)))])
    counts = np.arange(lost, online + 1)
    terms = factorials[online] - factorials[counts] - factorials[online - counts]
    terms += counts * np.log(usual) + (online - counts) * np.log1p(-min(usual, 1 - 1e-12))
    return min(float(np.logaddexp.reduce(terms)), 0.0)


def _country_ratios(losses: Losses, window: timedelta) -> Floats:
    """Return for each country how many times more than usual is lost, NaN without agents.

    (losses + 1) / (expected + 1): one loss among few agents is no storm.
    """
    size = int(losses.countries.max(initial=-1)) + 1
    lost = np.bincount(losses.countries, losses.lost, size)
    due = np.bincount(losses.countries, losses.rates, size) * (window / _DAY)
    return np.where(np.bincount(losses.countries, minlength=size), (lost + 1) / (due + 1), np.nan)


def _elsewhere(losses: Losses, window: timedelta) -> Floats:
    """Return g for each entity, shape (e,): the median ratio over the other countries.

    An entity lies in the country of its first agent; without two others, g is 1.
    """
    ratios = _country_ratios(losses, window)
    numbers, first = np.unique(losses.entities, return_index=True)
    found = np.ones(int(losses.entities.max(initial=-1)) + 1)
    for number, country in zip(numbers, losses.countries[first], strict=True):
        others = np.delete(ratios, country)
        others = others[np.isfinite(others)]
        if len(others) > 1:
            found[number] = float(np.median(others))
    return found


def _own_fault(losses: Losses, window: timedelta) -> str:
    """Return what the operator must know when losses say more of us than of networks.

    The median country loses more than five times what is usual; or one broker holds over 80 %
    of the losses, and lost most agents in the median of its countries. A broker that serves
    one country only cannot be told from it: it takes all of its agents to mask that.
    """
    total = int(losses.lost.sum())
    if total < _LEAST_LOSSES:
        return ""
    ratios = _country_ratios(losses, window)
    ratios = ratios[np.isfinite(ratios)]
    if len(ratios) > 2 and np.median(ratios) > _FAULTY_RATIO:
        return f"{total} agents were lost in {(ratios > _FAULTY_RATIO).sum()} countries at once"
    broker = int(np.bincount(losses.brokers[losses.lost]).argmax())
    held = int((losses.lost & (losses.brokers == broker)).sum())
    if held <= _BROKER_SHARE * total:
        return ""
    here = losses.brokers == broker
    _, country = np.unique(losses.countries[here], return_inverse=True)
    shares = np.bincount(country, losses.lost[here]) / np.bincount(country)
    enough = 0.5 if len(shares) > 1 else _ALL
    if np.median(shares) > enough:
        return f"{held} of {total} lost agents were at one broker, which lost most it had"
    return ""
