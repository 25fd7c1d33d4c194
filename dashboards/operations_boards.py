"""Dashboards for operators: the fleet of vantages, the pipeline, publishing."""

from grafana_model import Board, Query

_PER = "GROUP BY time($__interval)"


def fleet() -> Board:
    """Return the dashboard of vantages, by network and version, never one by one."""
    board = Board("netwatch-fleet", "Probe fleet", "Vantages by network and version", "now-24h")
    last = (
        f'SELECT last("online") AS "online" FROM "fleet" WHERE $timeFilter {_PER}, "asn", "version"'
    )
    age = 'SELECT last("online") FROM "fleet" WHERE $timeFilter'
    for title, tag, alias in (
        ("Online by network", "asn", "AS$tag_asn"),
        ("Online by version", "version", "$tag_version"),
    ):
        query = Query(
            f'SELECT sum("online") FROM ({last}) WHERE $timeFilter {_PER}, "{tag}" fill(null)',
            alias=alias,
        )
        board.chart(title, [query], age, unit="short", wide=12)
    for title, expression, unit in (
        ("Longest silence of an online vantage", 'max("silent_seconds")', "s"),
        ("Batches in spools", 'sum("queue")', "short"),
        ("Largest clock offset", 'max("clock_offset_ms")', "ms"),
        ("Rejected messages", 'sum("rejected")', "short"),
    ):
        query = Query(
            f'SELECT {expression} FROM "fleet" WHERE $timeFilter {_PER}, "asn" fill(null)',
            alias="AS$tag_asn",
        )
        board.chart(title, [query], age, unit=unit, wide=12)
    withheld = 'FROM "fleet" WHERE "asn" = \'withheld\' AND $timeFilter GROUP BY "version"'
    board.stat(
        "Networks with fewer than 3 vantages (withheld)",
        [Query(f'SELECT last("networks") {withheld}', alias="networks, $tag_version")],
        unit="short",
        width=12,
    )
    board.stat(
        "Vantages in withheld networks",
        [Query(f'SELECT last("online") {withheld}', alias="online, $tag_version")],
        unit="short",
        width=12,
    )
    return board


def pipeline() -> Board:
    """Return the dashboard of the pipeline, from the broker to incidents."""
    board = Board("netwatch-pipeline", "Pipeline", "From the broker to incidents", span="now-24h")
    for title, name, how, unit in (
        ("Batches received and bins analysed", "messages", "sum", "short"),
        ("Delay from measurement to store", "delay_seconds", "max", "s"),
        ("Batches received but not yet stored", "backlog", "max", "short"),
        ("Failed writes to the store", "write_errors", "sum", "short"),
        ("Points rejected by the store", "refused", "sum", "short"),
        ("Time to analyse the newest interval", "detector_seconds", "max", "s"),
        ("Provisional incidents", "provisional", "last", "short"),
        ("Suppressed incidents", "suppressed", "last", "short"),
        ("Circuit breaker of automatic posts (1 = open)", "breaker_open", "max", "short"),
    ):
        query = Query(
            f'SELECT {how}("{name}") FROM "pipeline" WHERE $timeFilter {_PER}, "stage" fill(null)',
            alias="$tag_stage",
        )
        age = f'SELECT last("{name}") FROM "pipeline" WHERE $timeFilter'
        board.chart(title, [query], age, unit=unit, wide=12)
    return board


def publishing() -> Board:
    """Return the dashboard of publishing: queues, delays and corrections."""
    board = Board("netwatch-publishing", "Publishing", "Queues, delays and corrections", "now-7d")
    for title, name, unit in (
        ("Incidents waiting for review", "waiting", "short"),
        ("Longest wait for review", "oldest_seconds", "s"),
        ("From onset to first post", "onset_to_post_seconds", "s"),
    ):
        rows = 'FROM "review" WHERE $timeFilter'
        query = Query(f'SELECT max("{name}") {rows} {_PER} fill(null)', alias=name)
        board.chart(title, [query], f'SELECT last("{name}") {rows}', unit=unit, wide=12)
    outbox = 'FROM "outbox" WHERE $timeFilter'
    newest = f'SELECT last("posts") AS "posts" {outbox} {_PER}, "channel", "state"'
    by_state = f'SELECT sum("posts") FROM ({newest}) WHERE $timeFilter {_PER}, "state" fill(null)'
    board.chart(
        "Outbox by state",
        [Query(by_state, alias="$tag_state")],
        f'SELECT last("posts") {outbox}',
        unit="short",
        wide=12,
    )
    room = 'FROM "channel" WHERE $timeFilter'
    board.chart(
        "Remaining rate limit by channel",
        [
            Query(
                f'SELECT 100 * min("headroom") {room} {_PER}, "channel" fill(null)',
                alias="$tag_channel",
            )
        ],
        f'SELECT last("headroom") {room}',
        wide=12,
    )
    board.chart(
        "Corrections in 30 days",
        [
            Query(
                'SELECT sum("corrections") FROM "review" WHERE $timeFilter GROUP BY time(30d)',
                alias="corrections",
            )
        ],
        'SELECT last("corrections") FROM "review" WHERE $timeFilter',
        unit="short",
        wide=12,
    )
    undecided = '"state" =~ /^(unknown|needs_review)$/ AND $timeFilter'
    board.stat(
        "Posts that need review",
        [
            Query(
                f'SELECT last("posts") FROM "outbox" WHERE {undecided} GROUP BY "channel", "state"',
                alias="$tag_state, $tag_channel",
            )
        ],
        unit="short",
        width=24,
    )
    return board
