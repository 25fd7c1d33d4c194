"""Dashboards about connectivity: overview, country, network, comparison of signals."""

from grafana_model import Board, Json, Query, custom, level_query, values_of

_COUNTRY = values_of(
    "country",
    "Country",
    """SHOW TAG VALUES FROM "connectivity" WITH KEY = "scope_id" WHERE "scope_type" = 'country'""",
)
_SIGNAL = values_of("signal", "Signal", 'SHOW TAG VALUES FROM "connectivity" WITH KEY = "signal"')
_EVIDENCE = custom("min_level", "Minimum evidence level", ["2", "0", "1", "3", "4"])
_BAND = ("high", "pct", "low")


def overview() -> Board:
    """Return the overview: open incidents, the levels of countries, the age of the data."""
    board = Board(
        "netwatch-overview", "Overview", "Open incidents and levels of countries", span="now-30d"
    )
    board.variables = [_SIGNAL, _EVIDENCE]
    board.annotations = [_incidents("\"scope_type\" = 'country'")]
    of_signal = "\"signal\" = '$signal' AND \"scope_type\" = 'country'"
    board.table("Open incidents", _OPEN, width=20)
    board.age(f'SELECT last("pct") FROM "connectivity" WHERE {of_signal} AND $timeFilter')
    newest = Query(
        f'SELECT last("pct") AS "pct" FROM "connectivity" WHERE {of_signal} '
        'AND "measured" = true AND $timeFilter GROUP BY "scope_id"',
        table=True,
    )
    _map(board, newest)
    board.table(
        "Newest level of each country, percent of ordinary", newest, width=12, unit="percent"
    )
    _timeline(
        board,
        "Level of each country, percent of ordinary",
        f'SELECT last("pct") FROM "connectivity" WHERE {of_signal} AND "measured" = true '
        'AND $timeFilter GROUP BY time($__interval), "scope_id" fill(null)',
    )
    board.age(f'SELECT last("pct") FROM "connectivity" WHERE {of_signal} AND $timeFilter')
    levels = ["0 signal", "1 single source", "2 corroborated", "3 confirmed", "4 acknowledged"]
    counts = [
        Query(
            'SELECT count("id") FROM "incident" WHERE "open" = true AND "current" = true '
            f'AND "evidence" = {number} AND $timeFilter',
            alias=name,
        )
        for number, name in enumerate(levels)
    ]
    board.stat("Open incidents by evidence", counts, unit="short", width=24)
    return board


def country() -> Board:
    """Return the dashboard of one country, its regions and networks, by signal."""
    board = Board("netwatch-country", "Country", "One country, its regions and networks")
    places = 'SHOW TAG VALUES FROM "place" WITH KEY = "scope_id" WHERE "country" = \'$country\''
    board.variables = [
        _COUNTRY,
        values_of(
            "region",
            "Region",
            'SHOW TAG VALUES FROM "connectivity" WITH KEY = "scope_id" '
            'WHERE "scope_type" = \'region\' AND "scope_id" =~ /^${country:regex}-/',
            many=True,
        ),
        values_of("asn", "Network", f"{places} AND \"scope_type\" = 'asn' LIMIT 12", many=True),
        values_of(
            "signal", "Signal", 'SHOW TAG VALUES FROM "connectivity" WITH KEY = "signal"', many=True
        ),
    ]
    here = "\"scope_type\" = 'country' AND \"scope_id\" = '$country'"
    board.annotations = [_incidents(here)]
    board.row("$signal", repeat="signal")
    of_signal = f'{here} AND "signal" =~ /^${{signal:regex}}$/'
    _level(board, "$country by $signal: percent of ordinary", of_signal, wide=24)
    board.row("Confidence and coverage")
    sure = 'AND $timeFilter GROUP BY time($__interval), "signal" fill(null)'
    board.chart(
        "Probability of a loss, and share of the country that was measured",
        [
            Query(
                f'SELECT 100 * mean("{name}") FROM "connectivity" WHERE {of_signal} {sure}',
                alias=f"{name} $tag_signal",
            )
            for name in ("probability", "coverage")
        ],
        f'SELECT last("coverage") FROM "connectivity" WHERE {of_signal} AND $timeFilter',
        wide=12,
    )
    _vantages(board)
    board.row("Region $region", repeat="region")
    in_region = '"scope_type" = \'region\' AND "scope_id" =~ /^${region:regex}$/'
    _levels(board, "Region $region: percent of ordinary, by signal", in_region)
    board.row("AS$asn", repeat="asn")
    in_asn = '"scope_type" = \'asn\' AND "scope_id" =~ /^${asn:regex}$/'
    _levels(board, "AS$asn: percent of ordinary, by signal", in_asn)
    return board


