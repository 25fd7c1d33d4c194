"""A vantage, put together from the configuration, on the light install alone."""

from pathlib import Path
from typing import cast

from netwatch.agent.identity import read_or_make_identity
from netwatch.agent.loop import AgentParts, run_agent
from netwatch.agent.spool import Spool
from netwatch.app.broker import broker_password, link_factory
from netwatch.app.clock import now
from netwatch.config import Config
from netwatch.model.errors import ConfigError
from netwatch.model.measurement import Target, Vantage
from netwatch.plugins import load_plugin
from netwatch.protocols import Probe

__all__ = ["load_probes", "run_vantage"]


def load_probes(targets: tuple[Target, ...]) -> dict[str, Probe]:
    """Return one probe for every name that a target asks for.

    Raises:
        PluginError: a name that no installed plugin has.
    """
    names = sorted({target.probe for target in targets})
    return {name: cast("Probe", load_plugin("probes", name)()) for name in names}


async def run_vantage(config: Config) -> None:
    """Measure and send until cancelled.

    Raises:
        ConfigError: there is nothing to probe, or a target's probe does not exist.
    """
    if not config.target:
        raise ConfigError("target: there is none, so there is nothing to probe")
    vantage = Vantage(config.vantage.id, config.vantage.country, config.vantage.asn)
    password = broker_password(config)
    path = _spool_path(config)
    identity = read_or_make_identity(path.with_name(f"agent-{vantage.id}.key"))
    limit = config.agent.spool_bytes
    with Spool(path, vantage=vantage, born=now(), limit=limit, pack=identity.pack) as spool:
        await run_agent(
            AgentParts(
                vantage=vantage,
                targets=config.target,
                probes=load_probes(config.target),
                connect=link_factory(config.broker, password),
                spool=spool,
                clock=now,
                config=config.agent,
            )
        )


def _spool_path(config: Config) -> Path:
    """Return where measurements wait, one file a vantage, in a folder that exists."""
    folder = Path(config.data)
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"spool-{config.vantage.id}.sqlite"
