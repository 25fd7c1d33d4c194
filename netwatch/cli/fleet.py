"""`netwatch agents`: administration of the fleet by the observatory's operator."""

import re
from pathlib import Path
from typing import Annotated

import typer

from netwatch.app.fleet_admin import (
    erase_agent,
    fleet_is_public,
    open_batch_log,
    open_registry,
    trust_settings,
)
from netwatch.app.fleet_admin import invite as create_token
from netwatch.app.target_list_publisher import pause_fleet, publish_list
from netwatch.app.wall_clock import now
from netwatch.cli.options import ConfigOption, JsonOption, PauseArgument, YesOption
from netwatch.cli.output import emit, table_lines
from netwatch.cli.time_parsing import parse_duration
from netwatch.collector.registry import Agent, InvitationScope
from netwatch.collector.trust_weights import UNPROVED, Reason
from netwatch.model.duration import Duration
from netwatch.model.errors import ConfigError
from netwatch.model.vantage_trust import OPEN_OWNER

_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_STATES = {"own": "the observatory's own", "enrolled": "has sent nothing yet"}
_REASONS = {
    Reason.VETTED: "released by the operator",
    Reason.ESTABLISHED: "{days} days proved",
    Reason.PROBATION: "on probation: {days} of 7 days proved",
    Reason.CROWD: "came in a crowd: its probation begins on {admitted}",
    Reason.OPEN: "never enrolled",
    Reason.LIE: "sent wrong answers of canaries",
    Reason.CONTRARY: "often saw what no other saw",
    Reason.TURNED: "stopped agreeing with others together with its group",
}
"""Why an agent has its weight."""
app = typer.Typer(no_args_is_help=True)
KeyOption = Annotated[
    Path | None, typer.Option("--key", help="The signing key, if it is not in the data folder.")
]
NameArgument = Annotated[str, typer.Argument(help="The agent's name; see `agents list`.")]


@app.callback()
def main() -> None:
    """Invite and administer volunteers' agents, and publish their target list."""


@app.command()
def invite(
    config: ConfigOption,
    country: Annotated[
        str, typer.Option(help="Valid for agents in this country, two letters.")
    ] = "",
    asn: Annotated[int, typer.Option(min=0, help="Valid for agents in this network.")] = 0,
    replaces: Annotated[
        str, typer.Option(help="The agent whose key is lost; its old key is retired.")
    ] = "",
    owner: Annotated[
        str, typer.Option(help="Who answers for the agent: one label for all of one person's.")
    ] = "",
    length: Annotated[str, typer.Option("--for", help="How long it is valid: 12h, 2d.")] = "24h",
    as_json: JsonOption = False,
) -> None:
    """Create a token with which one agent can enroll once.

    Send it over a channel that you both trust: anyone who has it can enroll with it.
    Example: netwatch agents invite --country IR
    """
    if country and not (len(country) == 2 and country.isascii() and country.isalpha()):
        raise ConfigError(f"--country {country}: must be two letters, such as IR")
    invitation_scope = InvitationScope(country.upper(), asn, replaces, _checked_owner(owner))
    valid_for = parse_duration(length, "--for")
    token, expires = create_token(config, invitation_scope, length=valid_for)
    lines = [token, f"Valid once, until {expires:%Y-%m-%d %H:%M} UTC. On the agent's machine, run:"]
    lines += ["  netwatch agent consent grant", f"  netwatch agent enroll {token}"]
    if not fleet_is_public(config):
        lines.append("It works on this machine only: set fleet.url for agents elsewhere.")
    emit({"token": token, "expires": expires}, lines, as_json=as_json)


def _checked_owner(label: str) -> str:
    if label and (label == OPEN_OWNER or not _LABEL.fullmatch(label)):
        raise ConfigError(
            f"--owner {label}: up to 64 letters, digits, dots and dashes, and not {OPEN_OWNER!r}"
        )
    return label


def _explain(agent: Agent) -> str:
    """Return why an agent has its weight, in plain words."""
    if agent.why is None:
        return agent.reason or _STATES.get(agent.state, "")
    if agent.is_unproved:
        return UNPROVED
    admitted = f"{agent.admitted:%Y-%m-%d}" if agent.admitted else "later"
    return _REASONS[agent.why].format(days=agent.days, admitted=admitted)


