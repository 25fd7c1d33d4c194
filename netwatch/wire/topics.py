"""Where messages travel: one root, one branch an agent.

- `nw/v1/a/<agent>/b`: batches, agent to collector
- `nw/v1/a/<agent>/p`: presence, retained, also the agent's last will
- `nw/v1/a/<agent>/in/ack`: acknowledgements, collector to agent
- `nw/v1/fleet/drain`: how fast all agents may send, retained, collector to agents
- `nw/v1/fleet/targets`: the signed target list, retained, collector to all agents
"""

import re

_ROOT = "nw/v1/a"
ALL_BATCHES = f"{_ROOT}/+/b"
"""Pattern of every agent's batches."""
ALL_PRESENCE = f"{_ROOT}/+/p"
"""Pattern of every agent's presence."""
SHARED_BATCHES = f"$share/ingest/{ALL_BATCHES}"
"""The same batches, each to one of several collectors (MQTT 5 brokers)."""
RATE_ADVICE_TOPIC = "nw/v1/fleet/drain"
"""Where the collector says how fast agents may send."""
TARGET_LIST_TOPIC = "nw/v1/fleet/targets"
"""Where the signed target list stands for all agents."""
_AGENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ROOT_LEVELS = 3


def is_agent_id(text: str) -> bool:
    """Tell whether `text` can name an agent: 1 to 64 of letters, digits, `.`, `_` and `-`."""
    return _AGENT.fullmatch(text) is not None


def batch_topic(agent: str) -> str:
    """Return where `agent` sends batches."""
    return f"{_ROOT}/{agent}/b"


def presence_topic(agent: str) -> str:
    """Return where `agent` says that it is there."""
    return f"{_ROOT}/{agent}/p"


def ack_topic(agent: str) -> str:
    """Return where the collector tells `agent` what it has kept."""
    return f"{_ROOT}/{agent}/in/ack"


def topic_agent(topic: str) -> str:
    """Return the agent that a topic belongs to, empty where it is no topic of an agent."""
    levels = topic.split("/")
    if len(levels) <= _ROOT_LEVELS or "/".join(levels[:_ROOT_LEVELS]) != _ROOT:
        return ""
    return levels[_ROOT_LEVELS]


def topic_matches(pattern: str, topic: str) -> bool:
    """Tell whether `topic` matches an MQTT `pattern` with `+` and `#` (MQTT 3.1.1, 4.7)."""
    wanted, levels = pattern.split("/"), topic.split("/")
    for place, level in enumerate(wanted):
        if level == "#":
            return True
        if place >= len(levels) or level not in {"+", levels[place]}:
            return False
    return len(wanted) == len(levels)
