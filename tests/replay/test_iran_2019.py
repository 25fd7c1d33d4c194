"""Iran, November 2019: the shipped provinces, and the full file of counties."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from past_events import ReplayResult, data_folder, longform, replay

from netwatch.lab.sample_data.catalog import open_series
from netwatch.model.entities import EntityKind
from netwatch.model.incident import IncidentState

SENTENCE = (
    "Iran: internet connectivity is at 7% of ordinary levels "
    "after 12 hours of progressive disconnections."
)


def november(day: int, hour: int) -> datetime:
    return datetime(2019, 11, day, hour, 30, tzinfo=UTC)


EVENING, MORNING, NOON = november(16, 19), november(17, 5), november(17, 12)
ONSETS = {november(16, 16), november(16, 17)}


@pytest.fixture(scope="module")
def provinces() -> ReplayResult:
    return replay(open_series("iran-2019-11"), at={EVENING, MORNING, NOON})


def county_file() -> Path:
    return data_folder("iran-2019-11") / "irn-2019-11-11_gif.csv"


def counties_in(*, provinces: bool) -> ReplayResult:
    """Replay the 73 counties, below their provinces or right below the country."""
    rows = pd.read_csv(county_file())
    # `time_e` says local time as if it were UTC; Iran was at UTC+3:30.
    time = pd.to_datetime(rows["time_e"], unit="s", utc=True) - timedelta(hours=3, minutes=30)
    province = "region:IR-" + rows["id_1"].astype(str)
    frame = pd.DataFrame(
        {
            "time": time.dt.strftime("%Y-%m-%dT%H:%MZ"),
            "signal": "probing",
            "entity": "region:IR-" + rows["id_1"].astype(str) + "." + rows["id_2"].astype(str),
            "value": rows["connectivity"],
            "parent": province if provinces else "country:IR",
            "weight": 1,
            "name": rows["name_2"],
        }
    )
    wider = [{"entity": "country:IR", "name": "Iran", "parent": "", "weight": 1}]
    if provinces:
        named = rows.drop_duplicates("id_1")
        wider += [
            {"entity": f"region:IR-{code}", "name": name, "parent": "country:IR", "weight": 1}
            for code, name in zip(named["id_1"], named["name_1"], strict=True)
        ]
    places = pd.DataFrame(wider)
    places["time"], places["signal"], places["value"] = "1970-01-01T00:00Z", "places", ""
    return replay(longform(pd.concat([frame, places])), at={EVENING, MORNING, NOON})


@pytest.fixture(scope="module", params=[True, False], ids=["in provinces", "in the country"])
def counties(request: pytest.FixtureRequest) -> ReplayResult:
    return counties_in(provinces=request.param)


def test_it_is_one_public_incident_of_the_country(provinces: ReplayResult) -> None:
    [incident] = provinces.public()
    assert str(incident.entity) == "country:IR"
    assert incident.id.startswith("NW-IR-2019-")
    assert incident.started_at in ONSETS
    assert incident.started_low <= incident.started_at <= incident.started_high


def test_nothing_is_public_before_it_began(provinces: ReplayResult) -> None:
    early = [one for one in provinces.revisions if one.at < november(16, 16)]
    assert [one for one in early if one.evidence_level >= 2] == []
    assert all(one.entity.kind is not EntityKind.COUNTRY for one in early)


def test_the_statement_of_the_fall(provinces: ReplayResult) -> None:
    assert provinces.sentences[MORNING] == [SENTENCE]


@pytest.mark.parametrize("time", [EVENING, NOON], ids=["16 Nov 19:30", "17 Nov 12:30"])
def test_no_statement_of_progress_without_progress(provinces: ReplayResult, time: datetime) -> None:
    [sentence] = provinces.sentences[time]
    assert sentence.startswith("Iran: ")
    assert "since about" in sentence
    assert "progressive" not in sentence


def test_fallen_provinces_are_listed_in_order(provinces: ReplayResult) -> None:
    [incident] = provinces.public()
    assert len(incident.affected) >= 28
    assert {child.entity.kind for child in incident.affected} == {EntityKind.REGION}
    onsets = [child.started_at for child in incident.affected]
    assert onsets == sorted(onsets)
    assert incident.networks_measured == 30
    assert incident.networks_lost >= 28


def test_the_incident_is_open_at_the_end_of_the_data(provinces: ReplayResult) -> None:
    [incident] = provinces.public()
    assert incident.state is IncidentState.CONFIRMED
    assert incident.ended_at is None
    last = max(level.time for levels in provinces.levels.values() for level in levels)
    assert last - incident.at <= timedelta(days=1)


def test_the_ordinary_level_is_frozen_at_the_onset(provinces: ReplayResult) -> None:
    [incident] = provinces.public()
    frozen = incident.baseline.frozen_since
    assert frozen is not None
    assert abs(frozen - incident.started_at) <= timedelta(hours=3)


def test_no_revision_is_missing_or_published_twice(provinces: ReplayResult) -> None:
    for incident in provinces.newest():
        numbers = [one.revision for one in provinces.revisions if one.id == incident.id]
        assert numbers == list(range(1, incident.revision + 1))
    keys = [post.key for post in provinces.posts]
    assert len(keys) == len(set(keys))


def test_the_public_percentage_has_an_interval(provinces: ReplayResult) -> None:
    level = provinces.level("probing", "country:IR", MORNING)
    assert level.value is not None
    assert level.value == pytest.approx(0.07, abs=0.005)
    assert level.low is not None
    assert level.high is not None
    assert 0.03 <= level.low < level.value < level.high <= 0.12


def test_counties_give_the_same_statement(counties: ReplayResult) -> None:
    assert counties.sentences[MORNING] == [SENTENCE]
    for time in (EVENING, NOON):
        [sentence] = counties.sentences[time]
        assert "progressive" not in sentence


def test_counties_give_one_incident(counties: ReplayResult) -> None:
    [incident] = counties.public()
    assert str(incident.entity) == "country:IR"
    assert incident.started_at in ONSETS
    assert incident.networks_measured == 73
    assert incident.ended_at is None
    early = [one for one in counties.revisions if one.at < november(16, 16)]
    assert [one for one in early if one.evidence_level >= 2] == []
