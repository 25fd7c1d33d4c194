"""Commands for enrollment at an observatory, key change and erasure."""

from pathlib import Path
from typing import Annotated

import typer

from netwatch.app.target_selection import open_target_list_store
from netwatch.app.vantage import purge_vantage
from netwatch.app.vantage_enrollment import change_key as change
from netwatch.app.vantage_enrollment import enroll_vantage, erase_vantage
from netwatch.app.vantage_files import read_enrollment
from netwatch.app.wall_clock import now
from netwatch.cli.options import ConfigOption, JsonOption, YesOption
from netwatch.cli.output import emit
from netwatch.model.errors import ConfigError, InputError, TransportError

app = typer.Typer()
_MAX_LIST_BYTES = 1024 * 1024


@app.command()
def adopt(
    file: Annotated[Path, typer.Argument(help="The signed list.")],
    config: ConfigOption,
    key: Annotated[
        str, typer.Option("--key", help="The observatory's public key, 64 hexadecimal digits.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Install an observatory's signed target list, if its signature is valid.

    It applies from the next start, within the consent of this machine's host.
    Example: netwatch agent adopt targets.signed
    """
    try:
        store = open_target_list_store(config, key=bytes.fromhex(key) or None)
        with file.open("rb") as opened:
            target_list = store.adopt(opened.read(_MAX_LIST_BYTES), now())
    except ValueError as error:
        raise ConfigError("--key: must be 64 hexadecimal digits") from error
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from error
    count, version = len(target_list.targets), target_list.version
    line = f"{count} targets, version {version}; see `netwatch agent explain`"
    emit({"version": version, "targets": count}, [line], as_json=as_json)


@app.command()
def enroll(
    token: Annotated[str, typer.Argument(help="The token from the operator; valid once.")],
    config: ConfigOption,
    url: Annotated[
        str, typer.Option(help="The observatory's address, if the one in the token does not work.")
    ] = "",
    region: Annotated[
        str, typer.Option(help="Your region, such as GB-SCT, if you want to disclose it.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Enroll at an observatory with a token from its operator.

    Set country and ASN in the configuration first. The observatory must prove that it has the key
    in the token before anything is sent.
    Example: netwatch agent enroll netwatch-1-…
    """
    enrollment = enroll_vantage(config, token, url=url, region=region)
    lines = [f"Enrolled as {config.vantage.id} with {enrollment.url}."]
    lines += ["Now: netwatch agent explain, then: netwatch agent run"]
    emit(enrollment, lines, as_json=as_json)


@app.command("change-key")
def change_key(config: ConfigOption, as_json: JsonOption = False) -> None:
    """Replace the vantage's key, here and at the observatory; then restart the agent.

    If the old key is lost, ask the operator for a token that replaces this agent.
    Example: netwatch agent change-key
    """
    name = change(config)
    lines = [f"The new key is {name}. Restart a running agent within a day."]
    emit({"key": name}, lines, as_json=as_json)


@app.command()
def purge(
    config: ConfigOption,
    yes: YesOption = False,
    local: Annotated[
        bool,
        typer.Option(
            "--local", help="Erase only on this machine, if the observatory is unreachable."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Erase all data of this vantage: results, key and consent.

    If it is enrolled, the observatory erases its data first.
    Example: netwatch agent purge --yes
    """
    if not yes:
        typer.confirm("Erase results that were not sent, the key, and the consent?", abort=True)
    enrollment = None if local else read_enrollment(config)
    if enrollment is not None:
        try:
            erase_vantage(config)
        except TransportError as error:
            raise TransportError(
                f"{error}; nothing was erased: try later, or add --local"
            ) from error
    erased = [str(path) for path in purge_vantage(config)]
    lines = [f"erased {path}" for path in erased]
    if enrollment is not None:
        lines.insert(0, f"{enrollment.url} has erased this vantage")
    summary = {"erased": erased, "erased_by": enrollment.url if enrollment else None}
    emit(summary, lines, as_json=as_json)
