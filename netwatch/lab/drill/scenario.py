"""Timing of a drill, short enough for a test or a demonstration."""

from dataclasses import dataclass
from datetime import timedelta

from netwatch.config import (
    AgentConfig,
    AnalysisConfig,
    BrokerConfig,
    Config,
    IncidentConfig,
    PublishConfig,
)
from netwatch.lab.drill.loopback_country import Country
from netwatch.model.duration import Duration, PositiveDuration
from netwatch.model.measurement import Target


@dataclass(frozen=True, slots=True)
class Scenario:
    """Numbers and timing of a drill.

    Attributes:
        cut: number of networks that are cut, the largest first.
        step: time between two cuts.
        dark: how long the networks stay dark.
        timeout: of each condition.
    """

    networks: int = 12
    cut: int = 10
    agents: int = 6
    step: timedelta = timedelta(seconds=2)
    dark: timedelta = timedelta(seconds=6)
    timeout: timedelta = timedelta(seconds=25)


def drill_config(folder: str, port: int, *, country: Country, targets: list[Target]) -> Config:
    """Return the configuration of a drill: bins of one second, otherwise as in production."""
    return Config(
        data=folder,
        drill=True,
        broker=BrokerConfig(port=port, embedded=True),
        agent=AgentConfig(
            period=PositiveDuration(seconds=1),
            timeout=PositiveDuration(milliseconds=400),
            flush_interval=Duration(milliseconds=300),
        ),
        analysis=AnalysisConfig(
            bin=PositiveDuration(seconds=1),
            late_data_grace=Duration(seconds=2),
            min_history=Duration(seconds=8),
        ),
        incidents=IncidentConfig(
            min_duration_country=Duration(seconds=2),
            min_duration_network=Duration(seconds=20),
            merge_window=Duration(minutes=2),
            resolve_after=Duration(seconds=3),
            reopen_window=Duration(minutes=2),
            milestone=PositiveDuration(seconds=5),
            update_every=Duration(seconds=4),
        ),
        publish=PublishConfig(channels=("file",)),
        target=tuple(targets),
        place=tuple(country.places()),
    )
