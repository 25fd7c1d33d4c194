"""The signals: one row a kind of evidence, with everything the rest of the code asks about it.

A new signal is a producer of bins and a row here.
"""

from dataclasses import dataclass

from netwatch.model.incident import OUTAGE

CONNECTIVITY = "connectivity"
REACHABILITY = "reachability"
PROBING = "probing"
BGP = "bgp"
TELESCOPE = "telescope"
TRAFFIC = "traffic"
AGENTS = "agents"
BLOCKING = "blocking"
SPEED = "speed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalSpec:
    """Properties of one signal. The defaults hold for a signal without a row.

    Attributes:
        active: probes are sent and answers counted. Only active signals carry a published
            percentage.
        trigger: may open a confirmed incident.
        aggregated: a country or region has the weighted mean of its networks' series, and no
            series of its own.
        user_facing: shows what users have, unlike routes or unsolicited traffic.
        human_driven: falls when people rest although their networks are up.
        steady: varies so little in one network that the loss of a part of it is significant.
        detection_probability: chance that the signal shows a loss that others show.
        max_bayes_factor: upper bound on what one interval of it says for a loss: one over the
            share of time for which the signal alone is wrong for long.
        producer: `module:function` that counts it from a `ClosedBin`; empty if it does not
            come from the agents' measurements.
        incident_kind: kind of the incident that a loss of it is; other than an outage, it is
            about access to a domain from one place, which its name gives: `blocking:IR`.
    """

    active: bool = False
    trigger: bool = False
    aggregated: bool = True
    user_facing: bool = False
    human_driven: bool = True
    steady: bool = False
    detection_probability: float = 0.95
    max_bayes_factor: float = 1e5
    producer: str = ""
    incident_kind: str = OUTAGE


SIGNALS: dict[str, SignalSpec] = {
    CONNECTIVITY: SignalSpec(trigger=True),
    REACHABILITY: SignalSpec(
        active=True,
        trigger=True,
        user_facing=True,
        human_driven=False,
        producer="netwatch.signals.reachability:reachability_bins",
    ),
    PROBING: SignalSpec(active=True, trigger=True, user_facing=True, human_driven=False),
    BGP: SignalSpec(
        human_driven=False, steady=True, detection_probability=0.75, max_bayes_factor=3e3
    ),
    TELESCOPE: SignalSpec(detection_probability=0.70, max_bayes_factor=2e3),
    TRAFFIC: SignalSpec(user_facing=True, detection_probability=0.70, max_bayes_factor=2e3),
    AGENTS: SignalSpec(
        aggregated=False, user_facing=True, detection_probability=0.92, max_bayes_factor=2e4
    ),
    BLOCKING: SignalSpec(
        incident_kind="blocking", producer="netwatch.signals.blocking:count_blocking"
    ),
    SPEED: SignalSpec(
        incident_kind="throttling", producer="netwatch.signals.relative_speed:speed_bins"
    ),
}
"""Every known signal, in order of preference where one of several is chosen.

`connectivity` is what all signals of an entity say together (`detect/fusion.py`). `agents`
counts agents that sit in other networks than the ones a country's users have, so a country has
a series of its own. Sources of the numbers: how often each signal showed an outage that others
showed, and how often each was wrong for long, in a prototype run on labelled national outages.
"""

_DEFAULT = SignalSpec()

ACTIVE_SIGNALS = tuple(name for name, spec in SIGNALS.items() if spec.active)
TRIGGER_SIGNALS = tuple(name for name, spec in SIGNALS.items() if spec.trigger)


def signal_spec(name: str) -> SignalSpec:
    """Return the row of a signal; of `blocking:IR`, that of `blocking`; else the defaults."""
    return SIGNALS.get(name.partition(":")[0], _DEFAULT)
