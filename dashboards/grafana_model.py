"""Queries, panels, variables and dashboards in Grafana's JSON model."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

Json = dict[str, object]

_SOURCE: Json = {"type": "influxdb", "uid": "${ds}"}
_WIDTH = 24
_AGE_WIDTH = 4


@dataclass(frozen=True)
class Query:
    """One InfluxQL statement; its result is a table, or series named by `alias`."""

    text: str
    alias: str = ""
    table: bool = False

    def target(self, index: int) -> Json:
        """Return the statement as a panel's target number `index`."""
        made: Json = {
            "refId": "ABCDEFGH"[index],
            "datasource": _SOURCE,
            "rawQuery": True,
            "query": self.text,
            "resultFormat": "table" if self.table else "time_series",
        }
        if self.alias:
            made["alias"] = self.alias
        return made


def level_query(field_name: str, conditions: str, *, tags: str = "", alias: str = "") -> Query:
    """Return the mean of one field of `connectivity` over time, for measured levels."""
    group = f"GROUP BY time($__interval){tags and ', ' + tags} fill(null)"
    where = f'{conditions} AND "measured" = true AND $timeFilter'
    return Query(
        f'SELECT mean("{field_name}") FROM "connectivity" WHERE {where} {group}',
        alias or field_name,
    )


@dataclass
class Board:
    """A dashboard; panels are added from left to right, then row by row."""

    uid: str
    title: str
    description: str
    span: str = "now-7d"
    tags: Sequence[str] = ("netwatch",)
    variables: list[Json] = field(default_factory=list)
    annotations: list[Json] = field(default_factory=list)
    panels: list[Json] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Start at the top left."""
        self._numbers = count(1)
        self._x = self._y = self._line = 0

    def add(self, kind: str, title: str, size: tuple[int, int], **parts: object) -> Json:
        """Add a panel of `size` (columns of 24, rows) after the last one."""
        width, height = size
        if self._x + width > _WIDTH:
            self._x, self._y, self._line = 0, self._y + self._line, 0
        position = {"x": self._x, "y": self._y, "w": width, "h": height}
        self._x, self._line = self._x + width, max(self._line, height)
        panel: Json = {"id": next(self._numbers), "type": kind, "title": title, "gridPos": position}
        self.panels.append(panel | parts)
        return self.panels[-1]

    def row(self, title: str, *, repeat: str = "") -> None:
        """Start a new row; with `repeat`, one for each value of that variable."""
        self._x, self._y, self._line = 0, self._y + self._line, 0
        panel = self.add("row", title, (_WIDTH, 1), collapsed=False, panels=[])
        if repeat:
            panel["repeat"] = repeat

    def chart(
        self,
        title: str,
        queries: Sequence[Query],
        age: str,
        *,
        unit: str = "percent",
        wide: int = 24,
    ) -> None:
        """Add a chart and, to its right, the age of its newest data.

        Args:
            title: title of the chart.
            queries: its series; three named high, pct and low become a line with a band.
            age: a statement; the time of its newest row is that of the newest data.
            unit: Grafana's name of the unit; a percent axis runs from 0 to 100.
            wide: columns of both panels.
        """
        if self._x + wide > _WIDTH:
            self._x, self._y, self._line = 0, self._y + self._line, 0
        limits = {"min": 0, "max": 100} if unit == "percent" else {}
        defaults: Json = {"unit": unit, "custom": _LINES} | limits
        self.add(
            "timeseries",
            title,
            (wide - _AGE_WIDTH, 8),
            datasource=_SOURCE,
            targets=[query.target(index) for index, query in enumerate(queries)],
            fieldConfig={"defaults": defaults, "overrides": _band(queries)},
            options={
                "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom"},
                "tooltip": {"mode": "multi", "sort": "none"},
            },
        )
        self.age(age)

    def age(self, statement: str, *, size: tuple[int, int] = (_AGE_WIDTH, 8)) -> None:
        """Add the age of the newest data."""
        self.add(
            "stat",
            "Minutes since last data",
            size,
            datasource=_SOURCE,
            targets=[Query(statement, table=True).target(0)],
            fieldConfig={
                "defaults": {"unit": "dateTimeFromNow", "noValue": "none in this span"},
                "overrides": [],
            },
            options={
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "/^Time$/", "values": False},
                "colorMode": "none",
                "graphMode": "none",
                "textMode": "value",
            },
        )

    def stat(self, title: str, queries: Sequence[Query], *, unit: str, width: int = 6) -> None:
        """Add the newest number of each query."""
        self.add(
            "stat",
            title,
            (width, 5),
            datasource=_SOURCE,
            targets=[query.target(index) for index, query in enumerate(queries)],
            fieldConfig={"defaults": {"unit": unit, "noValue": "no data"}, "overrides": []},
            options={
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
                "colorMode": "none",
                "graphMode": "none",
                "textMode": "value_and_name",
            },
        )

    def table(self, title: str, query: Query, *, width: int = 24, unit: str = "short") -> None:
        """Add a table; its column `url` becomes the link of the column `id`."""
        link = {"title": "The public record", "url": "${__data.fields.url}", "targetBlank": True}
        self.add(
            "table",
            title,
            (width, 9),
            datasource=_SOURCE,
            targets=[query.target(0)],
            fieldConfig={
                "defaults": {"unit": unit, "noValue": "none", "custom": {"align": "auto"}},
                "overrides": [
                    _override("id", "links", [link]),
                    _override("url", "custom.hidden", value=True),
                    _override("end_ms", "unit", "dateTimeAsIso"),
                ],
            },
            options={"showHeader": True, "cellHeight": "sm"},
        )

    def model(self) -> Json:
        """Return the dashboard in Grafana's classic JSON model."""
        return {
            "id": None,
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": list(self.tags),
            "schemaVersion": 39,
            "version": 1,
            "editable": False,
            "graphTooltip": 1,
            "timezone": "utc",
            "refresh": "1m",
            "time": {"from": self.span, "to": "now"},
            "timepicker": {},
            "links": [_MENU],
            "templating": {"list": [source(), *self.variables]},
            "annotations": {"list": self.annotations},
            "panels": self.panels,
        }


