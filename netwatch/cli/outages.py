"""`netwatch outages`: lists, shows and verifies the incidents of the ledger."""

import re
import sys
from datetime import datetime
from typing import Annotated

import typer

from netwatch.cli.data_access import open_data, parse_time
from netwatch.cli.options import (
    AsciiOption,
    ConfigPathOption,
    DataOption,
    JsonLinesOption,
    SinceOption,
    UntilOption,
    ZoneOption,
)
from netwatch.cli.outage_tables import outages_table
from netwatch.cli.output import emit_each, render, table_lines
from netwatch.model.entities import Entity, EntityTree
from netwatch.model.errors import InputError
from netwatch.model.incident import CORROBORATED, PUBLIC_STATES, Incident, IncidentState
from netwatch.publish.display_names import full_name
from netwatch.publish.incident_json import incident_object
from netwatch.publish.summary import key_facts

app = typer.Typer(invoke_without_command=True)
_WIDTH = 160
"""Columns of a table that does not go to a terminal; no cell is cut."""


@app.callback()
def outages(
    context: typer.Context,
    country: Annotated[str | None, typer.Option(help="Two letters, such as IR.")] = None,
    scope: Annotated[str | None, typer.Option(help="IR, IR-23, AS44244 or a domain.")] = None,
    state: Annotated[
        IncidentState | None, typer.Option(help="Only incidents in this state.")
    ] = None,
    min_level: Annotated[
        int, typer.Option(min=0, max=4, help="Lowest evidence level.")
    ] = CORROBORATED,
    since: SinceOption = None,
    until: UntilOption = None,
    zone: ZoneOption = "UTC",
    as_json: JsonLinesOption = False,
    plain: AsciiOption = False,
    data: DataOption = None,
    config: ConfigPathOption = None,
) -> None:
    """List incidents, newest first, including those that began before --since and continued.

    Example: netwatch outages --country IR --since -7d
    """
    if context.invoked_subcommand is not None:
        return
    first, last = parse_time(since, zone), parse_time(until, zone)
    wanted = parse_scope(scope) if scope else None
    with open_data(data, config=config) as opened:
        tree = opened.tree
        selected = [
            incident
            for incident in opened.ledger.incidents()
            if _overlaps(incident, first, last)
            and (country is None or tree.country_code(incident.entity) == country.upper())
            and (wanted is None or incident.entity == wanted)
            and (incident.state == state if state else incident.state in PUBLIC_STATES)
        ]
    shown = [incident for incident in selected if incident.evidence_level >= min_level]
    objects = [incident_object(incident, tree) for incident in shown]
    emit_each(objects, _table_lines(shown, tree, plain=plain), as_json=as_json)
    if not as_json:
        sys.stderr.write(_count_note(len(shown), len(selected) - len(shown)))


@app.command("show")
def show(
    incident: Annotated[str, typer.Argument(help="The incident, such as NW-IR-2019-0042.")],
    as_json: JsonLinesOption = False,
    data: DataOption = None,
    config: ConfigPathOption = None,
) -> None:
    """Show one incident: its course, order of loss, surviving networks and timing features.

    Provisional incidents are shown too. No field states a cause.
    Example: netwatch outages show NW-IR-2019-0042 --json
    """
    with open_data(data, config=config) as opened:
        revisions = opened.ledger.revisions(incident)
        tree = opened.tree
    if not revisions:
        raise InputError(f"{incident[:60]!r}: no such incident; see `netwatch outages`")
    newest = revisions[-1]
    heading = f"{newest.id}  {newest.state}  {full_name(newest.entity, tree)}"
    lines = [heading, *table_lines(key_facts(newest, tree))]
    emit_each([incident_object(newest, tree)], lines, as_json=as_json)


@app.command("verify")
def verify(
    as_json: JsonLinesOption = False, data: DataOption = None, config: ConfigPathOption = None
) -> None:
    """Check that no recorded revision was changed, or is missing between others.

    Each revision has a hash over the one before it. Exits with 1 and names the broken revisions.
    Example: netwatch outages verify
    """
    with open_data(data, config=config) as opened:
        broken = opened.ledger.verify_chain()
    rows = [{"incident": name, "revision": number} for name, number in broken]
    lines = [f"{name} revision {number}: changed, or its predecessor is" for name, number in broken]
    report = {"intact": not broken, "broken": rows}
    emit_each([report], lines or ["All revisions are intact."], as_json=as_json)
    if broken:
        raise typer.Exit(1)


def parse_scope(text: str) -> Entity:
    """Return the entity that `IR`, `IR-23`, `AS44244`, a domain or `kind:code` names.

    Raises:
        InputError: `text` has none of these forms.
    """
    word = text.strip()
    if ":" in word:
        return Entity.parse(word)
    if re.fullmatch(r"[A-Za-z]{2}", word):
        return Entity.parse(f"country:{word.upper()}")
    if number := re.fullmatch(r"(?:[Aa][Ss])?(\d+)", word):
        return Entity.parse(f"asn:{number[1]}")
    if re.fullmatch(r"[A-Za-z]{2}-[A-Za-z0-9.]{1,12}", word):
        return Entity.parse(f"region:{word[:2].upper()}{word[2:]}")
    if "." in word:
        return Entity.parse(f"domain:{word}")
    raise InputError(f"{text[:60]!r} is not a place; write IR, IR-23, AS44244 or a domain")


def _overlaps(incident: Incident, first: datetime | None, last: datetime | None) -> bool:
    if last is not None and incident.started_at >= last:
        return False
    return first is None or incident.ended_at is None or incident.ended_at >= first


def _table_lines(incidents: list[Incident], tree: EntityTree, *, plain: bool) -> list[str]:
    width = None if sys.stdout.isatty() else _WIDTH
    return render(outages_table(incidents, tree, plain=plain), width=width) if incidents else []


def _count_note(shown: int, hidden: int) -> str:
    note = f"{shown} incident{'' if shown == 1 else 's'}. Not exhaustive. Times UTC."
    return f"{note} {hidden} below this level, use --min-level 0.\n" if hidden else f"{note}\n"
