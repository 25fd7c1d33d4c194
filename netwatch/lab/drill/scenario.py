"""What happens in a drill and when, in lengths of time that a test or a demonstration can wait."""

from dataclasses import dataclass
from datetime import timedelta

from netwatch.config import (
    AgentConfig,
    AnalysisConfig,
    BrokerConfig,
    Config,
    Duration,
    IncidentConfig,
    PublishConfig,
)
from netwatch.lab.drill.simulated_country import Country
from netwatch.model.measurement import Target


@dataclass(frozen=True, slots=True)
class Scenario:
    """The course of a drill.

    Attributes:
        networks: how many there are; cut: how many of them, the largest first, are cut.
        agents: how many probe them.
        step: between the cut of one network and of the next.
        dark: how long they stay dark.
        patience: how long to wait for a thing that must happen.
    """

    networks: int = 12
    cut: int = 10
    agents: int = 6
    step: timedelta = timedelta(seconds=2)
    dark: timedelta = timedelta(seconds=6)
    patience: timedelta = timedelta(seconds=25)


def drill_config(folder: str, port: int, *, country: Country, targets: list[Target]) -> Config:
    """Return the configuration of a drill: bins of a second, all else as in production."""
    return Config(
        data=folder,
        test=True,
        broker=BrokerConfig(port=port, embedded=True),
        agent=AgentConfig(
            period=Duration(seconds=1),
            timeout=Duration(milliseconds=400),
            seal=Duration(milliseconds=300),
        ),
        analysis=AnalysisConfig(
            bin=Duration(seconds=1), grace=Duration(seconds=2), least_history=Duration(seconds=8)
        ),
        incidents=IncidentConfig(
            hold_country=Duration(seconds=2),
            hold_network=Duration(seconds=20),
            group=Duration(minutes=2),
            stable=Duration(seconds=3),
            reopen=Duration(minutes=2),
            milestone=Duration(seconds=5),
            update_every=Duration(seconds=4),
        ),
        publish=PublishConfig(channels=("file",)),
        target=tuple(targets),
        place=tuple(country.places()),
    )
