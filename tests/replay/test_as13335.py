"""AS13335, 21 June 2022: a part of one network's routes gone for an hour, seen by three peers.

The raw lines hold 4,306 routes, of which 3,277 (76.1 %) are left from 06:34 to 06:59 UTC; the
first go at 06:28, and all are back at 07:48.

The published figure, 3,486 routes or 81 %, is not a count of visible routes: for 25 minutes
nothing changes at all, so that a minimum, mean or median of any bin up to 20 minutes,
wherever it begins within them, is 3,277. Each peer alone has 76 % (1,091 to 1,093 of 1,434 to
1,436 prefixes), and so have the prefixes that any peer sees; every route of the day is in the
first table. Means over the whole event are 87 to 88 %. On the way back, 3,486 is passed at 07:05.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from past_events import data_folder

from netwatch.lab.backtest.runner import run_backtest
from netwatch.sources.bgp_jsonl import BgpJsonlSource

WIDTH = timedelta(minutes=5)
BEGAN = datetime(2022, 6, 21, 6, 25, tzinfo=UTC)
ENDED = datetime(2022, 6, 21, 7, 50, tzinfo=UTC)


@pytest.fixture(scope="module")
def lines() -> Path:
    [path] = data_folder("as13335-2022-06-21").glob("*.jsonf")
    return path


def test_the_raw_lines_give_the_routes_that_were_visible(lines: Path) -> None:
    frame = BgpJsonlSource().read(lines).frame
    assert set(frame["entity"]) == {"asn:13335"}
    assert frame["value"].iloc[0] == 4306
    assert frame["value"].min() == pytest.approx(3277)
    assert len(frame) == 288


def test_it_is_a_partial_incident_of_the_network_only(lines: Path) -> None:
    levels, [incident] = run_backtest(BgpJsonlSource().read(lines).frame)
    assert incident["entity"] == "asn:13335"
    began, ended = (
        datetime.fromisoformat(str(incident[name])) for name in ("started_at", "ended_at")
    )
    assert abs(began - BEGAN) <= 2 * WIDTH
    assert abs(ended - ENDED) <= 2 * WIDTH
    trough = incident["trough"]
    assert isinstance(trough, dict)
    assert trough["level"] == pytest.approx(3277 / 4306, abs=0.03)
    # Routes alone are never sure.
    assert incident["confirmed_at"] is None
    assert incident["signals"] == ["bgp"]
    assert len(levels) > 200
