from datetime import UTC, datetime, timedelta

from closed_bins import closed_bin

from netwatch.model.entities import Entity
from netwatch.model.measurement import Measurement, Target, Vantage
from netwatch.model.series import Bin
from netwatch.model.signals import REACHABILITY
from netwatch.model.time import floor_time
from netwatch.signals.bins import build_bins
from netwatch.signals.reachability import reachability_bins

START = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)
WIDTH = timedelta(minutes=5)
VANTAGE = Vantage("v1", "YY", 64510)
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


def counts(*rows: Measurement) -> dict[str, tuple[float, float | None]]:
    """Return value and total of each entity in one interval in which every row counts."""
    bins = reachability_bins(closed_bin(START, [(VANTAGE, row) for row in rows], BOOK))
    return {
        str(one.series.entity): (one.value, one.total)
        for one in bins
        if one.series.signal == REACHABILITY
    }


def reachability(*rows: Measurement) -> list[Bin]:
    """Return the bins of reachability of several intervals, with attribution."""
    bins = build_bins([(VANTAGE, row) for row in rows], BOOK, width=WIDTH)
    return [one for one in bins if one.series.signal == REACHABILITY]


def test_any_answer_counts_for_a_network_and_only_success_for_a_domain() -> None:
    assert counts(
        measurement("site"),
        measurement("site", "ssl_invalid_hostname", scope="tls"),
        measurement("site", "generic_timeout_error", host_responded=False, scope="timeout"),
        measurement("router", "connection_refused", scope="refused"),
    ) == {
        "country:XX": (3.0, 4.0),
        "asn:64500": (3.0, 4.0),
        "region:XX-01": (1.0, 1.0),
        "domain:example.org": (1.0, 3.0),
    }


def test_local_failures_and_unknown_targets_are_ignored() -> None:
    local = measurement("site", "network_down", host_responded=False, scope="local")
    assert reachability(local, measurement("nobody")) == []
    assert reachability(local, measurement("nobody"), measurement("router"))[0].total == 1


def test_a_measured_zero_is_a_bin_and_no_data_is_none() -> None:
    dark = measurement("router", "generic_timeout_error", host_responded=False, scope="timeout")
    assert counts(dark)["asn:64500"] == (0.0, 1.0)
    assert "domain:example.org" not in counts(dark)


def test_bins_are_ordered_by_time_then_series() -> None:
    bins = reachability(measurement("site", after=301), measurement("site"), measurement("router"))
    assert bins == sorted(bins, key=lambda one: (one.time, one.series))
    assert bins[-1].time == START + WIDTH
    assert bins[0].series.entity == Entity.parse("asn:64500")


def test_bins_are_counted_from_1970() -> None:
    assert floor_time(START + timedelta(seconds=299.999), WIDTH) == START
    assert floor_time(START, timedelta(hours=1)) == START - timedelta(minutes=30)
