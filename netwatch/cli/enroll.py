"""The commands by which a vantage joins an observatory, and leaves it."""

from pathlib import Path
from typing import Annotated

import typer

from netwatch.cli.options import DEFAULT, ConfigOption, JsonOption, emit

app = typer.Typer()
_LARGEST_FILE = 1024 * 1024


@app.command()
def adopt(
    file: Annotated[Path, typer.Argument(help="The signed list.")],
    config: ConfigOption = DEFAULT,
    key: Annotated[
        str, typer.Option("--key", help="The observatory's public key, 64 hexadecimal digits.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Take up an observatory's signed target list; a refused one changes nothing.

    It is probed from the next start on, within this machine's own limits.
    Example: netwatch agent adopt targets.signed
    """
    from netwatch.app.clock import now
    from netwatch.app.targets import open_target_list_store
    from netwatch.config import read_config
    from netwatch.model.errors import ConfigError, InputError

    try:
        book = open_target_list_store(read_config(config), key=bytes.fromhex(key) or None)
        with file.open("rb") as opened:
            listed = book.adopt(opened.read(_LARGEST_FILE), now())
    except ValueError as error:
        raise ConfigError("--key: must be 64 hexadecimal digits") from error
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from error
    told = {"version": listed.version, "targets": len(listed.targets)}
    line = f"{len(listed.targets)} targets, version {listed.version}; see `netwatch agent explain`"
    emit(told, [line], as_json=as_json)


@app.command()
def enroll(
    token: Annotated[str, typer.Argument(help="What the operator gave you; good once.")],
    config: ConfigOption = DEFAULT,
    url: Annotated[
        str, typer.Option(help="The observatory's address, where the token's does not work.")
    ] = "",
    region: Annotated[
        str, typer.Option(help="Your region, such as GB-SCT, if you want to tell it.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Join an observatory with a token from its operator; say where you are in the configuration.

    What answers must hold the key that stands in the token, or nothing is told to it.
    Example: netwatch agent enroll netwatch-1-…
    """
    import msgspec

    from netwatch.app.enrollment import enroll_vantage
    from netwatch.config import read_config

    found = read_config(config)
    enrolled = enroll_vantage(found, token, url=url, region=region)
    lines = [f"Enrolled as {found.vantage.id} with {enrolled.url}."]
    lines += ["Now: netwatch agent explain, then: netwatch agent run"]
    emit(msgspec.to_builtins(enrolled), lines, as_json=as_json)


@app.command("change-key")
def change_key(config: ConfigOption = DEFAULT, as_json: JsonOption = False) -> None:
    """Make a new key and have the observatory take it; then start the agent anew.

    Where the old key is lost, ask the operator for a token that replaces this agent.
    Example: netwatch agent change-key
    """
    from netwatch.app.enrollment import change_key as change
    from netwatch.config import read_config

    name = change(read_config(config))
    lines = [f"The new key is {name}. Start a running agent anew within a day."]
    emit({"key": name}, lines, as_json=as_json)


@app.command()
def purge(
    config: ConfigOption = DEFAULT,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    local: Annotated[
        bool, typer.Option("--local", help="Erase here alone, where nobody can be reached.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Erase everything that this vantage keeps: results, key and consent.

    An observatory that it is enrolled with is first asked, with its key, to forget it too.
    Example: netwatch agent purge --yes
    """
    from netwatch.app.enrollment import erase_vantage
    from netwatch.app.vantage import purge_vantage
    from netwatch.app.vantage_files import read_enrollment
    from netwatch.config import read_config
    from netwatch.model.errors import TransportError

    found = read_config(config)
    if not yes:
        typer.confirm("Erase results that were not sent, the key, and the consent?", abort=True)
    enrolled = None if local else read_enrollment(found)
    if enrolled is not None:
        try:
            erase_vantage(found)
        except TransportError as error:
            raise TransportError(
                f"{error}; nothing is erased: try later, or add --local"
            ) from error
    erased = [str(path) for path in purge_vantage(found)]
    lines = [f"erased {path}" for path in erased]
    if enrolled is not None:
        lines.insert(0, f"{enrolled.url} has forgotten this vantage")
    told = {"erased": erased, "forgotten_by": enrolled.url if enrolled else None}
    emit(told, lines, as_json=as_json)
