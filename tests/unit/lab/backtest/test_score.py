"""Scores of a backtest against true events, on examples computed by hand."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from netwatch.lab.backtest.report import write_score
from netwatch.lab.backtest.runner import Backtest, backtest_series
from netwatch.lab.backtest.score import Score, score_backtest
from netwatch.lab.backtest.truth import TrueEvent, Truth
from netwatch.model.entities import Entity, EntityTree
from netwatch.sources.long_table import make_series_table

START = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = 8
PLACES = ("asn:64500", "asn:64501", "asn:64510")


def hour(day: int, number: int) -> datetime:
    return START + timedelta(days=day, hours=number)


@pytest.fixture(scope="module")
def backtest() -> tuple[Backtest, EntityTree]:
    """Two networks of one country and a lone one; the first is out twice, the last once."""
    random = np.random.default_rng(3)
    times = pd.date_range(START, periods=24 * DAYS, freq="h")
    tables = []
    for entity, parent, losses in (
        (PLACES[0], "country:XA", [(3, 4, 12), (5, 2, 8)]),
        (PLACES[1], "country:XA", []),
        (PLACES[2], "", [(6, 0, 10)]),
    ):
        values = random.poisson(1000, len(times)).astype(float)
        for day, first, last in losses:
            values[24 * day + first : 24 * day + last] *= 0.1
        table = pd.DataFrame({"time": times, "signal": "probing", "value": values})
        tables.append(table.assign(entity=entity, parent=parent))
    table = make_series_table(pd.concat(tables), Path("table"))
    return backtest_series(table), EntityTree(table.places)


def event(entity: str, start: datetime, end: datetime | None, level: float = 0.1) -> TrueEvent:
    return TrueEvent(Entity.parse(entity), start, end, level)


def judge(backtest: tuple[Backtest, EntityTree], *events: TrueEvent) -> Score:
    return score_backtest(backtest[0], Truth(events, ()), backtest[1])["confirmed"]


ALL = (
    event(PLACES[0], hour(3, 4), hour(3, 12)),
    event(PLACES[0], hour(5, 2), hour(5, 8)),
    event(PLACES[2], hour(6, 0), hour(6, 10)),
)


def test_a_detected_event_is_scored(backtest: tuple[Backtest, EntityTree]) -> None:
    metrics = judge(backtest, *ALL).metrics
    assert (metrics["precision"], metrics["recall"], metrics["f1"]) == (1, 1, 1)
    assert metrics["onset_error_minutes_p90"] == 0
    assert metrics["end_error_minutes_p90"] == 0
    assert 60 <= (metrics["delay_minutes_p50"] or 0) <= 120
    assert (metrics["level_error"] or 1) < 0.03
    assert (metrics["interval_coverage"] or 0) > 0.8
    assert metrics["entity_weeks"] == pytest.approx(4 * (DAYS - 2) / 7, rel=0.05)


def test_a_call_without_an_event_is_a_false_alarm(backtest: tuple[Backtest, EntityTree]) -> None:
    score = judge(backtest, *ALL[:2])
    assert score.metrics["precision"] == pytest.approx(2 / 3)
    [call] = [call for call in score.calls if call.verdict == "false"]
    assert (call.entity, call.started_at) == (PLACES[2], hour(6, 0))
    weeks = score.metrics["entity_weeks"] or 0
    assert score.metrics["false_per_entity_week"] == pytest.approx(1 / weeks)


def test_an_event_without_a_call_is_missed(backtest: tuple[Backtest, EntityTree]) -> None:
    score = judge(backtest, *ALL, event(PLACES[1], hour(4, 0), hour(4, 5)))
    assert score.metrics["recall"] == pytest.approx(3 / 4)
    assert [one.entity for one in score.events if one.verdict == "missed"] == [PLACES[1]]


def test_a_call_long_before_the_event_is_not_a_detection(
    backtest: tuple[Backtest, EntityTree],
) -> None:
    score = judge(backtest, event(PLACES[2], hour(6, 2), hour(6, 10)))
    assert score.metrics["found"] == 0
    assert score.metrics["missed"] == 1


def test_a_network_within_a_national_event_is_excused(
    backtest: tuple[Backtest, EntityTree],
) -> None:
    score = judge(backtest, event("country:XA", hour(3, 4), hour(3, 12), 0.5), *ALL[1:])
    assert score.metrics["false"] == 0
    assert {call.entity for call in score.calls if call.verdict == "excused"} <= {PLACES[0]}


def test_events_before_the_first_level_are_not_judged(
    backtest: tuple[Backtest, EntityTree],
) -> None:
    score = judge(
        backtest, *ALL, event(PLACES[0], hour(0, 4), hour(0, 6)), event("asn:1", hour(4, 0), None)
    )
    assert score.metrics["not_judged"] == 2
    assert score.metrics["recall"] == 1


def test_the_report_is_json_a_page_and_a_picture(
    backtest: tuple[Backtest, EntityTree], tmp_path: Path
) -> None:
    truth = Truth((*ALL, event(PLACES[1], hour(4, 0), None)), ("truth.csv, line 9: <b>no</b>",))
    scores = score_backtest(backtest[0], truth, backtest[1])
    write_score(scores, backtest[0], truth, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"score.json", "score.png", "score.html"}
    body = json.loads((tmp_path / "score.json").read_text())
    assert body["confirmed"]["recall"] == 0.75
    assert [one["verdict"] for one in body["events"]].count("found") == 3
    assert (tmp_path / "score.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "score.html").read_text()
    assert 'alt="Levels of ' in page
    assert "&lt;b&gt;no&lt;/b&gt;" in page


def test_without_detections_scores_are_null_rather_than_zero(
    backtest: tuple[Backtest, EntityTree],
) -> None:
    quiet = replace(backtest[0], incidents=[])
    truth = Truth((event(PLACES[1], hour(4, 0), hour(4, 5)),), ())
    metrics = score_backtest(quiet, truth, backtest[1])["confirmed"].metrics
    assert metrics["precision"] is None
    assert metrics["recall"] == 0
    assert metrics["delay_minutes_p50"] is None
