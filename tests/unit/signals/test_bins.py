"""From measurements to bins: broken vantages do not count, remaining failures are blocking."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from netwatch.model.entities import Entity
from netwatch.model.measurement import Measurement, Target, Vantage
from netwatch.model.series import Bin, SeriesKey
from netwatch.signals import bins
from netwatch.signals.bins import Row, build_bins
from netwatch.signals.closed_bin import ClosedBin
from netwatch.signals.operator_alerts import OperatorAlerts

START = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)
WIDTH = timedelta(minutes=5)
SITES = 12
BOOK = {
    f"site{number}": Target(
        f"site{number}", "http", "192.0.2.1", domain=f"site{number}.example", country="US"
    )
    for number in range(SITES)
} | {
    f"control{number}": Target(f"control{number}", "dns", "192.0.2.2", group="control")
    for number in range(5)
}
FLEET = [
    Vantage(f"{country}{number}", country, asn + number % 2)
    for country, asn in (("IR", 64500), ("DE", 64510), ("FR", 64520))
    for number in range(4)
]


def rows(failing: object = None, *, after: int = 0) -> Iterator[Row]:
    """Yield three measurements a pair; `failing(vantage, target)` returns a failure or None."""
    for vantage in FLEET:
        for target in BOOK.values():
            failure = failing(vantage, target) if failing else None
            for second in range(3):
                time = START + timedelta(minutes=5 * after, seconds=second)
                scope = {"connection_reset": "reset", None: ""}.get(failure, "timeout")
                host_responded = failure in {None, "connection_reset"}
                yield (
                    vantage,
                    Measurement(target.id, "http", time, failure, scope, host_responded, 0.1),
                )


def by_key(bins: list[Bin]) -> dict[tuple[str, str], Bin]:
    return {(one.series.signal, str(one.series.entity)): one for one in bins}


def test_without_failures_every_bin_is_full() -> None:
    counts = by_key(build_bins(rows(), BOOK, width=WIDTH))
    assert all(one.value == one.total for one in counts.values())
    assert counts["reachability", "domain:site3.example"].total == 36
    assert counts["blocking:IR", "domain:site3.example"].total == 12
    assert counts["blocking:AS64501", "domain:site3.example"].total == 6


def test_a_broken_vantage_adds_no_trials() -> None:
    broken = FLEET[5]
    counts = by_key(
        build_bins(
            rows(lambda vantage, _: "generic_timeout_error" if vantage == broken else None),
            BOOK,
            width=WIDTH,
        )
    )
    whole = counts["reachability", "country:US"]
    assert whole.value == whole.total == 11 * 3 * SITES


def test_a_reset_is_blocking_and_not_a_loss_of_the_network() -> None:
    """The site answers from elsewhere, and with a forged reset at home."""

    def censor(vantage: Vantage, target: Target) -> str | None:
        hit = vantage.country == "IR" and target.id == "site3"
        return "connection_reset" if hit else None

    counts = by_key(build_bins(rows(censor), BOOK, width=WIDTH))
    assert (counts["blocking:IR", "domain:site3.example"].value) == 0
    assert counts["blocking:IR", "domain:site3.example"].total == 12
    assert counts["blocking:IR", "domain:site4.example"].value == 12
    assert counts["blocking:DE", "domain:site3.example"].value == 12
    assert counts["reachability", "country:US"].value == 36 * SITES


def test_a_dead_site_is_not_blocked() -> None:
    counts = by_key(
        build_bins(
            rows(lambda _, target: "generic_timeout_error" if target.id == "site3" else None),
            BOOK,
            width=WIDTH,
        )
    )
    assert not any(
        signal.startswith("blocking") and entity == "domain:site3.example"
        for signal, entity in counts
    )
    assert counts["reachability", "domain:site3.example"].value == 0
    assert counts["reachability", "domain:site3.example"].total == 36


def test_a_fleet_without_its_uplink_gives_no_data() -> None:
    assert build_bins(rows(lambda *_: "generic_timeout_error"), BOOK, width=WIDTH) == []


def test_bins_are_independent_and_in_order() -> None:
    broken = FLEET[0]
    later = rows(lambda one, _: "generic_timeout_error" if one == broken else None, after=1)
    counts = build_bins([*later, *rows()], BOOK, width=WIDTH)
    key = SeriesKey("reachability", Entity.parse("country:US"))
    assert [one.total for one in counts if one.series == key] == [432, 396]
    assert counts == sorted(counts, key=lambda one: (one.time, one.series))
    again = build_bins([*rows(), *rows(lambda *_: None, after=1)], BOOK, width=WIDTH)
    assert [one.total for one in again if one.series == key] == [432, 432]


def test_local_failures_and_unknown_targets_do_not_count() -> None:
    local = Measurement(
        "site1", "http", START, "network_down", "local", host_responded=False, seconds=0
    )
    stranger = Measurement("nobody", "http", START, None, "", host_responded=True, seconds=0)
    assert build_bins([(FLEET[0], local), (FLEET[0], stranger)], BOOK, width=WIDTH) == []


def test_producers_get_no_local_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Measurement] = []

    def produce(interval: ClosedBin) -> list[Bin]:
        seen.extend(measurement for _, measurement in interval.rows)
        return []

    monkeypatch.setattr(bins, "_producers", lambda: [produce])
    local = Measurement(
        "site1", "http", START, "network_down", "local", host_responded=False, seconds=0
    )
    build_bins([*rows(), (FLEET[0], local)], BOOK, width=WIDTH)
    assert seen
    assert local not in seen


def alerts(failing: object = None) -> dict[str, str]:
    """Return the alerts of one bin."""
    lines: dict[str, str] = {}
    build_bins(rows(failing), BOOK, width=WIDTH, alerts=OperatorAlerts(lines.__setitem__))
    return lines


def test_there_is_no_alert_without_failures() -> None:
    assert alerts() == {}


def test_a_dead_target_is_named() -> None:
    lines = alerts(lambda _, target: "generic_timeout_error" if target.id == "site3" else None)
    assert lines == {"dead_target": "site3 answer no vantage: dead, or their network is out"}


def test_a_broken_vantage_is_named() -> None:
    lines = alerts(lambda vantage, _: "generic_timeout_error" if vantage.id == "IR1" else None)
    assert list(lines) == ["broken_vantage"]
    assert lines["broken_vantage"].startswith("IR1 ")


def test_a_site_that_fails_from_one_network_is_a_blocked_path() -> None:
    lines = alerts(
        lambda vantage, target: (
            "generic_timeout_error" if vantage.asn == 64500 and target.id == "site3" else None
        )
    )
    assert list(lines) == ["blocked_path"]
    assert "site3" in lines["blocked_path"]
