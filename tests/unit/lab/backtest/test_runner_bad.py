"""Bad input: one clear line or a clear `not enough data`, and never an incident."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from netwatch.cli.main import app
from netwatch.lab.backtest.runner import run_backtest
from netwatch.model.errors import InputError

HOURS = pd.date_range(datetime(2024, 1, 1, tzinfo=UTC), periods=24 * 5, freq="h")


def table(values: object, *, entity: str = "asn:64500", signal: str = "probing") -> pd.DataFrame:
    return pd.DataFrame({"time": HOURS, "signal": signal, "entity": entity, "value": values})


def ordinary(seed: int = 1, size: float = 300) -> "np.typing.NDArray[np.float64]":
    return np.random.default_rng(seed).poisson(size, len(HOURS)).astype(float)


QUIET = {
    "gaps": table(ordinary()).drop(index=[*range(30, 50), 90, 91]),
    "missing values": table(np.where(np.arange(len(HOURS)) % 7 == 0, np.nan, ordinary())),
    "no data at the end": table(np.where(np.arange(len(HOURS)) > 100, np.nan, ordinary())),
    "all zero": table(0.0),
    "all the same": table(7.0),
    "huge": table(ordinary() * 1e27),
    "tiny": table(ordinary() * 1e-310),
    "shares": table(ordinary() / 400),
    "mostly missing": table(np.where(np.arange(len(HOURS)) % 40 == 0, 5.0, np.nan)),
    "another signal": table(ordinary(), signal="whatever"),
    "a site": table(ordinary(), entity="domain:example.org", signal="reachability"),
}


@pytest.mark.parametrize("name", QUIET)
def test_odd_values_open_no_incident(name: str) -> None:
    levels, incidents = run_backtest(QUIET[name])
    assert incidents == []
    assert not np.isinf(levels[["level", "low", "high", "probability"]]).to_numpy().any()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 40), st.floats(0, 0.4))
def test_shuffled_duplicate_and_missing_rows_open_no_incident(
    seed: int, again: int, gone: float
) -> None:
    whole = table(ordinary())
    sample = whole.sample(frac=1 - gone, random_state=seed)
    rows = pd.concat([sample, sample.head(again)]).sample(frac=1, random_state=seed + 1)
    _, incidents = run_backtest(rows)
    assert incidents == []


def test_times_with_and_without_zone_give_the_same_levels() -> None:
    rows = table(ordinary())
    texts = [
        (time.strftime("%Y-%m-%dT%H:%M"), time.tz_convert("Asia/Tehran").isoformat())[number % 2]
        for number, time in enumerate(rows["time"])
    ]
    levels, incidents = run_backtest(rows.assign(time=texts))
    plain, _ = run_backtest(rows)
    assert incidents == []
    pd.testing.assert_frame_equal(levels, plain)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": [-1.0, *ordinary()[1:]]}, "is not a value: want a finite number"),
        ({"value": [np.inf, *ordinary()[1:]]}, "is not a value: want a finite number"),
        ({"value": 1e300}, "is not a value: more than 1e"),
        ({"entity": "Iran"}, "want kind:code"),
        ({"entity": None}, "want kind:code"),
        ({"signal": ""}, "is not the name of a signal"),
        ({"parent": "IR"}, "want kind:code"),
        ({"parent": "asn:64500"}, "is its own ancestor"),
        ({"time": "now"}, "is not a time"),
        ({"time": HOURS[0]}, "a second value"),
        ({"total": 1.0}, "is more than its total"),
        ({"weight": "heavy"}, "is not a weight"),
    ],
)
def test_invalid_data_gives_a_one_line_error(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        run_backtest(table(ordinary()).assign(**change))
    assert len(str(raised.value).splitlines()) == 1


def test_the_command_lists_entities_with_too_little_data(tmp_path: Path) -> None:
    path, out = tmp_path / "figures.csv", tmp_path / "out"
    few = table(ordinary(), entity="asn:64501").iloc[[0, 50, 100]]
    pd.concat([table(ordinary()), few]).to_csv(path, index=False)
    arguments = ["backtest", str(path), "--out", str(out)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    assert "asn:64501: not enough data: 3 values" in result.stdout
    body = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert list(body["not_enough_data"]) == ["asn:64501"]
    assert body["incidents"] == []
    assert json.loads((out / "incidents.json").read_text()) == []


def test_three_points_alone_are_not_enough_data(tmp_path: Path) -> None:
    path = tmp_path / "figures.csv"
    table(ordinary()).head(3).to_csv(path, index=False)
    result = CliRunner().invoke(app, ["backtest", str(path), "--out", str(tmp_path / "out")])
    assert result.exit_code == 0
    assert "asn:64500: not enough data: 3 values" in result.stdout
    assert "0 incidents, 0 levels" in result.stdout