def source() -> Json:
    """Return the variable that selects the data source."""
    return {"name": "ds", "label": "Data source", "type": "datasource", "query": "influxdb"}


def values_of(name: str, label: str, statement: str, *, many: bool = False) -> Json:
    """Return a variable with the values of a statement; with `many`, all are selected."""
    made: Json = {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": _SOURCE,
        "query": statement,
        "refresh": 2,
        "sort": 1,
        "multi": many,
        "includeAll": many,
    }
    if many:
        made["current"] = {"selected": True, "text": ["All"], "value": ["$__all"]}
    return made


def custom(name: str, label: str, values: Sequence[str]) -> Json:
    """Return a variable with fixed values; the first is selected."""
    return {
        "name": name,
        "label": label,
        "type": "custom",
        "query": ",".join(values),
        "current": {"selected": True, "text": values[0], "value": values[0]},
        "options": [
            {"selected": index == 0, "text": value, "value": value}
            for index, value in enumerate(values)
        ],
    }


# Null is no data: a gap that no line crosses.
_LINES: Json = {
    "drawStyle": "line",
    "lineWidth": 1,
    "fillOpacity": 0,
    "spanNulls": False,
    "insertNulls": False,
    "showPoints": "auto",
    "axisPlacement": "auto",
}
_MENU: Json = {
    "title": "netwatch",
    "type": "dashboards",
    "tags": ["netwatch"],
    "asDropdown": True,
    "icon": "external link",
    "includeVars": False,
    "keepTime": True,
    "targetBlank": False,
    "tooltip": "",
    "url": "",
}


def _override(name: str, setting: str, value: object) -> Json:
    """Return one setting of the column `name`."""
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": setting, "value": value}],
    }


def _band(queries: Sequence[Query]) -> list[Json]:
    """Return the overrides that fill the band between the series high and low."""
    if {"high", "low"} - {query.alias for query in queries}:
        return []
    thin = [_override(name, "custom.lineWidth", 0) for name in ("high", "low")]
    filled = _override("high", "custom.fillBelowTo", "low")
    return [*thin, filled, _override("high", "custom.fillOpacity", 20)]
