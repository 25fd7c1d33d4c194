"""The dashboards about ourselves: the fleet of vantages, the pipeline, publishing."""

from pieces import Board, Query

__all__ = ["fleet", "pipeline", "publishing"]

_PER = "GROUP BY time($__interval)"


def fleet() -> Board:
    """Return dashboard 5: how the vantages are, network by network and never one by one."""
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
        ("Longest silence of one that is online", 'max("silent_seconds")', "s"),
        ("Batches that wait in spools", 'sum("queue")', "short"),
        ("Furthest clock", 'max("clock_offset_ms")', "ms"),
        ("Messages refused", 'sum("rejected")', "short"),
    ):
        query = Query(
            f'SELECT {expression} FROM "fleet" WHERE $timeFilter {_PER}, "asn" fill(null)',
            alias="AS$tag_asn",
        )
        board.chart(title, [query], age, unit=unit, wide=12)
    withheld = 'FROM "fleet" WHERE "asn" = \'withheld\' AND $timeFilter GROUP BY "version"'
    board.stat(
        "Networks below 3 vantages, told together as withheld",
        [Query(f'SELECT last("networks") {withheld}', alias="networks, $tag_version")],
        unit="short",
        width=12,
    )
    board.stat(
        "Vantages in them",
        [Query(f'SELECT last("online") {withheld}', alias="online, $tag_version")],
        unit="short",
        width=12,
    )
    return board


def pipeline() -> Board:
    """Return dashboard 6: from the broker to the verdict."""
    board = Board("netwatch-pipeline", "Pipeline", "From the broker to the verdict", span="now-24h")
    for title, name, how, unit in (
        ("Batches taken in and bins judged", "messages", "sum", "short"),
        ("Delay from measurement to store", "delay_seconds", "max", "s"),
        ("Batches kept but not yet stored", "backlog", "max", "short"),
        ("Writes that the store could not take", "write_errors", "sum", "short"),
        ("Points that the store refused for good", "refused", "sum", "short"),
        ("Time to judge the newest interval", "detector_seconds", "max", "s"),
        ("Incidents held until they are sure", "pending", "last", "short"),
        ("Incidents kept from being published", "suppressed", "last", "short"),
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
    """Return dashboard 7: what waits, what went out, and how fast and right it was."""
    board = Board("netwatch-publishing", "Publishing", "What waits and what went out", "now-7d")
    for title, name, unit in (
        ("Claims that wait for a person", "waiting", "short"),
        ("How long the oldest has waited", "oldest_seconds", "s"),
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
        "What is left of each channel's rate limit",
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
        "Posts that a person has to look at",
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
