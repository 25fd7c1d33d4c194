"""Finds groups of agents that begin to contradict all others together, after long agreement.

Agents that behave for a month and then lie together share what their owner could not hide: the
owner, the network, the software, or the week in which they were first seen. A real event does not
look like this: what others of an agent's network or most of its country see is never held against
it (`netwatch.collector.agreement`), and in an error of our own the agents outside the group lose
their agreement too.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from netwatch.collector.agreement import Caught

_MIN_GROUP = 3
"""Agents that turn together; two may be a coincidence."""
_MIN_UNITS = 2.0
"""Falls and rises on which each was judged in a day, at least, so that a day says something."""
_TURNED, _AGREED = 0.4, 0.7
"""Share of its falls and rises that an agent caught on the day, and in the two weeks before."""
_MAX_SHARE = 0.5
"""Share of all judged agents that may turn: more are an event, or an error of our own."""
_MIN_OF_GROUP = 0.5
"""Share of the judged agents of a group that turned."""


@dataclass(frozen=True, slots=True)
class AgentDay:
    """One agent's agreement on one day and before, and the groups that it belongs to.

    `groups` are words such as `owner acme`; `today` and `before` are sums over time.
    """

    name: str
    groups: frozenset[str]
    today: Caught
    before: Caught


def turned_groups(agents: Iterable[AgentDay]) -> Mapping[str, frozenset[str]]:
    """Return the names of the agents that turned, by the group that they share."""
    judged = [one for one in agents if _units(one.today) >= _MIN_UNITS]
    turned = {one.name for one in judged if _has_turned(one)}
    if not turned or len(turned) > _MAX_SHARE * len(judged):
        return {}
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for one in judged:
        for group in one.groups:
            groups[group].add(one.name)
    return {
        group: frozenset(names & turned)
        for group, names in sorted(groups.items())
        if len(names & turned) >= max(_MIN_GROUP, _MIN_OF_GROUP * len(names))
    }


def _has_turned(one: AgentDay) -> bool:
    agreed = _units(one.before) >= _MIN_UNITS and _share(one.before) >= _AGREED
    return agreed and _share(one.today) <= _TURNED


def _units(one: Caught) -> float:
    return one.falls + one.rises


def _share(one: Caught) -> float:
    return (one.caught_falls + one.caught_rises) / _units(one)
