from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from netwatch.cli.time_parsing import parse_instant
from netwatch.model.errors import InputError

NOW = datetime(2019, 11, 17, 22, 15, 30, tzinfo=UTC)
TEHRAN = ZoneInfo("Asia/Tehran")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2019-11-15", "2019-11-14T20:30:00+00:00"),
        ("2019-11-15T20:00", "2019-11-15T16:30:00+00:00"),
        ("2019-11-15 20:00", "2019-11-15T16:30:00+00:00"),
        ("2019-11-15T20:00Z", "2019-11-15T20:00:00+00:00"),
        ("2019-11-15T20:00:00+01:00", "2019-11-15T19:00:00+00:00"),
        ("-36h", "2019-11-16T10:15:30+00:00"),
        ("-2d", "2019-11-15T22:15:30+00:00"),
        ("now", "2019-11-17T22:15:30+00:00"),
        ("today", "2019-11-17T20:30:00+00:00"),
        ("Yesterday", "2019-11-16T20:30:00+00:00"),
        ("@1573857000", "2019-11-15T22:30:00+00:00"),
    ],
)
def test_names_an_instant_in_the_zone_asked_for(text: str, expected: str) -> None:
    assert parse_instant(text, now=NOW, zone=TEHRAN).isoformat() == expected


@pytest.mark.parametrize(
    "text",
    ["", "soon", "36h", "-36", "2019-13-01", "2019-11", "@", "@nan", "@1e99", "-9999999999w", "1"],
)
def test_text_that_is_not_a_time_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not a time; write"):
        parse_instant(text, now=NOW)
