"""New agents weigh little, signup bursts nothing, and a swarm moves no level."""

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


def test_the_weight_of_a_new_agent_grows_with_age() -> None:
    one = [FirstSeen("a1", "XX", START)]
    weights = [trust_weights(one, START + days * DAY)["a1", "XX"] for days in (-1, 0, 7, 14, 400)]
    assert weights == pytest.approx([0.2, 0.2, 0.6, 1, 1])
    assert trust_weights([FirstSeen("a1", "XX", START, vetted=True)], START) == {("a1", "XX"): 1}


def test_the_operator_sets_the_weight_of_agents_that_never_enrolled() -> None:
    agents = [FirstSeen("open", "XX", START), FirstSeen("in", "XX", START, owner="@in")]
    weights = trust_weights(agents, START + 20 * DAY, open_weight=0.5)
    assert weights == {("open", "XX"): 0.5, ("in", "XX"): 1}
    assert trust_weights(agents, START, open_weight=0)["open", "XX"] == 0


def test_a_burst_has_no_weight_and_earlier_agents_keep_theirs() -> None:
    agents = [*burst(5, START - 30 * DAY), *burst(100, START)]
    weights = trust_weights(agents, START + DAY)
    assert sorted(weights.values()) == pytest.approx([0.0] * 100 + [1.0] * 5)
    later = trust_weights(agents, START + 14 * DAY)
    assert min(later.values()) == pytest.approx(0.2)
    assert min(trust_weights(agents, START + 28 * DAY).values()) == 1


def test_agents_one_by_one_within_a_day_are_a_burst() -> None:
    slowly = [
        FirstSeen(f"f{number}", "XX", START + number * timedelta(minutes=10))
        for number in range(100)
    ]
    weights = trust_weights([*burst(5, START - 30 * DAY), *slowly], START + DAY)
    assert sum(weight == 0 for weight in weights.values()) == 100


def test_the_first_agents_of_a_country_are_not_a_burst() -> None:
    assert 0 not in trust_weights(burst(100, START), START).values()
    assert 0 not in trust_weights([*burst(5, START - 30 * DAY), *burst(8, START)], START).values()


def test_the_usual_number_of_agents_is_not_a_burst() -> None:
    steady = [one for day in range(30) for one in burst(10, START - day * DAY)]
    today = burst(15, START + timedelta(hours=1))
    assert 0 not in trust_weights([*steady, *today], START + DAY).values()
    assert (
        0 in trust_weights([*steady, *burst(40, START + timedelta(hours=1))], START + DAY).values()
    )


def test_bursts_are_found_per_country() -> None:
    agents = [*burst(5, START - 30 * DAY, "YY"), *burst(100, START), *burst(5, START - 9 * DAY)]
    weights = trust_weights(agents, START)
    assert {country for (_, country), weight in weights.items() if not weight} == {"XX"}


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
def test_a_forged_swarm_moves_a_countrys_level_by_less_than_two_points(
    tmp_path: Path, honest: int, share: float, asn: int
) -> None:
    fleet = Fleet(tmp_path)
    for day in range(2):
        fleet.now = START + 8 * day * DAY
        for number in range(honest):
            fleet.send(f"h{number}", 64500 + number // 2, alive=0.95)
    before = fleet.level()
    fleet.now += WIDTH
    for number in range(honest):
        fleet.send(f"h{number}", 64500 + number // 2, alive=0.95)
    for number in range(100):
        fleet.send(f"f{number}", asn, alive=share)
    assert abs(fleet.level() - before) < 2
    assert by_label(fleet.metrics.alerts)["untrusted_agents"] == 1


def test_an_agent_of_a_burst_counts_once_it_is_vetted(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    fleet.send("h0", 64500, alive=1)
    fleet.now += 3 * DAY
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
    assert 0.2 < listed["h0"] < 1
