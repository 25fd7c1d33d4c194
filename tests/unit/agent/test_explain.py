"""What is told beforehand of what an agent does beside its rounds."""

from netwatch.agent.explain import explain
from netwatch.config import AgentConfig
from netwatch.model.measurement import Target, Vantage

HERE = Target("here", "tcp", "127.0.0.1")
FAR = Target("far", "tcp", "192.0.2.1")
WAY = Target("way", "traceroute", "192.0.2.1")


def test_ways_are_followed_twenty_times_a_day_at_most() -> None:
    told = explain(Vantage("a1"), [FAR, WAY], AgentConfig())
    assert [row.daily_runs for row in told.targets] == [288, 20]


def test_what_is_done_beside_the_rounds_is_told() -> None:
    assert explain(Vantage("a1"), [HERE], AgentConfig(burst=True)).other_traffic == ()
    plain = explain(Vantage("a1"), [FAR], AgentConfig()).other_traffic
    assert plain[0].startswith("every 30 s it asks whether your own router is there")
    assert not any("five times" in text for text in plain)
    assert "five times" in explain(Vantage("a1"), [FAR], AgentConfig(burst=True)).other_traffic[-1]
