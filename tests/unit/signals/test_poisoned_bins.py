"""One bin with liars: who decides a level, and when nobody does."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from netwatch.model.entities import Entity
from netwatch.model.measurement import Measurement, Target, Vantage
from netwatch.model.series import Bin, SeriesKey
from netwatch.model.signals import REACHABILITY
from netwatch.model.vantage_trust import PROVISIONAL_WEIGHT, VantageTrust
from netwatch.model.voices import VOICES, few_voices, is_voices
from netwatch.signals.bins import Row, build_bins
from netwatch.signals.operator_alerts import OperatorAlerts

START = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)
WIDTH = timedelta(minutes=5)
SITES = {
    f"t{number}": Target(
        f"t{number}", "tcp", "192.0.2.1", domain=f"d{number}.example", asn=64500 + number % 6,
        country="XX",
    )
    for number in range(18)
}  # fmt: skip
CONTROLS = {
    f"c{number}": Target(f"c{number}", "tcp", "192.0.2.2", group="control") for number in range(4)
}
COUNTRY = "country:XX"
TRILLION = 10**12


class Fleet:
    """Honest vantages, each of its own owner and network, and liars."""

    def __init__(
        self, honest: int, liars: int, *, owners: str = "many", networks: str = "many"
    ) -> None:
        self.honest = [Vantage(f"h{one}", "DE", 1000 + one) for one in range(honest)]
        many = networks == "many"
        self.liars = [Vantage(f"l{one}", "DE", 5000 + one * many) for one in range(liars)]
        self.trust = {(one.id, "DE"): VantageTrust(1.0, f"@{one.id}") for one in self.honest}
        self.trust |= {
            (one.id, "DE"): VantageTrust(1.0, f"@{one.id}" if owners == "many" else "mallory")
            for one in self.liars
        }

    def rows(
        self,
        *,
        cut: bool,
        targets: Mapping[str, Target],
        honest_controls: bool = True,
        weight: int = 1,
    ) -> Iterator[Row]:
        """Yield two measurements a pair: the honest see the cut or none, liars the opposite."""
        for vantage in [*self.honest, *self.liars]:
            lies = vantage in self.liars
            for name in targets:
                up = (lies or honest_controls) if name in CONTROLS else cut == lies
                for second in range(2):
                    failure, scope = (None, "") if up else ("generic_timeout_error", "timeout")
                    time = START + timedelta(seconds=second)
                    row = Measurement(
                        name, "tcp", time, failure, scope, up, 0.1, (), weight if lies else 1
                    )
                    yield vantage, row

    def bins(
        self, *, cut: bool, targets: Mapping[str, Target] = SITES | CONTROLS, **rows: object
    ) -> dict[str, Bin]:
        """Return the bins of reachability, and keep the alerts."""
        self.alerts: dict[str, str] = {}
        found = build_bins(
            self.rows(cut=cut, targets=targets, **rows), targets, width=WIDTH,
            weights=self.trust, alerts=OperatorAlerts(self.alerts.__setitem__),
        )  # fmt: skip
        return {str(one.series.entity): one for one in found if one.series.signal == REACHABILITY}


def share(one: Bin) -> float:
    assert one.total
    return one.value / one.total


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("targets", [SITES, SITES | CONTROLS], ids=["alone", "controls"])
@pytest.mark.parametrize(("honest", "liars"), [(10, 1), (10, 4), (30, 4), (3, 1)])
def test_liars_below_a_third_move_no_level(
    honest: int, liars: int, *, cut: bool, targets: Mapping[str, Target]
) -> None:
    """One that claims that all is well leaves ten in peace while six of six networks are cut."""
    found = Fleet(honest, liars).bins(cut=cut, targets=targets)
    assert all(share(one) == (not cut) for one in found.values())
    assert found[COUNTRY].total == honest * 18 * 2


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("networks", ["one", "many"])
def test_a_hundred_vantages_of_one_owner_move_no_level(networks: str, *, cut: bool) -> None:
    found = Fleet(10, 100, owners="one", networks=networks).bins(cut=cut)
    assert share(found[COUNTRY]) == (not cut)
    assert found[COUNTRY].total > 1


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize(("honest", "liars"), [(10, 10), (10, 6), (10, 18), (30, 15), (10, 30)])
def test_where_neither_side_is_outvoted_nobody_decides(
    honest: int, liars: int, *, cut: bool
) -> None:
    fleet = Fleet(honest, liars)
    assert all(one.total < 1 for one in fleet.bins(cut=cut).values())
    assert COUNTRY in fleet.alerts["unsure_level"]


@pytest.mark.parametrize("liars", [1, 4])
def test_who_lost_the_controls_is_no_proof_that_all_is_well(liars: int) -> None:
    """Ten honest vantages are behind the cut; those who claim that all is well are few."""
    fleet = Fleet(10, liars)
    found = fleet.bins(cut=True, honest_controls=False)
    assert all(one.total < 1 for one in found.values())
    assert "unsure_level" in fleet.alerts


def test_several_who_are_outvoted_are_heard_by_the_operator() -> None:
    fleet = Fleet(10, 4)
    fleet.bins(cut=False)
    assert COUNTRY in fleet.alerts["doubted_level"]
    fleet = Fleet(10, 1)
    fleet.bins(cut=False)
    assert "doubted_level" not in fleet.alerts


def test_a_lie_about_one_network_stays_there() -> None:
    fleet = Fleet(10, 8)
    rows = [
        (vantage, row)
        for vantage, row in fleet.rows(cut=False, targets=SITES)
        if vantage in fleet.honest or SITES[row.target].asn == 64500
    ]
    honest = Fleet(0, 8).rows(cut=True, targets=SITES)  # up, from liars
    rows += [(vantage, row) for vantage, row in honest if SITES[row.target].asn != 64500]
    found = build_bins(rows, SITES, width=WIDTH, weights=fleet.trust)
    levels = {str(one.series.entity): one for one in found if one.series.signal == REACHABILITY}
    assert levels["asn:64500"].total < 1
    assert levels["asn:64501"].total > 1


def test_claimed_counts_are_bounded_and_weigh_the_same_for_blame_and_level() -> None:
    """A row that claims a trillion measurements counts as what fits into five minutes."""
    rows = list(Fleet(1, 0).rows(cut=False, targets=SITES))
    vantage, row = rows[0]
    boast = replace(row, failure=None, scope="", host_responded=True, weight=TRILLION)
    found = build_bins([(vantage, boast)], SITES, width=WIDTH)
    assert {one.total for one in found if one.series.signal == REACHABILITY} == {30.0}
    honest = [(vantage, row)] * 40
    found = build_bins(honest, SITES, width=WIDTH)
    assert {one.total for one in found if one.series.signal == REACHABILITY} == {40.0}
    fleet = Fleet(10, 4)
    assert fleet.bins(cut=False, weight=TRILLION)[COUNTRY].total == 360


def test_newcomers_do_not_count_where_somebody_established_measures() -> None:
    fleet = Fleet(1, 30)
    for one in fleet.liars:
        fleet.trust[one.id, "DE"] = VantageTrust(PROVISIONAL_WEIGHT, "open")
    assert fleet.bins(cut=False)[COUNTRY] == Fleet(1, 0).bins(cut=False)[COUNTRY]
    for one in fleet.honest:
        fleet.trust[one.id, "DE"] = VantageTrust(PROVISIONAL_WEIGHT, "open")
    assert share(fleet.bins(cut=False)[COUNTRY]) == 0


def test_few_independent_vantages_are_counted_where_all_agree() -> None:
    """Four of four owners and networks agree: the level stands, and nobody can be sure of it."""
    for fleet, voices in (
        (Fleet(4, 0), 4.0),
        (Fleet(1, 30, owners="one"), 2.0),
        (Fleet(2, 30, networks="one"), 3.0),
        (Fleet(5, 0), None),
    ):
        lies = list(fleet.rows(cut=False, targets=SITES))
        rows = [(vantage, replace(row, failure=None, scope="", host_responded=True))
                for vantage, row in lies]  # fmt: skip
        alerts: dict[str, str] = {}
        found = build_bins(
            rows, SITES, width=WIDTH, weights=fleet.trust,
            alerts=OperatorAlerts(alerts.__setitem__),
        )  # fmt: skip
        counted = {one.series.entity: one.value for one in found if one.series.signal == VOICES}
        assert counted.get(Entity.parse(COUNTRY)) == voices
        assert (COUNTRY in alerts.get("few_voices", "")) == (voices is not None)


def test_a_fleet_of_one_owner_counts_networks_and_is_not_alerted() -> None:
    mine = [Vantage(f"mine{one}", "DE", 7000 + one) for one in range(3)]
    rows = [(vantage, Measurement(name, "tcp", START, None, "", host_responded=True, seconds=0.1))
            for vantage in mine for name in SITES]  # fmt: skip
    alerts: dict[str, str] = {}
    found = build_bins(rows, SITES, width=WIDTH, alerts=OperatorAlerts(alerts.__setitem__))
    numbers = {one.value for one in found if is_voices(one)}
    assert numbers == {3.0}
    assert not any(few_voices(found).values())
    assert "few_voices" not in alerts
    guest = {("guest", "DE"): VantageTrust(1.0, "@guest")}
    found = build_bins(rows, SITES, width=WIDTH, weights=guest)
    assert few_voices(found)[Entity.parse(COUNTRY)], "where the guest is silent, it may be cut off"


def test_a_liar_about_a_network_with_two_targets_moves_it_by_nothing() -> None:
    """Most measure one of the two, so that few others are at each; all else it tells as it is."""
    fleet = Fleet(5, 1)
    network = ("t0", "t6")
    rows = []
    for vantage, row in fleet.rows(cut=False, targets=SITES | CONTROLS):
        lies = vantage in fleet.liars and row.target in network
        chosen = (int(vantage.id[1:]) % 2 == 0) == (row.target == "t0")
        if (
            row.time == START
            and row.target != "t12"
            and (lies or chosen or row.target not in network)
        ):
            sent = row if lies else replace(row, failure=None, scope="", host_responded=True)
            rows.append((vantage, sent))
    found = build_bins(rows, SITES | CONTROLS, width=WIDTH, weights=fleet.trust)
    key = SeriesKey(REACHABILITY, Entity.parse("asn:64500"))
    assert [share(one) for one in found if one.series == key] == [1.0]
