"""How much each agent's presence counts: nothing for newcomers, and no owner or network decides."""

from collections.abc import Mapping, Sequence

import numpy as np

from netwatch.arrays import Floats, number_keys
from netwatch.model.measurement import Vantage
from netwatch.model.vantage_trust import VantageTrust
from netwatch.signals.attribution.capped_shares import Holders, capped

_UNKNOWN = VantageTrust(0.0)


def presence_weights(vantages: Sequence[Vantage], trust: Mapping[str, VantageTrust]) -> Floats:
    """Return the weight of each agent, at most 1, capped within its country, (v,).

    Without any trust all weigh alike; an agent that is missing from it has measured nothing yet.
    """
    if not trust or not vantages:
        return np.ones(len(vantages))
    known = [trust.get(one.id, _UNKNOWN) for one in vantages]
    largest = max(one.weight for one in trust.values())
    mass = np.array([one.weight for one in known]) / (largest or 1.0)
    networks = number_keys([(one.country, one.asn) for one in vantages])
    holders = Holders(networks, number_keys([one.owner for one in known]))
    country = number_keys([one.country for one in vantages])
    return capped(mass, country, np.arange(len(vantages)), holders)
