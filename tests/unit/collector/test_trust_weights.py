"""New keys weigh nothing, a crowd waits its turn, and a swarm moves no level."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ingest_rig import WIDTH, IngestRig

from netwatch.collector.metrics import by_label
from netwatch.collector.registry import Registry
from netwatch.collector.trust_weights import FirstSeen
from netwatch.collector.trust_weights import trust_weights as trust_in
from netwatch.model.entities import Entity
from netwatch.model.measurement import Batch, Measurement, Target, Vantage
from netwatch.model.vantage_trust import PROVISIONAL_WEIGHT
from netwatch.protocols import Message
from netwatch.wire.batch_codec import BATCH
from netwatch.wire.signing import Signer
from netwatch.wire.topics import batch_topic

START = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)
DAY = timedelta(days=1)
COUNTRY = Entity.parse("country:XX")
BOOK = {
    f"t{number}": Target(f"t{number}", "tcp", "192.0.2.1", asn=64600 + number % 5, country="XX")
    for number in range(20)
} | {f"c{number}": Target(f"c{number}", "tcp", "192.0.2.1", group="control") for number in range(4)}


def trust_weights(
    agents: list[FirstSeen], at: datetime, *, open_weight: float = 1.0
) -> dict[tuple[str, str], float]:
    found = trust_in(agents, at, open_weight=open_weight)
    return {key: trust.weight for key, trust in found.items()}


def burst(count: int, at: datetime, country: str = "XX") -> list[FirstSeen]:
    return [FirstSeen(f"{country}{at}{number}", country, at) for number in range(count)]


def enrolled(
    count: int, at: datetime, country: str = "XX", places: str = "XX", step: timedelta = DAY * 0
) -> list[FirstSeen]:
    return [
        FirstSeen(f"e{at}{n}", country, at + n * step, f"@e{at}{n}", places=frozenset({places}))
        for n in range(count)
    ]


def count_by_weight(agents: list[FirstSeen], at: datetime) -> tuple[int, int]:
    """Return how many of the agents of the first list have a weight, and how many have none."""
    weights = trust_weights(agents, at).values()
    return sum(weight > PROVISIONAL_WEIGHT for weight in weights), sum(not one for one in weights)


def test_an_agent_counts_after_seven_days_and_in_full_after_fourteen() -> None:
    one = [FirstSeen("a1", "XX", START)]
    weights = [
        trust_weights(one, START + days * DAY)["a1", "XX"] for days in (-1, 0, 6.9, 7, 14, 400)
    ]
    assert weights == pytest.approx([*[PROVISIONAL_WEIGHT] * 3, 0.5, 1, 1])
    assert trust_weights([FirstSeen("a1", "XX", START, vetted=True)], START) == {("a1", "XX"): 1}


def test_the_operator_sets_the_weight_of_agents_that_never_enrolled() -> None:
    agents = [FirstSeen("open", "XX", START), FirstSeen("in", "XX", START, owner="@in")]
    weights = trust_weights(agents, START + 40 * DAY, open_weight=0.5)
    assert weights == {("open", "XX"): 0.5, ("in", "XX"): 1}
    assert trust_weights(agents, START, open_weight=0)["open", "XX"] == 0
    assert trust_weights(agents, START + 40 * DAY, open_weight=0)["open", "XX"] == 0


@pytest.mark.parametrize("number", [1, 5, 100, 1000])
def test_new_keys_have_no_weight_while_anybody_is_established(number: int) -> None:
    agents = [*enrolled(1, START - 30 * DAY), *enrolled(number, START), *burst(number, START)]
    assert count_by_weight(agents, START + 6 * DAY) == (1, 2 * number)


def test_a_crowd_waits_and_all_that_are_admitted_weigh_a_third_at_most() -> None:
    honest = enrolled(10, START - 60 * DAY)
    eight_a_day = enrolled(240, START, step=DAY / 8)
    for days in (1, 10, 20, 29):
        weights = trust_weights([*honest, *eight_a_day], START + days * DAY)
        old = sum(weights[one.name, "XX"] for one in honest)
        assert old == 10
        assert sum(weights.values()) - old <= old / 2 + 1e-9
    counted, waiting = count_by_weight([*honest, *eight_a_day], START + 29 * DAY)
    assert (counted, waiting) == (10 + 5, 235)


def test_a_crowd_is_judged_by_the_country_that_it_measures_not_by_the_one_it_claims() -> None:
    honest = [*enrolled(10, START - 60 * DAY), *enrolled(90, START - 61 * DAY, "YY", "YY")]
    elsewhere = enrolled(60, START, "ZZ", "XX")
    assert count_by_weight([*honest, *elsewhere], START + 20 * DAY) == (105, 55)


def test_the_first_agents_of_a_fleet_are_alike_and_nobody_is_established() -> None:
    assert set(trust_weights(burst(100, START), START).values()) == {PROVISIONAL_WEIGHT}
    assert set(trust_weights(burst(100, START), START + 14 * DAY).values()) == {1}


def test_a_fleet_can_grow_by_half_in_a_month_and_the_others_wait_their_turn() -> None:
    honest, many = enrolled(20, START - 60 * DAY), enrolled(30, START)
    in_time = [
        count_by_weight([*honest, *many], START + days * DAY)[0] for days in (6, 8, 36, 38, 120)
    ]
    assert in_time == [20, 30, 30, 45, 50]


def test_agents_that_never_enrolled_do_not_keep_others_waiting() -> None:
    agents = [*enrolled(10, START - 60 * DAY), *burst(500, START), *enrolled(5, START + DAY)]
    weights = trust_weights(agents, START + 10 * DAY)
    assert all(weights[one.name, "XX"] for one in agents if one.owner != "open")


class Fleet(IngestRig):
    """Established honest agents and a swarm of new ones, on one clock."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, START, BOOK)
        self.signers: dict[str, Signer] = {}

    def send(self, name: str, asn: int, *, alive: float) -> None:
        """Send one measurement of every target, of which a share answers; controls all do."""
        time = self.now - timedelta(minutes=1)
        rows = []
        for number, target in enumerate(BOOK):
            fine = target.startswith("c") or number / 20 < alive
            word, scope = (None, "") if fine else ("generic_timeout_error", "timeout")
            rows.append(
                Measurement(target, "tcp", time, word, scope, host_responded=fine, seconds=0.1)
            )
        signer = self.signers.setdefault(name, Signer(Ed25519PrivateKey.generate()))
        sequence = int(self.now.timestamp())
        batch = Batch(Vantage(name, "XX", asn), sequence, tuple(rows))
        message = Message(batch_topic(name), BATCH.pack(batch, signer))
        (ack,) = self.receive(message)
        assert ack.stored

    def level(self) -> float:
        """Close all bins and return the share of the country that answers, in percent."""
        self.closer.close(self.now)
        found = [
            one
            for one in self.store.read_bins(self.now - WIDTH, self.now)
            if one.series.entity == COUNTRY and one.series.signal == "reachability"
        ]
        assert len(found) == 1
        assert found[0].total
        return 100 * found[0].value / found[0].total


