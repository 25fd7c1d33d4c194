"""The JSON beside the pages: the same record, for machines. Null is no data, 0 a measured zero."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from netwatch.model.entities import Entity
from netwatch.publish.display_names import place_name
from netwatch.publish.incident_json import incident_object
from netwatch.publish.level_queries import lead_levels
from netwatch.web.views import PageBuilder

_STEPS = {
    "5m": timedelta(minutes=5),
    "10m": timedelta(minutes=10),
    "1h": timedelta(hours=1),
    "3h": timedelta(hours=3),
    "1d": timedelta(days=1),
}
_MOST_POINTS = 20_000
_MOST_INCIDENTS = 500


class ApiProblem(Exception):  # noqa: N818 - RFC 9457 calls it a problem
    """Raised for a request that cannot be answered; its text says why, in one line."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


def health_object(desk: PageBuilder) -> dict[str, object]:
    """Return how fresh the data are."""
    health = desk.health()
    return {
        "data_until": None if health.until is None else _rfc3339(health.until),
        "data_age_seconds": None if health.age is None else round(health.age.total_seconds()),
        "stale": health.stale,
    }


def incident_list(
    desk: PageBuilder, query: Mapping[str, str], *, url: str, test: bool
) -> dict[str, object]:
    """Return public incidents, newest first, kept by `country`, `since`, `min_level`, `limit`.

    Raises:
        ApiProblem: a parameter has not the form it must have.
    """
    least = _number(query, "min_level", default=2)
    limit = min(_number(query, "limit", default=100), _MOST_INCIDENTS)
    since = _instant(query, "since")
    country = query.get("country")
    kept = []
    for incident in desk.public_incidents():
        home = desk.places.country(incident.entity)
        if incident.evidence < least or (country and (home is None or home.code != country)):
            continue
        if since is not None and incident.ended_at is not None and incident.ended_at < since:
            continue
        kept.append(incident_object(incident, desk.places, url=url, test=test))
    return {"data": kept[:limit], "next_cursor": None}


def incident_record(
    desk: PageBuilder, number: str, *, revision: str | None, url: str, test: bool
) -> dict[str, object]:
    """Return one incident: its newest revision, or the one asked for.

    Raises:
        ApiProblem: 404 where the public has none of it, 400 for a revision that is no number.
    """
    view = desk.incident(number)
    if view is None:
        raise ApiProblem(404, "There is no such incident.")
    incident = view.incident
    if revision is not None:
        wanted = _number({"revision": revision}, "revision", default=0)
        found = [old for old in desk.ledger.revisions(number) if old.revision == wanted]
        if not found:
            raise ApiProblem(404, "There is no such revision.")
        incident = found[0]
    return incident_object(incident, desk.places, url=url, test=test)


def timeseries(desk: PageBuilder, entity: Entity, query: Mapping[str, str]) -> dict[str, object]:
    """Return the level of `entity` in steps, percent of ordinary with its interval.

    Raises:
        ApiProblem: a parameter is missing, has not the right form, or asks for too much.
    """
    since = _instant(query, "since")
    if since is None:
        raise ApiProblem(400, "since: give the first instant, such as 2019-11-16T00:00:00Z")
    until = _instant(query, "until") or desk.health().until or since
    step = _STEPS.get(query.get("step", "1h"))
    if step is None:
        raise ApiProblem(400, f"step: want one of {', '.join(_STEPS)}")
    if not timedelta(0) <= (until - since) <= step * _MOST_POINTS:
        raise ApiProblem(400, f"since and until: at most {_MOST_POINTS} steps, in this order")
    levels = lead_levels(desk.store, entity, since, until)
    count = -((since - until) // step)
    slots: list[list[tuple[float, float, float, int]]] = [[] for _ in range(count)]
    for level in levels:
        if level.value is not None:
            low = level.value if level.low is None else level.low
            high = level.value if level.high is None else level.high
            slots[(level.time - since) // step].append((level.value, low, high, level.networks))
    return {
        "scope": {
            "type": str(entity.kind),
            "id": entity.code,
            "name": place_name(entity, desk.places),
        },
        "signal": levels[0].series.signal if levels else None,
        "step_seconds": round(step.total_seconds()),
        "start": _rfc3339(since),
        "unit": "percent_of_ordinary",
        "baseline_id": levels[-1].baseline if levels else None,
        "pct": [_mean(slot, 0) for slot in slots],
        "low": [_mean(slot, 1) for slot in slots],
        "high": [_mean(slot, 2) for slot in slots],
        "n_networks": [max((row[3] for row in slot), default=0) for slot in slots],
    }


def _mean(slot: list[tuple[float, float, float, int]], column: int) -> float | None:
    """Return the mean of a column in percent, None where the step holds no data."""
    return round(sum(row[column] for row in slot) / len(slot) * 100, 2) if slot else None


def _number(query: Mapping[str, str], name: str, *, default: int) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) < 7):
        raise ApiProblem(400, f"{name}: want a whole number")
    return int(text)


def _instant(query: Mapping[str, str], name: str) -> datetime | None:
    """Return an RFC 3339 instant; one without a zone is UTC, None where it is not given."""
    text = query.get(name)
    if text is None:
        return None
    try:
        # A plus in a query arrives as a space where the caller did not escape it.
        found = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ApiProblem(400, f"{name}: want an instant such as 2019-11-16T00:00:00Z") from error


def _rfc3339(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")