@app.command("list")
def show(config: ConfigOption, as_json: JsonOption = False) -> None:
    """List agents: name, state, country, network, owner, first day, trust weight and its reason.

    The owner answers for it: `@` and its name where no label was given. An agent earns its weight
    by days on which it proved that it measures. If you know its host, `netwatch agents release`
    counts it at once. Addresses are not stored. Example: netwatch agents list --json
    """
    with open_registry(config) as registry:
        agents = registry.agents(now(), trust_settings(config))
    rows = [
        (
            one.name,
            one.state,
            one.country or "-",
            f"AS{one.network or '-'}",
            one.owner or "-",
            one.seen.date() if one.seen else "-",
            f"{one.weight:.2f}",
            _explain(one),
        )
        for one in agents
    ]
    headings = ("NAME", "STATE", "COUNTRY", "NETWORK", "OWNER", "SINCE", "WEIGHT", "REASON")
    lines = table_lines(rows, *headings) if rows else ["No agents yet."]
    emit(agents, lines, as_json=as_json)


@app.command()
def retire(name: NameArgument, config: ConfigOption, as_json: JsonOption = False) -> None:
    """Accept no more batches from an agent; earlier ones still count.

    Example: netwatch agents retire vantage-7
    """
    with open_registry(config) as registry:
        registry.retire(name, now=now())
    emit({"retired": name}, [f"{name} is retired"], as_json=as_json)


@app.command()
def release(name: NameArgument, config: ConfigOption, as_json: JsonOption = False) -> None:
    """Count an agent in full: end its quarantine, and count its quarantined batches.

    Example: netwatch agents release vantage-7
    """
    with open_batch_log(config) as batch_log:
        count = batch_log.release(name, width=config.analysis.bin)
    line = f"{name}: {count} quarantined batches count from now on"
    emit({"released": name, "batches": count}, [line], as_json=as_json)


@app.command()
def erase(
    name: NameArgument,
    config: ConfigOption,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Erase an agent: key, location and all batches. Published totals stay.

    Example: netwatch agents erase vantage-7
    """
    if not yes:
        typer.confirm(f"Erase all batches of {name}?", abort=True)
    count = erase_agent(config, name)
    line = f"{name} and {count} batches were erased"
    emit({"erased": name, "batches": count}, [line], as_json=as_json)


@app.command()
def publish(
    file: Annotated[Path, typer.Argument(help="TOML file of targets with their consent tiers.")],
    config: ConfigOption,
    length: Annotated[str, typer.Option("--for", help="How long it is valid: 7d, 4w.")] = "4w",
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign and publish a target list; agents probe what their hosts consented to.

    Example: netwatch agents publish targets.toml
    """
    valid_for = parse_duration(length, "--for")
    target_list = publish_list(config, file, length=valid_for, key=key)
    version, expires = target_list.version, target_list.expires
    tiers = {"A": len(target_list.targets), "B": len(target_list.popular)}
    tiers["C"] = sum(map(len, target_list.sensitive.values()))
    summary = {"version": version, "expires": expires, "targets": tiers}
    counts = ", ".join(f"{count} of tier {tier}" for tier, count in tiers.items())
    line = f"version {version}: {counts}; valid until {expires:%Y-%m-%d}"
    emit(summary, [line], as_json=as_json)


@app.command()
def pause(
    length: PauseArgument,
    config: ConfigOption,
    reason: Annotated[str, typer.Option(help="The reason, as shown to hosts.")] = "",
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask all agents to stop probing for a while, in the signed target list.

    Example: netwatch agents pause 2h --reason "a fault in the list"
    """
    duration = parse_duration(length, "length", Duration)
    until = now() + duration if duration else None
    target_list = pause_fleet(config, until, reason=reason, key=key)
    line = f"agents pause until {until:%Y-%m-%d %H:%M} UTC" if until else "agents are not paused"
    summary = {"version": target_list.version, "pause_until": until}
    emit(summary, [line], as_json=as_json)
