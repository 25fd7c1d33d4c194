from datetime import UTC, datetime, timedelta

from netwatch.model.entities import Entity
from netwatch.model.measurement import Measurement, Target
from netwatch.model.time import floor_time
from netwatch.signals.reachability import count_reachability

START = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)
WIDTH = timedelta(minutes=5)
BOOK = {
    "site": Target("site", "http", "192.0.2.1", domain="example.org", asn=64500, country="XX"),
    "router": Target("router", "tcp", "192.0.2.2", asn=64500, region="XX-01", country="XX"),
}


def measurement(
    target: str,
    failure: str | None = None,
    *,
    host_responded: bool = True,
    scope: str = "",
    after: int = 0,
) -> Measurement:
    time = START + timedelta(seconds=after)
    return Measurement(target, "tcp", time, failure, scope, host_responded, 0.1)


def counts(*rows: Measurement) -> dict[tuple[str, int], tuple[float, float | None]]:
    return {
        (str(found.series.entity), (found.time - START) // WIDTH): (found.value, found.total)
        for found in count_reachability(rows, BOOK, width=WIDTH)
    }


def test_any_answer_counts_for_a_network_and_only_success_for_a_domain() -> None:
    found = counts(
        measurement("site"),
        measurement("site", "ssl_invalid_hostname", scope="tls"),
        measurement("site", "generic_timeout_error", host_responded=False, scope="timeout"),
        measurement("router", "connection_refused", scope="refused"),
    )
    assert found == {
        ("country:XX", 0): (3.0, 4.0),
        ("asn:64500", 0): (3.0, 4.0),
        ("region:XX-01", 0): (1.0, 1.0),
        ("domain:example.org", 0): (1.0, 3.0),
    }


def test_local_failures_and_unknown_targets_are_ignored() -> None:
    assert (
        counts(
            measurement("site", "network_down", host_responded=False, scope="local"),
            measurement("nobody"),
        )
        == {}
    )


def test_a_measured_zero_is_a_bin_and_no_data_is_none() -> None:
    dark = measurement(
        "router", "generic_timeout_error", host_responded=False, scope="timeout", after=600
    )
    assert counts(dark)["asn:64500", 2] == (0.0, 1.0)
    assert all(place == 2 for _, place in counts(dark))


def test_bins_are_ordered_by_time_then_series() -> None:
    bins = count_reachability(
        [measurement("site", after=301), measurement("site"), measurement("router")],
        BOOK,
        width=WIDTH,
    )
    assert bins == sorted(bins, key=lambda found: (found.time, found.series))
    assert bins[-1].time == START + WIDTH
    assert bins[0].series.entity == Entity.parse("asn:64500")


def test_bins_are_counted_from_1970() -> None:
    assert floor_time(START + timedelta(seconds=299.999), WIDTH) == START
    assert floor_time(START, timedelta(hours=1)) == START - timedelta(minutes=30)
