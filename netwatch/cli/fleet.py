"""The operator's commands for volunteers' agents."""

from pathlib import Path
from typing import Annotated

import typer

from netwatch.cli.options import DEFAULT, ConfigOption, JsonOption, emit, say_time
from netwatch.model.duration import Duration
from netwatch.model.errors import ConfigError

app = typer.Typer(no_args_is_help=True)
KeyOption = Annotated[
    Path | None, typer.Option("--key", help="The signing key, where it is not in the data folder.")
]
NameArgument = Annotated[str, typer.Argument(help="The agent's name; see `agents list`.")]


@app.callback()
def main() -> None:
    """Invite volunteers' agents, look after them, and tell them what to probe."""


@app.command()
def invite(
    config: ConfigOption = DEFAULT,
    country: Annotated[str, typer.Option(help="Good for this country alone, two letters.")] = "",
    asn: Annotated[int, typer.Option(min=0, help="Good for this network alone.")] = 0,
    replaces: Annotated[
        str, typer.Option(help="The agent whose key is lost; its old key is retired.")
    ] = "",
    length: Annotated[str, typer.Option("--for", help="How long it is good: 12h, 2d.")] = "24h",
    as_json: JsonOption = False,
) -> None:
    """Make a token with which one agent can enroll, once; only its hash is kept.

    Hand it over by a way that you both trust: who has it can enroll with it.
    Example: netwatch agents invite --country IR
    """
    from netwatch.app.fleet_admin import fleet_is_public
    from netwatch.app.fleet_admin import invite as make
    from netwatch.collector.registry import InvitationScope
    from netwatch.config import read_config

    if country and not (len(country) == 2 and country.isascii() and country.isalpha()):
        raise ConfigError(f"--country {country}: must be two letters, such as IR")
    bounds = InvitationScope(country.upper(), asn, replaces)
    found = read_config(config)
    token, expires = make(found, bounds, length=_length(length, "--for"))
    lines = [token, f"It is good once, until {expires:%Y-%m-%d %H:%M} UTC. There, run:"]
    lines += ["  netwatch agent consent grant", f"  netwatch agent enroll {token}"]
    if not fleet_is_public(found):
        lines.append("It leads to this machine alone: set fleet.url for agents elsewhere.")
    emit({"token": token, "expires": say_time(expires)}, lines, as_json=as_json)


@app.command("list")
def show(config: ConfigOption = DEFAULT, as_json: JsonOption = False) -> None:
    """List the agents: name, state, country, network, and how far each is believed.

    A weight below 1 is that of a newcomer, 0 that of one who came in a crowd: look at it, then
    `netwatch agents release` it. There is no address to show. Example: netwatch agents list --json
    """
    import msgspec

    from netwatch.app.fleet_admin import list_agents
    from netwatch.config import read_config

    agents = list_agents(read_config(config))
    lines = [
        f"{one.name:24} {one.state:10} {one.country or '-':2} AS{one.network or '-':<10}"
        f" {one.enrolled.date() if one.enrolled else '-'!s:10} {one.weight:4.2f} {one.reason}"
        for one in agents
    ]
    emit(msgspec.to_builtins(agents), lines or ["No agent yet."], as_json=as_json)


@app.command()
def retire(name: NameArgument, config: ConfigOption = DEFAULT, as_json: JsonOption = False) -> None:
    """Take nothing more from an agent; what it sent still counts.

    Example: netwatch agents retire vantage-7
    """
    from netwatch.app.fleet_admin import retire_agent
    from netwatch.config import read_config

    retire_agent(read_config(config), name)
    emit({"retired": name}, [f"{name} is retired"], as_json=as_json)


@app.command()
def release(
    name: NameArgument, config: ConfigOption = DEFAULT, as_json: JsonOption = False
) -> None:
    """Count an agent in full: end its quarantine, and count what was set aside meanwhile.

    Example: netwatch agents release vantage-7
    """
    from netwatch.app.fleet_admin import release_quarantine
    from netwatch.config import read_config

    count = release_quarantine(read_config(config), name)
    line = f"{name}: {count} batches that were set aside count from now on"
    emit({"released": name, "batches": count}, [line], as_json=as_json)


@app.command()
def erase(
    name: NameArgument,
    config: ConfigOption = DEFAULT,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Forget an agent: its key, its place, and every batch of it. Published sums stay.

    Example: netwatch agents erase vantage-7
    """
    from netwatch.app.fleet_admin import erase_agent
    from netwatch.config import read_config

    found = read_config(config)
    if not yes:
        typer.confirm(f"Erase every batch of {name}?", abort=True)
    count = erase_agent(found, name)
    told = {"erased": name, "batches": count}
    emit(told, [f"{name} and {count} batches are erased"], as_json=as_json)


@app.command()
def publish(
    file: Annotated[Path, typer.Argument(help="TOML with targets, each with its tier.")],
    config: ConfigOption = DEFAULT,
    length: Annotated[str, typer.Option("--for", help="How long it is to hold: 7d, 4w.")] = "4w",
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign a target list and tell it to every agent; each takes what its host has agreed to.

    Example: netwatch agents publish targets.toml
    """
    from netwatch.app.target_list_publisher import publish_list
    from netwatch.config import read_config

    found = read_config(config)
    listed = publish_list(found, file, length=_length(length, "--for"), key=key)
    tiers = {"A": len(listed.targets), "B": len(listed.popular)}
    tiers["C"] = sum(map(len, listed.sensitive.values()))
    told = {"version": listed.version, "expires": say_time(listed.expires), "targets": tiers}
    counts = ", ".join(f"{count} of tier {tier}" for tier, count in tiers.items())
    line = f"version {listed.version}: {counts}; it holds until {listed.expires:%Y-%m-%d}"
    emit(told, [line], as_json=as_json)


@app.command()
def pause(
    length: Annotated[str, typer.Argument(help="How long: 2h, 1d; 0s ends a pause.")],
    config: ConfigOption = DEFAULT,
    reason: Annotated[str, typer.Option(help="Why, in words for hosts.")] = "",
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask every agent to probe nothing for a while, by a signed word that each checks.

    Example: netwatch agents pause 2h --reason "a fault in the list"
    """
    from netwatch.app.clock import now
    from netwatch.app.target_list_publisher import pause_fleet
    from netwatch.config import read_config

    duration = _length(length, "length")
    until = now() + duration if duration else None
    listed = pause_fleet(read_config(config), until, reason=reason, key=key)
    line = f"agents pause until {until:%Y-%m-%d %H:%M} UTC" if until else "no pause any more"
    told = {"version": listed.version, "pause_until": say_time(until)}
    emit(told, [line], as_json=as_json)


def _length(text: str, option: str) -> Duration:
    """Return the length of time that `text` says."""
    try:
        return Duration.parse(text)
    except ValueError as error:
        raise ConfigError(f"{option}: {error}") from error
