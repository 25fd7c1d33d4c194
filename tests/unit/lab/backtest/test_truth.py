"""True events: our columns, those of published lists, and one line for each error."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from netwatch.lab.backtest.truth import TrueEvent, read_truth
from netwatch.model.entities import Entity
from netwatch.model.errors import InputError

HEAD = "entity,started_at,ended_at,level\n"


def at(hour: int) -> datetime:
    return datetime(2021, 3, 17, hour, tzinfo=UTC)


def write(folder: Path, text: str, name: str = "truth.csv") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def test_our_own_columns(tmp_path: Path) -> None:
    text = HEAD + "asn:1,2021-03-17T04:00Z,2021-03-17T06:00+01:00,0.2\n"
    text += "country:IR,2021-03-17 02:00,,\n"
    assert read_truth(write(tmp_path, text)).events == (
        TrueEvent(Entity.parse("country:IR"), at(2), None),
        TrueEvent(Entity.parse("asn:1"), at(4), at(5), 0.2),
    )


def test_the_columns_of_a_curated_list(tmp_path: Path) -> None:
    rows = [
        '"Wednesday, March 17, 2021, 4:00:00 PM","Wednesday, March 17, 2021, 5:00:00 PM"',
        '"Wednesday, March 17, 2021, 2:00:00 AM","Wednesday, March 17, 2021, 3:00:00 AM"',
        '"Wednesday, March 17, 2021, 1:00:00 AM","Wednesday, March 17, 2021, 2:00:00 AM"',
    ]
    text = "Begin time,End time,Country,Scope (based on granularity)\n"
    text += f"{rows[0]},Myanmar/Burma,Country\n{rows[1]},Japan,AS (2514)\n"
    text += f"{rows[2]},Bangladesh,Region (Rangpur)\n"
    text += "7/28/2020  17:00:00 PM,,Iraq,Country\n"
    truth = read_truth(write(tmp_path, text))
    assert truth.events == (
        TrueEvent(Entity.parse("asn:2514"), at(2), at(3)),
        TrueEvent(Entity.parse("country:MM"), at(16), at(17)),
    )
    region, slip = truth.skipped
    assert "line 4: names no country or network" in region
    assert "line 5: '7/28/2020  17:00:00 PM' is not a time" in slip


def test_the_annotations_of_radar(tmp_path: Path) -> None:
    rows = [
        {"startDate": "2021-03-17T02:00:00Z", "endDate": None, "locations": ["IQ"], "asns": []},
        {"startDate": "2021-03-17T03:00:00Z", "endDate": "2021-03-17T04:00:00Z",
         "locations": ["SY"], "asns": [29256, 29386]},
    ]  # fmt: skip
    body = json.dumps({"result": {"annotations": rows}})
    assert read_truth(write(tmp_path, body, "truth.json")).events == (
        TrueEvent(Entity.parse("country:IQ"), at(2), None),
        TrueEvent(Entity.parse("asn:29256"), at(3), at(4)),
        TrueEvent(Entity.parse("asn:29386"), at(3), at(4)),
    )


REFUSED = {
    "no time": (HEAD + "asn:1,yesterday,,\n", "line 2: 'yesterday' is not a time"),
    "no start": (HEAD + "asn:1,,,\n", "line 2: no start"),
    "ends before it begins": (
        HEAD + "asn:1,2021-03-17T04:00Z,2021-03-17T03:00Z,\n",
        "line 2: ends at 2021-03-17T03:00Z, before it begins",
    ),
    "no level": (HEAD + "asn:1,2021-03-17T04:00Z,,-3\n", "line 2: '-3' is not a level"),
    "no entity": (HEAD + "Iran,2021-03-17T04:00Z,,\n", "line 2: entity 'Iran'"),
    "nothing known": ("country,start\nAtlantis,2021-03-17\n", "no event; .*line 2: names no"),
    "no row": (HEAD, "no event; it has no row"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_invalid_files_give_a_one_line_error(tmp_path: Path, name: str) -> None:
    text, message = REFUSED[name]
    with pytest.raises(InputError, match=message) as raised:
        read_truth(write(tmp_path, text))
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("text", ["{", "3", '{"result": {}}', "[1]"])
def test_other_json_gives_a_one_line_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError) as raised:
        read_truth(write(tmp_path, text, "truth.json"))
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    "row",
    [
        {"start": "2019-11-16", "asns": "[1H]"},
        {"start": "2019-11-16", "asns": "[" * 100_000},
        {"start": "2019-11-16", "asns": "1" * 5_000},
        {"start": "0001-01-01T00:00+01:00", "country": "IR"},
    ],
    ids=["not JSON", "deep", "long number", "before all time"],
)
def test_a_damaged_row_of_a_published_list_is_skipped(
    tmp_path: Path, row: dict[str, object]
) -> None:
    path = tmp_path / "truth.json"
    path.write_text(json.dumps([row, {"start": "2019-11-16", "country": "IR"}]), "utf-8")
    truth = read_truth(path)
    assert [str(one.entity) for one in truth.events] == ["country:IR"]
    assert len(truth.skipped) == 1
    assert truth.skipped[0].startswith(f"{path}, event 1: ")
