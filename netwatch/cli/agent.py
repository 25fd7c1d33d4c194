"""`netwatch agent`: the commands of a vantage."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from netwatch import __version__
from netwatch.agent.consent import CONSENT_VERSION
from netwatch.agent.spool.ack_verifier import apply_receipts
from netwatch.app.vantage import demand_consent, examine_vantage, open_spool, run_once
from netwatch.app.vantage_explain import explain_vantage
from netwatch.app.vantage_files import open_consent
from netwatch.app.vantage_status import vantage_status
from netwatch.app.wall_clock import now
from netwatch.cli import consent, enroll
from netwatch.cli.entrypoint import run_agent
from netwatch.cli.options import ConfigOption, JsonOption, PauseArgument
from netwatch.cli.output import emit, explanation_lines, table_lines
from netwatch.cli.time_parsing import parse_duration
from netwatch.model.duration import Duration
from netwatch.model.errors import InputError
from netwatch.wire.export import FileKind, read_messages, write_messages

app = typer.Typer(no_args_is_help=True)
app.add_typer(consent.app, name="consent", help="Show, grant and withdraw consent to probing.")


@app.callback()
def main() -> None:
    """Probe from this machine and send the results."""


@app.command()
def run(config: ConfigOption) -> None:
    """Measure and send until Ctrl-C; unacknowledged results are sent after the next start.

    Example: netwatch agent run --config vantage.toml
    """
    run_agent(config)


@app.command()
def once(config: ConfigOption, as_json: JsonOption = False) -> None:
    """Measure every target once and print the results; nothing is stored or sent.

    Example: netwatch agent once --json
    """
    demand_consent(config)
    measurements = asyncio.run(run_once(config))
    rows = (
        (one.target, one.probe, f"{one.seconds * 1000:.1f} ms", one.failure or "ok")
        for one in measurements
    )
    emit(measurements, table_lines(rows), as_json=as_json)


@app.command()
def explain(config: ConfigOption, as_json: JsonOption = False) -> None:
    """Print every host that will be contacted and everything that will be sent.

    Example: netwatch agent explain
    """
    explanation = explain_vantage(config)
    emit(explanation, explanation_lines(explanation), as_json=as_json)


@app.command()
def status(config: ConfigOption, as_json: JsonOption = False) -> None:
    """Print spool backlog, budget, consent and target list of this vantage.

    Example: netwatch agent status --json
    """
    values = vantage_status(config)
    rows = ((name.replace("_", " "), _cell(value)) for name, value in values.items())
    emit(values, table_lines(rows), as_json=as_json)


@app.command()
def doctor(config: ConfigOption, as_json: JsonOption = False) -> None:
    """Check everything that this vantage needs, and print how to fix it; exit 1 on a failure.

    Example: netwatch agent doctor
    """
    results = asyncio.run(examine_vantage(config))
    rows = []
    for result in results:
        rows.append(("ok" if result.ok else "FAIL", result.name, result.text))
        if result.fix:
            rows.append(("", "", result.fix))
    emit(results, table_lines(rows), as_json=as_json)
    if not all(result.ok for result in results):
        raise typer.Exit(1)


@app.command()
def pause(
    length: PauseArgument,
    config: ConfigOption,
    as_json: JsonOption = False,
) -> None:
    """Stop measuring for a while; a running agent stops within a second.

    Example: netwatch agent pause 2h
    """
    duration = parse_duration(length, "length", Duration)
    until = now() + duration if duration else None
    open_consent(config).pause(until)
    line = f"paused until {until:%Y-%m-%d %H:%M} UTC" if until else "not paused"
    emit({"paused_until": until}, [line], as_json=as_json)


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="The file to write.")],
    config: ConfigOption,
    as_json: JsonOption = False,
) -> None:
    """Write the unacknowledged batches to a file that can be carried; they stay in the spool.

    Example: netwatch agent export /media/stick/vantage.nwx
    """
    with open_spool(config) as spool:
        count = write_messages(
            file, (batch.payload for batch in spool.iterate_pending(100)), FileKind.EXPORT
        )
    emit({"batches": count, "file": str(file)}, [f"{count} batches in {file}"], as_json=as_json)


@app.command("import-receipts")
def import_receipts(
    file: Annotated[Path, typer.Argument(help="The receipts of `netwatch collect import`.")],
    config: ConfigOption,
    as_json: JsonOption = False,
) -> None:
    """Remove batches from the spool that an observatory acknowledged; the agent may be running.

    Example: netwatch agent import-receipts /media/stick/vantage.receipts
    """
    with open_spool(config) as spool:
        result = apply_receipts(read_messages(file, FileKind.RECEIPTS), config.vantage.id, spool)
    lines = [f"{result.deleted} batches left the spool, {result.refused} were refused"]
    emit(result, lines, as_json=as_json)
    if result.problem:
        problem = result.problem
        raise InputError(problem if problem.startswith(str(file)) else f"{file}: {problem}")


@app.command()
def version(as_json: JsonOption = False) -> None:
    """Print the versions of netwatch and of the consent text.

    Example: netwatch agent version --json
    """
    versions = {"version": __version__, "consent_version": CONSENT_VERSION}
    line = f"netwatch {__version__}, consent text {CONSENT_VERSION}"
    emit(versions, [line], as_json=as_json)


def _cell(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_cell(one)}" for name, one in value.items()) or "-"
    return "-" if value in {None, ""} else str(value)


app.registered_commands.extend(enroll.app.registered_commands)
