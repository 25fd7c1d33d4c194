"""MQTT topics: one branch for each agent, and one for the whole fleet.

- `nw/v1/a/<agent>/b`: batches, agent to collector
- `nw/v1/a/<agent>/p`: presence, retained, also the agent's will
- `nw/v1/a/<agent>/in/ack`: acknowledgements, collector to agent
- `nw/v1/fleet/rate`: rate advice, retained, collector to all agents
- `nw/v1/fleet/targets`: the signed target list, retained, collector to all agents
"""

import re

_ROOT = "nw/v1/a"
ALL_BATCHES = f"{_ROOT}/+/b"
"""Pattern of every agent's batches."""
ALL_PRESENCE = f"{_ROOT}/+/p"
"""Pattern of every agent's presence."""
SHARED_BATCHES = f"$share/ingest/{ALL_BATCHES}"
"""Pattern of every agent's batches, each delivered to one of several collectors (MQTT 5)."""
FLEET_TOPICS = "nw/v1/fleet/"
"""How the topics of the whole fleet begin."""
RATE_ADVICE_TOPIC = "nw/v1/fleet/rate"
TARGET_LIST_TOPIC = "nw/v1/fleet/targets"
_AGENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_AGENT_LEVEL = 3


def is_agent_id(text: str) -> bool:
    """Return whether `text` is 1 to 64 letters, digits, `.`, `_` and `-`."""
    return _AGENT.fullmatch(text) is not None


def batch_topic(agent: str) -> str:
    """Return where `agent` publishes batches."""
    return f"{_ROOT}/{agent}/b"


def presence_topic(agent: str) -> str:
    """Return where `agent` publishes its presence."""
    return f"{_ROOT}/{agent}/p"


def ack_topic(agent: str) -> str:
    """Return where the collector publishes acknowledgements for `agent`."""
    return f"{_ROOT}/{agent}/in/ack"


def topic_agent(topic: str) -> str:
    """Return the agent of a topic, empty if it is not an agent's topic."""
    levels = topic.split("/")
    if len(levels) <= _AGENT_LEVEL or "/".join(levels[:_AGENT_LEVEL]) != _ROOT:
        return ""
    return levels[_AGENT_LEVEL]


def topic_matches(pattern: str, topic: str) -> bool:
    """Return whether `topic` matches an MQTT `pattern` with `+` and `#` (MQTT 3.1.1, 4.7)."""
    wanted, levels = pattern.split("/"), topic.split("/")
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(levels) or level not in {"+", levels[index]}:
            return False
    return len(wanted) == len(levels)