def network() -> Board:
    """Return the dashboard of one network, from its level down to the failing layer."""
    board = Board("netwatch-network", "Network", "One network, down to the failing layer")
    every = (
        """SHOW TAG VALUES FROM "connectivity" WITH KEY = "scope_id" WHERE "scope_type" = 'asn'"""
    )
    board.variables = [values_of("asn", "Network", every), _SIGNAL]
    here = "\"scope_type\" = 'asn' AND \"scope_id\" = '$asn'"
    board.annotations = [_incidents(here)]
    of_signal = f"{here} AND \"signal\" = '$signal'"
    _level(board, "AS$asn: percent of ordinary", of_signal, wide=24)
    tried = f'FROM "counts" WHERE {here} AND "trials" = true AND $timeFilter'
    per = "GROUP BY time($__interval) fill(null)"
    board.chart(
        "Measurements without a response",
        [
            Query(
                'SELECT 100 - 100 * sum("value") / sum("total") FROM "counts" '
                f'WHERE {of_signal} AND "trials" = true AND $timeFilter {per}',
                alias="no response",
            )
        ],
        f'SELECT last("total") FROM "counts" WHERE {of_signal} AND $timeFilter',
        wide=12,
    )
    steps = '"signal" =~ /^(dns|tcp|tls|http)$/'
    board.chart(
        "Success by layer: DNS, TCP, TLS, HTTP",
        [
            Query(
                f'SELECT 100 * sum("value") / sum("total") {tried} AND {steps} '
                'GROUP BY time($__interval), "signal" fill(null)',
                alias="$tag_signal",
            )
        ],
        f'SELECT last("total") {tried} AND {steps}',
        wide=12,
    )
    for title, signal, unit in (
        ("Round-trip time", "latency", "s"),
        ("Prefixes visible in BGP", "bgp", "short"),
    ):
        rows = f'FROM "counts" WHERE {here} AND "signal" = \'{signal}\' AND $timeFilter'
        board.chart(
            title,
            [Query(f'SELECT mean("value") {rows} {per}', alias=signal)],
            f'SELECT last("value") {rows}',
            unit=unit,
            wide=12,
        )
    domains = "\"scope_type\" = 'domain' AND \"signal\" = '$signal'"
    _timeline(
        board,
        "Domains, percent of ordinary, from all vantages",
        f'SELECT last("pct") FROM "connectivity" WHERE {domains} AND "measured" = true '
        'AND $timeFilter GROUP BY time($__interval), "scope_id" fill(null)',
        kind="status-history",
    )
    board.age(f'SELECT last("pct") FROM "connectivity" WHERE {domains} AND $timeFilter')
    return board


def compare() -> Board:
    """Return the comparison of all signals about a country, each on its own axis."""
    board = Board(
        "netwatch-compare", "Compare", "Our own and external signals, each on its own axis"
    )
    every = (
        'SHOW TAG VALUES FROM "counts" WITH KEY = "signal" '
        "WHERE \"scope_type\" = 'country' AND \"scope_id\" = '$country'"
    )
    board.variables = [_COUNTRY, values_of("signal", "Signal", every, many=True)]
    here = "\"scope_type\" = 'country' AND \"scope_id\" = '$country'"
    board.annotations = [_incidents(here)]
    board.add(
        "text",
        "What can be compared",
        (24, 5),
        options={"mode": "markdown", "content": _LICENCES},
    )
    board.row("$signal", repeat="signal")
    rows = f'FROM "counts" WHERE {here} AND "signal" =~ /^${{signal:regex}}$/ AND $timeFilter'
    board.chart(
        "$signal in the unit of its source",
        [Query(f'SELECT mean("value") {rows} GROUP BY time($__interval) fill(null)', "$signal")],
        f'SELECT last("value") {rows}',
        unit="short",
        wide=12,
    )
    _level(
        board,
        "$signal in percent of its ordinary level",
        f'{here} AND "signal" =~ /^${{signal:regex}}$/',
        wide=12,
    )
    return board


