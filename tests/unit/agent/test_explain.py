"""The explanation of what an agent does in addition to its regular probes."""

from netwatch.agent.explain import explain
from netwatch.config import AgentConfig
from netwatch.model.measurement import Target, Vantage
from netwatch_probes.tcp import TcpProbe
from netwatch_probes.traceroute import TracerouteProbe

HERE = Target("here", "tcp", "127.0.0.1")
FAR = Target("far", "tcp", "192.0.2.1")
PATH = Target("path", "traceroute", "192.0.2.1")
PROBES = {"tcp": TcpProbe(), "traceroute": TracerouteProbe()}


def test_on_change_probes_run_twenty_times_a_day_at_most() -> None:
    explanation = explain(Vantage("a1"), [FAR, PATH], AgentConfig(), probes=PROBES)
    assert [row.daily_runs for row in explanation.targets] == [288, 20]


def test_gateway_polls_retests_and_burst_mode_are_explained() -> None:
    assert (
        explain(Vantage("a1"), [HERE], AgentConfig(burst=True), probes=PROBES).other_traffic == ()
    )
    plain = explain(Vantage("a1"), [FAR], AgentConfig(), probes=PROBES).other_traffic
    assert plain[0].startswith("every 30 s it checks that your own router responds")
    assert not any("five times" in text for text in plain)
    assert (
        "five times"
        in explain(Vantage("a1"), [FAR], AgentConfig(burst=True), probes=PROBES).other_traffic[-1]
    )
