"""Points of netwatch's health: the schema's types, and no network with few vantages."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from netwatch.store.influx.health_points import HealthPoint, merge_small_networks, render_health
from netwatch.store.influx.schema import SCHEMA

T0 = datetime(2019, 11, 16, 16, 30, tzinfo=UTC)
FLEET_FIELDS = {
    "online": 3,
    "enrolled": 4,
    "networks": 1,
    "silent_seconds": 12.0,
    "queue": 7,
    "clock_offset_ms": -3.5,
    "rejected": 1,
}


def fleet(asn: str = "44244", version: str = "0.1.0", **fields: float) -> HealthPoint:
    return HealthPoint("fleet", T0, FLEET_FIELDS | fields, {"asn": asn, "version": version})


@pytest.mark.parametrize(
    ("point", "line"),
    [
        (
            HealthPoint(
                "pipeline", T0, {"messages": 3, "delay_seconds": 2}, {"stage": "collector"}
            ),
            "pipeline,stage=collector messages=3i,delay_seconds=2.0 1573921800000000000",
        ),
        (
            fleet(),
            (
                "fleet,asn=44244,version=0.1.0 online=3i,enrolled=4i,networks=1i,"
                "silent_seconds=12.0,queue=7i,clock_offset_ms=-3.5,rejected=1i 1573921800000000000"
            ),
        ),
        (
            HealthPoint(
                "outbox",
                T0,
                {"posts": 2, "oldest_seconds": 30},
                {"channel": "web hook", "state": "sent"},
            ),
            r"outbox,channel=web\ hook,state=sent posts=2i,oldest_seconds=30.0 1573921800000000000",
        ),
        (
            HealthPoint("channel", T0, {"headroom": 1}, {"channel": "console"}),
            "channel,channel=console headroom=1.0 1573921800000000000",
        ),
        (
            HealthPoint("review", T0, {"waiting": 0, "oldest_seconds": 0, "corrections": None}, {}),
            "review waiting=0i,oldest_seconds=0.0 1573921800000000000",
        ),
    ],
)
def test_a_point_becomes_one_line_with_the_schema_s_types(point: HealthPoint, line: str) -> None:
    assert render_health(point) == line


def test_a_field_that_the_schema_lacks_is_a_mistake() -> None:
    with pytest.raises(AssertionError, match="review has no speed"):
        render_health(HealthPoint("review", T0, {"speed": 1.0}, {}))


def test_small_networks_are_merged_by_version() -> None:
    big = fleet(enrolled=3)
    split = [fleet("1", enrolled=2), fleet("1", "9", enrolled=1)]
    small = [
        fleet("7", enrolled=2, online=2, queue=1, clock_offset_ms=-90.0),
        fleet("8", enrolled=1, online=0, queue=2, silent_seconds=99.0),
    ]
    *others, merged = merge_small_networks([big, *split, *small])
    assert others == [big, *split]
    assert merged == fleet(
        "withheld",
        online=2,
        enrolled=3,
        silent_seconds=99.0,
        queue=3,
        clock_offset_ms=-90.0,
        rejected=2,
        networks=2,
    )


def test_networks_are_counted_at_each_time_separately() -> None:
    later = replace(fleet(enrolled=2), time=T0.replace(hour=17))
    merged = merge_small_networks([fleet(), later])
    assert [point.tags["asn"] for point in merged] == ["44244", "withheld"]


def test_other_points_are_unchanged() -> None:
    points = [HealthPoint("channel", T0, {"headroom": 0.5}, {"channel": "console"})]
    assert merge_small_networks(points) == points


def test_no_tag_can_name_a_vantage_an_address_or_an_incident() -> None:
    allowed = {
        *("scope_id", "scope_type", "signal", "country", "region", "asn", "version"),
        *("stage", "channel", "state", "measurement"),
    }
    assert {tag for part in SCHEMA.values() for tag in part.tags} == allowed
