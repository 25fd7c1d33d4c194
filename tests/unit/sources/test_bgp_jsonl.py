"""Announcements and withdrawals: which routes are visible when, and the error of a bad line."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from netwatch.lab.sample_data.catalog import open_series
from netwatch.model.errors import InputError
from netwatch.sources.bgp_jsonl import BgpJsonlSource

MIDNIGHT = datetime(2022, 6, 21, tzinfo=UTC)
read_bgp_jsonl = BgpJsonlSource().read


def line(prefix: str, peer: str, *, at: float | None = None, path: object = ("174", "64496"),
         withdrawn: bool = False) -> dict[str, object]:  # fmt: skip
    """Return one line, at so many seconds after midnight or of the first table."""
    fields: dict[str, object] = {"pfx": prefix, "peer_ip": peer, "comm": "", "idx": 0}
    if at is not None:
        fields["ts"] = MIDNIGHT.timestamp() + at
    return fields | ({"W": True, "path": []} if withdrawn else {"path": path})


def write_lines(folder: Path, *lines: dict[str, object]) -> Path:
    """Return a file of these lines."""
    file = folder / "routes.jsonf"
    file.write_text("".join(f"{json.dumps(one)}\n" for one in lines), "utf-8")
    return file


def counts(path: Path, entity: str = "asn:64496") -> list[float]:
    """Return the values of one network, bin after bin."""
    frame = read_bgp_jsonl(path, width=timedelta(hours=1)).frame
    return [float(value) for value in frame.loc[frame["entity"] == entity, "value"]]


def test_a_route_counts_from_its_table_until_it_is_withdrawn(tmp_path: Path) -> None:
    first = line("192.0.2.0/24", "a")
    values = counts(
        write_lines(tmp_path, first, line("192.0.2.0/24", "a", at=3600 * 2.25, withdrawn=True))
    )
    assert len(values) == 24
    assert values[:4] == pytest.approx([1, 1, 0.25, 0])
    assert values[-1] == pytest.approx(0)


def test_each_peer_counts_and_saying_it_again_does_not(tmp_path: Path) -> None:
    lines = [
        line("192.0.2.0/24", "a"),
        line("192.0.2.0/24", "b"),
        line("192.0.2.0/24", "a", at=60, path=["3356", "64496"]),
        line("198.51.100.0/24", "a", at=3600),
        line("203.0.113.0/24", "a", at=7200, withdrawn=True),
    ]
    assert counts(write_lines(tmp_path, *lines))[:3] == pytest.approx([2, 3, 3])


def test_lines_may_be_in_any_order(tmp_path: Path) -> None:
    lines = [
        line("192.0.2.0/24", "a", at=7200, withdrawn=True),
        line("192.0.2.0/24", "a"),
        line("192.0.2.0/24", "a", at=3600 * 4),
    ]
    assert counts(write_lines(tmp_path, *lines))[:5] == pytest.approx([1, 1, 0, 0, 1])


def test_a_route_that_changes_its_origin_moves_to_the_other_network(tmp_path: Path) -> None:
    lines = [line("192.0.2.0/24", "a"), line("192.0.2.0/24", "a", at=3600, path=["64511"])]
    path = write_lines(tmp_path, *lines)
    assert counts(path)[:2] == pytest.approx([1, 0])
    assert counts(path, "asn:64511")[:2] == pytest.approx([0, 1])


def test_the_output_does_not_name_peers(tmp_path: Path) -> None:
    table = read_bgp_jsonl(write_lines(tmp_path, line("192.0.2.0/24", "peer-7", at=0)))
    assert "peer-7" not in table.frame.to_csv()
    assert table.width == timedelta(minutes=5)
    assert table.frame["total"].isna().all()


def test_open_series_reads_route_files(tmp_path: Path) -> None:
    opened = open_series(str(write_lines(tmp_path, line("192.0.2.0/24", "a", at=5))))
    assert set(opened.frame["signal"]) == {"bgp"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "line 1"),
        ('{"pfx": "192.0.2.0/24"}', "line 1"),
        ('{"pfx": "192.0.2.0/24", "peer_ip": "a", "path": [], "ts": 1}', "without an origin"),
        ('{"pfx": "192.0.2.0/24", "peer_ip": "a", "path": ["x"], "ts": 1}', "without an origin"),
        ('{"pfx": "192.0.2.0/24", "peer_ip": "a", "path": ["0"], "ts": 1}', "without an origin"),
        ('{"pfx": "192.0.2.0/24", "peer_ip": "a", "path": [["1", "2"]], "ts": 1}', "an origin"),
        ('{"pfx": "192.0.2.0/24", "peer_ip": "a", "path": ["1"], "ts": 1e18}', "not a Unix time"),
        ('{"pfx": "192.0.2.0/24", "peer_ip": "a", "path": ["1"]}', "no line with a time"),
        ("", "no line with a time"),
    ],
)
def test_a_broken_file_gives_a_one_line_error(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "routes.jsonl"
    file.write_text(text, "utf-8")
    with pytest.raises(InputError, match=words) as caught:
        read_bgp_jsonl(file)
    assert "\n" not in str(caught.value)


def test_a_stray_time_makes_no_years_of_bins(tmp_path: Path) -> None:
    lines = [line("192.0.2.0/24", "a", at=0), line("192.0.2.0/24", "b", at=86400 * 4000)]
    with pytest.raises(InputError, match="is the first or last time wrong"):
        read_bgp_jsonl(write_lines(tmp_path, *lines))


def test_bins_must_fill_a_day(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="do not fill a day"):
        read_bgp_jsonl(
            write_lines(tmp_path, line("192.0.2.0/24", "a", at=0)), width=timedelta(hours=5)
        )


def test_a_missing_file_gives_a_one_line_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_bgp_jsonl(tmp_path / "none.jsonl")
