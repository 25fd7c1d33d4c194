"""`netwatch amendments`: lists and decides what late measurements would change in closed bins."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from netwatch.app.wall_clock import now
from netwatch.cli.data_access import open_data, parse_time
from netwatch.cli.options import DataOption, JsonLinesOption, SinceOption, UntilOption
from netwatch.cli.outages import parse_scope
from netwatch.cli.output import emit_each, table_lines
from netwatch.model.amendment import AmendedSpan, Amendment, AmendmentState, by_hour, by_span
from netwatch.model.errors import InputError
from netwatch.model.time import rfc3339

app = typer.Typer(no_args_is_help=True)
ScopeArgument = Annotated[str, typer.Argument(help="IR, IR-23, AS44244 or a domain.")]
_OPEN = frozenset({AmendmentState.PENDING})
_ACCEPT = """Let late measurements count: the collector then writes bins and levels.

Incidents keep what was known then. Example: netwatch amendments accept IR --since -3d
"""
_REJECT = """Keep closed bins as they were known; the measurements stay in the batch log.

Example: netwatch amendments reject AS44244 --since 2026-01-08T12:00 --until 2026-01-08T15:00
"""


@app.command("list")
def show(
    scope: Annotated[str | None, typer.Option(help="IR, IR-23, AS44244 or a domain.")] = None,
    decided: Annotated[bool, typer.Option("--all", help="Also those that are decided.")] = False,
    since: SinceOption = None,
    until: UntilOption = None,
    as_json: JsonLinesOption = False,
    data: DataOption = None,
) -> None:
    """List spans of closed hours whose level late measurements would move beyond its interval.

    Pages keep the level that was known then. Example: netwatch amendments list --scope IR
    """
    spans = by_span(by_hour(_read(scope, since, until, data, decided=decided)))
    rows = [
        (
            one.series.entity, one.series.signal, f"{one.start:%Y-%m-%d %H:%M}",
            f"{one.end:%Y-%m-%d %H:%M}", f"{one.then:.0%}", f"{one.now:.0%}",
            f"{one.late_share:.0%}", one.owners, one.networks, one.state,
        )
        for one in spans
    ]  # fmt: skip
    headings = (
        "entity", "signal", "from", "to", "then", "now", "late", "owners", "networks", "state",
    )  # fmt: skip
    emit_each(map(_to_json, spans), table_lines(rows, *headings) if rows else [], as_json=as_json)
    if not as_json:
        sys.stderr.write(f"{len(spans)} amended spans. Times UTC.\n")


def _decider(state: AmendmentState) -> Callable[..., None]:
    def decide(
        scope: ScopeArgument,
        since: SinceOption = None,
        until: UntilOption = None,
        as_json: JsonLinesOption = False,
        data: DataOption = None,
    ) -> None:
        chosen = _read(scope, since, until, data, decided=False)
        if not chosen:
            raise InputError(f"{scope[:60]!r}: none waits; see: netwatch amendments list")
        with open_data(data) as opened:
            opened.ledger.amendments.decide(chosen, state, at=now())
        hours = by_hour(chosen)
        lines = [f"{len(hours)} amended hours of {parse_scope(scope)}: {state}"]
        spans = [_to_json(one) | {"state": state} for one in by_span(hours)]
        emit_each(spans, lines, as_json=as_json)

    return decide


app.command("accept", help=_ACCEPT)(_decider(AmendmentState.ACCEPTED))
app.command("reject", help=_REJECT)(_decider(AmendmentState.REJECTED))


def _read(
    scope: str | None, since: str | None, until: str | None, data: Path | None, *, decided: bool
) -> list[Amendment]:
    first, last = parse_time(since, "UTC"), parse_time(until, "UTC")
    wanted = parse_scope(scope) if scope else None
    states = frozenset(AmendmentState) if decided else _OPEN
    with open_data(data) as opened:
        return opened.ledger.amendments.read(states, start=first, end=last, entity=wanted)


def _to_json(one: AmendedSpan) -> dict[str, object]:
    return {
        "entity": str(one.series.entity),
        "signal": one.series.signal,
        "start": rfc3339(one.start),
        "end": rfc3339(one.end),
        "bins": one.bins,
        "percent_then": round(100 * one.then, 2),
        "percent_now": round(100 * one.now, 2),
        "late_share": round(one.late_share, 3),
        "owners": one.owners,
        "networks": one.networks,
        "state": one.state,
    }