@pytest.mark.parametrize("honest", [2, 4, 12])
@pytest.mark.parametrize("share", [0.0, 0.5])
@pytest.mark.parametrize("asn", [64999, 64500], ids=["own network", "an honest network"])
def test_a_forged_swarm_moves_no_level(tmp_path: Path, honest: int, share: float, asn: int) -> None:
    fleet = Fleet(tmp_path)
    for day in range(2):
        fleet.now = START + 8 * day * DAY
        for number in range(honest):
            fleet.send(f"h{number}", 64500 + number // 2, alive=0.95)
            fleet.batch_log.release(f"h{number}", width=WIDTH)
    before = fleet.level()
    fleet.now += WIDTH
    for number in range(honest):
        fleet.send(f"h{number}", 64500 + number // 2, alive=0.95)
    for number in range(100):
        fleet.send(f"f{number}", asn, alive=share)
    assert fleet.level() == before


def test_an_agent_counts_once_it_is_vetted(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    fleet.send("h0", 64500, alive=1)
    fleet.now += 8 * DAY
    for number in range(20):
        fleet.send(f"f{number}", 64501, alive=1)
    weights = trust_weights(fleet.batch_log.first_seen(), fleet.now)
    assert weights["f3", "XX"] == 0
    fleet.batch_log.release("f3", width=WIDTH)
    weights = trust_weights(fleet.batch_log.first_seen(), fleet.now)
    assert (weights["f3", "XX"], weights["f4", "XX"]) == (1, 0)
    with Registry(tmp_path / "batches.sqlite") as registry:
        listed = {one.name: one.weight for one in registry.agents(fleet.now)}
    assert (listed["f3"], listed["f4"]) == (1, 0)


def test_newcomers_count_where_nobody_established_measures_and_the_operator_is_alerted(
    tmp_path: Path,
) -> None:
    fleet = Fleet(tmp_path)
    for number in range(3):
        fleet.send(f"f{number}", 64500, alive=0.5)
    assert fleet.level() == 50
    assert by_label(fleet.metrics.alerts)["only_newcomers"] == 1
    fleet.now += WIDTH
    fleet.send("h0", 64501, alive=1)
    fleet.batch_log.release("h0", width=WIDTH)
    fleet.now += WIDTH
    for number in range(3):
        fleet.send(f"f{number}", 64500, alive=0)
    fleet.send("h0", 64501, alive=1)
    assert fleet.level() == 100
    fleet.now += WIDTH  # the only established agent is silent: that is no room for newcomers
    for number in range(3):
        fleet.send(f"f{number}", 64500, alive=0)
    fleet.closer.close(fleet.now)
    assert not list(fleet.store.read_bins(fleet.now - WIDTH, fleet.now))
