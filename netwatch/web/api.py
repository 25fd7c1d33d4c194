"""The JSON API: the same record as the pages. null is no data, 0 a measured zero."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from starlette.exceptions import HTTPException
from starlette.requests import Request

from netwatch.model.entities import Entity
from netwatch.model.errors import InputError
from netwatch.model.incident import CORROBORATED, Incident
from netwatch.model.series import Level
from netwatch.publish.incident_json import incident_object, scope_object
from netwatch.publish.level_queries import lead_levels
from netwatch.publish.plot_series import resample
from netwatch.web.view_models import PageBuilder

_STEPS = {
    "5m": timedelta(minutes=5),
    "10m": timedelta(minutes=10),
    "1h": timedelta(hours=1),
    "3h": timedelta(hours=3),
    "1d": timedelta(days=1),
}
INCIDENT_QUERY = ("revision",)
INCIDENTS_QUERY = ("country", "limit", "min_level", "since")
LEVELS_QUERY = ("since", "step", "until")
"""The parameters of the query that each endpoint reads."""
_MOST_POINTS = 20_000
_MOST_INCIDENTS = 500


class ApiProblem(HTTPException):
    """An invalid request; `detail` says why, in one line."""


class JsonApi:
    """Endpoints that return plain values for JSON; they block like `PageBuilder`.

    Raises:
        ApiProblem: from every endpoint: a parameter is missing or invalid, or nothing is found.
    """

    def __init__(self, pages: PageBuilder) -> None:
        self._pages = pages

    def health(self, _request: Request) -> dict[str, object]:
        """Return the freshness of the data; a time in the future has no age, and is stale."""
        health = self._pages.health()
        return {
            "data_until": health.until,
            "data_age_seconds": None if health.age is None else round(health.age.total_seconds()),
            "stale": health.stale,
            "clock": health.clock or None,
            "missing_days": health.missing,
        }

    def incidents(self, request: Request) -> dict[str, object]:
        """Return public incidents, newest first.

        The query may filter by `country`, `since` and `min_level`, and `limit` their number.
        """
        query, tree = request.query_params, self._pages.tree
        min_level = _number(query, "min_level", default=CORROBORATED)
        limit = min(_number(query, "limit", default=100), _MOST_INCIDENTS)
        since, country = _instant(query, "since"), query.get("country")
        found = []
        for incident in self._pages.public_incidents():
            elsewhere = country and tree.country_code(incident.entity) != country
            over = since and incident.ended_at and incident.ended_at < since
            if incident.evidence_level >= min_level and not elsewhere and not over:
                found.append(self._object(incident))
        return {"data": found[:limit], "next_cursor": None}

    def incident(self, request: Request) -> dict[str, object]:
        """Return one incident: its newest revision, or the revision in the query."""
        revisions = self._pages.public_revisions(request.path_params["number"])
        if "revision" in request.query_params:
            wanted = _number(request.query_params, "revision", default=0)
            revisions = [incident for incident in revisions if incident.revision == wanted]
        if not revisions:
            raise ApiProblem(404, "There is no such incident or revision.")
        return self._object(revisions[-1])

    def timeseries(self, request: Request) -> dict[str, object]:
        """Return the levels of an entity in steps: percent of ordinary with its interval.

        They are means of what was measured, to two decimals, however few the networks
        (`n_networks`) and wide the interval; a published percentage may have no number there.
        """
        entity, query = path_entity(request), request.query_params
        since = _instant(query, "since")
        if since is None:
            raise ApiProblem(400, "since: give the first instant, such as 2019-11-16T00:00:00Z")
        until = _instant(query, "until") or self._pages.health().until or since
        step = _STEPS.get(query.get("step", "1h"))
        if step is None:
            raise ApiProblem(400, f"step: want one of {', '.join(_STEPS)}")
        if not timedelta(0) <= (until - since) <= step * _MOST_POINTS:
            raise ApiProblem(400, f"since and until: at most {_MOST_POINTS} steps, in this order")
        levels = lead_levels(self._pages.store, entity, since, until)

        def means(column: int) -> list[float | None]:
            def share(level: Level) -> float | None:
                return None if level.interval is None else level.interval[column]

            values = resample(levels, since, until, step, column=share)
            return [None if value is None else round(value, 2) for value in values]

        networks = [0] * -((since - until) // step)
        for level in levels:
            if level.value is not None:
                slot = (level.time - since) // step
                networks[slot] = max(networks[slot], level.networks)
        return {
            "scope": scope_object(entity, self._pages.tree),
            "signal": levels[0].series.signal if levels else None,
            "step_seconds": round(step.total_seconds()),
            "start": since,
            "unit": "percent_of_ordinary",
            "baseline_id": levels[-1].baseline.encode() if levels else None,
            "pct": means(0),
            "low": means(1),
            "high": means(2),
            "n_networks": networks,
            "under_review": [
                {
                    "start": one.start,
                    "pct_then": round(100 * one.then, 2),
                    "pct_now": round(100 * one.now, 2),
                }
                for one in self._pages.amended_hours(entity, since, until)
            ],
        }

    def _object(self, incident: Incident) -> dict[str, object]:
        site = self._pages.context
        return incident_object(incident, site.tree, url=site.url, drill=site.drill)


def path_entity(request: Request) -> Entity:
    """Return the entity that the path names, 404 if its form is invalid."""
    try:
        return Entity.parse(f"{request.path_params['kind']}:{request.path_params['code']}")
    except InputError as error:
        raise HTTPException(404) from error


def _number(query: Mapping[str, str], name: str, *, default: int) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) < 7):
        raise ApiProblem(400, f"{name}: want a whole number")
    return int(text)


def _instant(query: Mapping[str, str], name: str) -> datetime | None:
    """Return an RFC 3339 parameter; without a zone it is UTC, None if it is not given."""
    text = query.get(name)
    if text is None:
        return None
    try:
        # An unescaped plus in a query arrives as a space.
        time = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ApiProblem(400, f"{name}: want an instant such as 2019-11-16T00:00:00Z") from error
