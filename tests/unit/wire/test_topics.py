import pytest

from netwatch.wire.topics import (
    ALL_BATCHES,
    ack_topic,
    batch_topic,
    is_agent_id,
    topic_agent,
    topic_matches,
)


@pytest.mark.parametrize(
    ("pattern", "topic", "matches"),
    [
        (ALL_BATCHES, "nw/v1/a/one/b", True),
        (ALL_BATCHES, "nw/v1/a/one/p", False),
        (ALL_BATCHES, "nw/v1/a/one/in/b", False),
        ("nw/#", "nw/v1/a/one/b", True),
        ("nw/#", "nw", True),
        ("#", "anything/at/all", True),
        ("a/+", "a", False),
        ("a", "a/b", False),
        ("a/b", "a", False),
    ],
)
def test_patterns(pattern: str, topic: str, *, matches: bool) -> None:
    assert topic_matches(pattern, topic) is matches


def test_the_agent_of_a_topic() -> None:
    assert topic_agent(batch_topic("one")) == "one"
    assert topic_agent(ack_topic("one")) == "one"
    assert topic_agent("nw/v1/fleet/cfg") == ""
    assert topic_agent("nw/v1/a") == ""


@pytest.mark.parametrize("name", ["", "a/b", "+", "#", "a b", "ä", "-a", "a" * 65, "a\n"])
def test_invalid_agent_ids(name: str) -> None:
    assert not is_agent_id(name)


def test_valid_agent_ids() -> None:
    assert is_agent_id("vantage-1.home_2")