_OPEN = Query(
    'SELECT "id","state","evidence","level","trough","scope_type","scope_id","end_ms","url" '
    'FROM "incident" WHERE "open" = true AND "current" = true AND "evidence" >= $min_level '
    "AND $timeFilter",
    table=True,
)
_LICENCES = (
    "Signals count different things, so each has its own axis and unit; only the charts on the "
    "right can be compared with each other.\n\n"
    "Our own counts are CC BY 4.0. External data keep the terms of their source: name the source, "
    "and check the terms of IODA, Cloudflare Radar, RIPEstat, Tor Metrics and OONI before you "
    "republish them."
)


def _level(board: Board, title: str, conditions: str, *, wide: int) -> None:
    """Add a chart of the level with its 95 % interval."""
    board.chart(
        title,
        [level_query(name, conditions) for name in _BAND],
        f'SELECT last("pct") FROM "connectivity" WHERE {conditions} AND $timeFilter',
        wide=wide,
    )


def _levels(board: Board, title: str, conditions: str) -> None:
    """Add a chart with a line a signal: signals are never averaged with each other."""
    chosen = f'{conditions} AND "signal" =~ /^${{signal:regex}}$/'
    board.chart(
        title,
        [level_query("pct", chosen, tags='"signal"', alias="$tag_signal")],
        f'SELECT last("pct") FROM "connectivity" WHERE {chosen} AND $timeFilter',
    )


def _vantages(board: Board) -> None:
    """Add the number of vantages that report from the country's networks."""
    rows = 'FROM "fleet" WHERE "asn" =~ /^${asn:regex}$/ AND $timeFilter'
    each = f'SELECT last("online") AS "online" {rows} GROUP BY time($__interval), "asn", "version"'
    board.chart(
        "Reporting vantages",
        [
            Query(
                f'SELECT sum("online") FROM ({each}) WHERE $timeFilter '
                'GROUP BY time($__interval), "asn" fill(null)',
                alias="AS$tag_asn",
            )
        ],
        f'SELECT last("online") {rows}',
        unit="short",
        wide=12,
    )


def _incidents(conditions: str) -> Json:
    """Return annotations of incidents from start to end."""
    return {
        "name": "Incidents",
        "enable": True,
        "iconColor": "red",
        "datasource": {"type": "influxdb", "uid": "${ds}"},
        "target": {
            "refId": "Incidents",
            "queryType": "tags",
            "fromAnnotations": True,
            "query": 'SELECT "title","text","state","end_ms" FROM "incident" '
            f'WHERE {conditions} AND "current" = true AND $timeFilter',
            "titleColumn": "title",
            "textColumn": "text",
            "tagsColumn": "state",
            "timeEndColumn": "end_ms",
        },
    }


def _map(board: Board, newest: Query) -> None:
    """Add a map with a mark at each country."""
    board.add(
        "geomap",
        "Newest level of each country, percent of ordinary",
        (12, 9),
        datasource={"type": "influxdb", "uid": "${ds}"},
        targets=[newest.target(0)],
        fieldConfig={"defaults": _STEPS, "overrides": []},
        options={
            "view": {"id": "zero", "lat": 25, "lon": 30, "zoom": 1},
            "basemap": {"type": "default", "name": "Basemap"},
            "layers": [
                {
                    "type": "markers",
                    "name": "Countries",
                    "tooltip": True,
                    "location": {
                        "mode": "lookup",
                        "lookup": "scope_id",
                        "gazetteer": "public/gazetteer/countries.json",
                    },
                    "config": {
                        "style": {
                            "size": {"fixed": 8},
                            "color": {"field": "pct", "fixed": "dark-gray"},
                            "opacity": 0.8,
                        }
                    },
                }
            ],
        },
    )


def _timeline(board: Board, title: str, statement: str, *, kind: str = "state-timeline") -> None:
    """Add a line of coloured states for each value of `scope_id`."""
    board.add(
        kind,
        title,
        (20, 8),
        datasource={"type": "influxdb", "uid": "${ds}"},
        targets=[Query(statement, alias="$tag_scope_id").target(0)],
        fieldConfig={"defaults": _STEPS | {"custom": {"fillOpacity": 70}}, "overrides": []},
        options={"showValue": "auto", "legend": {"showLegend": False, "displayMode": "list"}},
    )


# Thresholds of the depth words; a loss differs in shade as well as in colour.
_STEPS: Json = {
    "unit": "percent",
    "min": 0,
    "max": 100,
    "color": {"mode": "thresholds"},
    "thresholds": {
        "mode": "absolute",
        "steps": [
            {"color": "dark-red", "value": None},
            {"color": "orange", "value": 20},
            {"color": "yellow", "value": 65},
            {"color": "super-light-green", "value": 90},
        ],
    },
}
