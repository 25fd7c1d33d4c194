"""Our own health as points: of the schema, and never about few enough people to find them."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from netwatch.store.influx.health import (
    ChannelHealth,
    FleetHealth,
    Health,
    OutboxHealth,
    PipelineHealth,
    ReviewHealth,
    fold_small_networks,
    render_health,
)
from netwatch.store.influx.schema import SCHEMA

T0 = datetime(2019, 11, 16, 16, 30, tzinfo=UTC)
FLEET = FleetHealth(
    time=T0,
    asn="44244",
    version="0.1.0",
    online=3,
    enrolled=4,
    silent_seconds=12.0,
    queue=7,
    clock_offset_ms=-3.5,
    rejected=1,
)


@pytest.mark.parametrize(
    ("point", "line"),
    [
        (
            PipelineHealth(T0, "collector", messages=3, delay_seconds=2),
            "pipeline,stage=collector messages=3i,delay_seconds=2.0 1573921800000000000",
        ),
        (
            FLEET,
            (
                "fleet,asn=44244,version=0.1.0 online=3i,enrolled=4i,networks=1i,"
                "silent_seconds=12.0,queue=7i,clock_offset_ms=-3.5,rejected=1i 1573921800000000000"
            ),
        ),
        (
            OutboxHealth(T0, "web hook", "sent", 2, 30),
            r"outbox,channel=web\ hook,state=sent posts=2i,oldest_seconds=30.0 1573921800000000000",
        ),
        (
            ChannelHealth(T0, "console", 1),
            "channel,channel=console headroom=1.0 1573921800000000000",
        ),
        (
            ReviewHealth(T0, waiting=0, oldest_seconds=0),
            "review waiting=0i,oldest_seconds=0.0 1573921800000000000",
        ),
    ],
)
def test_a_point_becomes_one_line_with_the_schema_s_types(point: Health, line: str) -> None:
    assert render_health(point) == line


def test_small_networks_are_folded_over_their_versions() -> None:
    big = replace(FLEET, enrolled=3)
    split = [replace(FLEET, asn="1", enrolled=2), replace(FLEET, asn="1", version="9", enrolled=1)]
    small = [
        replace(FLEET, asn="7", enrolled=2, online=2, queue=1, clock_offset_ms=-90.0),
        replace(FLEET, asn="8", enrolled=1, online=0, queue=2, silent_seconds=99.0),
    ]
    *kept, folded = fold_small_networks([big, *split, *small])
    assert kept == [big, *split]
    assert folded == FleetHealth(
        time=T0,
        asn="withheld",
        version="0.1.0",
        online=2,
        enrolled=3,
        silent_seconds=99.0,
        queue=3,
        clock_offset_ms=-90.0,
        rejected=2,
        networks=2,
    )


def test_networks_are_judged_at_each_time_by_itself() -> None:
    later = replace(FLEET, time=T0.replace(hour=17), enrolled=2)
    assert [point.asn for point in fold_small_networks([FLEET, later])] == ["44244", "withheld"]


def test_other_points_are_left_alone() -> None:
    points = [ChannelHealth(T0, "console", 0.5)]
    assert fold_small_networks(points) == points


def test_no_tag_can_name_a_vantage_an_address_or_an_incident() -> None:
    allowed = {
        *("scope_id", "scope_type", "signal", "country", "region", "asn", "version"),
        *("stage", "channel", "state", "measurement"),
    }
    assert {tag for part in SCHEMA.values() for tag in part.tags} == allowed
