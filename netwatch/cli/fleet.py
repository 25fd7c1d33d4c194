"""The operator's commands for volunteers' agents."""

from typing import Annotated

import typer

from netwatch.cli.options import DEFAULT, ConfigOption, JsonOption, print_told, say_time
from netwatch.config import Duration
from netwatch.model.errors import ConfigError

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True)
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
    """Make a token with which one agent can enrol, once; only its hash is kept.

    Hand it over by a way that you both trust: who has it can enrol with it.
    Example: netwatch agents invite --country IR
    """
    from netwatch.app.fleet import invite as make
    from netwatch.collector.registry import Bounds
    from netwatch.config import read_config

    bounds = Bounds(country, asn, replaces)
    token, expires = make(read_config(config), bounds, length=_length(length, "--for"))
    lines = [token, f"It is good once, until {expires:%Y-%m-%d %H:%M} UTC. There, run:"]
    lines += ["  netwatch agent consent grant", f"  netwatch agent enrol {token}"]
    print_told({"token": token, "expires": say_time(expires)}, lines, as_json=as_json)


@app.command("list")
def show(config: ConfigOption = DEFAULT, as_json: JsonOption = False) -> None:
    """List the agents: name, state, country, network. There is no address to show.

    Example: netwatch agents list --json
    """
    import msgspec

    from netwatch.app.fleet import list_agents
    from netwatch.config import read_config

    agents = list_agents(read_config(config))
    lines = [
        f"{one.name:24} {one.state:10} {one.country or '-':2} AS{one.network or '-':<10}"
        f" {one.enrolled.date() if one.enrolled else '-':10} {one.reason}"
        for one in agents
    ]
    print_told(msgspec.to_builtins(agents), lines or ["No agent yet."], as_json=as_json)


@app.command()
def retire(name: NameArgument, config: ConfigOption = DEFAULT, as_json: JsonOption = False) -> None:
    """Take nothing more from an agent; what it sent still counts.

    Example: netwatch agents retire vantage-7
    """
    from netwatch.app.fleet import retire_agent
    from netwatch.config import read_config

    retire_agent(read_config(config), name)
    print_told({"retired": name}, [f"{name} is retired"], as_json=as_json)


@app.command()
def release(
    name: NameArgument, config: ConfigOption = DEFAULT, as_json: JsonOption = False
) -> None:
    """End an agent's quarantine; what was set aside meanwhile is counted.

    Example: netwatch agents release vantage-7
    """
    from netwatch.app.fleet import count_agent_again
    from netwatch.config import read_config

    count = count_agent_again(read_config(config), name)
    line = f"{name}: {count} batches that were set aside count from now on"
    print_told({"released": name, "batches": count}, [line], as_json=as_json)


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
    from netwatch.app.fleet import erase_agent
    from netwatch.config import read_config

    found = read_config(config)
    if not yes:
        typer.confirm(f"Erase every batch of {name}?", abort=True)
    count = erase_agent(found, name)
    told = {"erased": name, "batches": count}
    print_told(told, [f"{name} and {count} batches are erased"], as_json=as_json)


def _length(text: str, option: str) -> Duration:
    """Return the length of time that `text` says."""
    try:
        return Duration.parse(text)
    except ValueError as error:
        raise ConfigError(f"{option}: {error}") from error
