"""Only agreement that was costly to guess counts, and no honest view is held against its agent."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from netwatch.collector.agreement import AgreementJudge, Caught
from netwatch.collector.proof import Proof
from netwatch.model.measurement import Measurement, Target, Vantage
from netwatch.model.vantage_trust import VantageTrust

START = datetime(2026, 1, 8, tzinfo=UTC)
WIDTH = timedelta(minutes=5)
DAY_BINS = 288
TARGETS = {
    f"t{number}": Target(f"t{number}", "tcp", "192.0.2.1", country="XX" if number < 20 else "YY")
    for number in range(40)
}
Report = Callable[[str, bool, Random], bool]
"""What a vantage reports of a target, given whether it is up."""


def honest(_target: str, is_up: bool, random: Random) -> bool:  # noqa: FBT001 - see Report
    return is_up if random.random() > 0.02 else False


def row(target: str, time: datetime, *, is_up: bool) -> Measurement:
    word, scope = (None, "") if is_up else ("generic_timeout_error", "timeout")
    return Measurement(target, "tcp", time, word, scope, host_responded=is_up, seconds=0.1)


def run(
    reports: dict[Vantage, Report],
    *,
    bins: int = DAY_BINS,
    state: Callable[[str, int], bool] | None = None,
) -> dict[str, Proof]:
    """Return what each vantage has proved after some days in which targets fail now and then."""
    random = Random(7)
    judge = AgreementJudge(WIDTH)
    weights = {(one.id, one.country): VantageTrust(1.0, f"@{one.id}") for one in reports}
    total: dict[str, list[float]] = {one.id: [0.0] * 4 for one in reports}
    up = dict.fromkeys(TARGETS, True)
    for number in range(bins):
        time = START + number * WIDTH
        for name in up:
            if random.random() < (0.002 if up[name] else 0.05):
                up[name] = not up[name]
        rows = []
        for vantage, report in reports.items():
            for name, is_up in up.items():
                reached = is_up and (state is None or state(f"{vantage.country}:{name}", number))
                is_reported = reached and report(name, reached, random)
                if state is None:
                    is_reported = report(name, is_up, random)
                rows.append((vantage, row(name, time, is_up=is_reported)))
        for name, one in judge.judge(time, rows, TARGETS, weights).items():
            for place, value in enumerate(
                (one.falls, one.caught_falls, one.rises, one.caught_rises)
            ):
                total[name][place] += value
    return {name: Proof(14, caught=Caught(*counts)) for name, counts in total.items()}


def fleet(count: int = 6, country: str = "XX") -> dict[Vantage, Report]:
    return {
        Vantage(f"{country}{number}", country, 64500 + number): honest for number in range(count)
    }


LIARS: dict[str, Report] = {
    "all up": lambda _target, _is_up, _random: True,
    "all down but one": lambda target, _is_up, _random: target in {"t0", "t1", "t2", "t20"},
    "a coin": lambda _target, _is_up, random: random.random() < 0.5,
    "mostly up": lambda _target, _is_up, random: random.random() < 0.95,
    "the opposite": lambda _target, is_up, _random: not is_up,
}


@pytest.mark.parametrize("name", LIARS)
def test_guesses_earn_nothing_and_honest_agents_keep_all(name: str) -> None:
    found = run(fleet() | {Vantage("liar", "XX", 64999): LIARS[name]})
    assert found["liar"].factor < 0.15, found["liar"]
    honest_ones = [one for key, one in found.items() if key != "liar"]
    assert min(one.factor for one in honest_ones) == 1
    assert min(one.caught.caught_falls for one in honest_ones) > 5


def test_targets_that_never_change_prove_nothing() -> None:
    still = {vantage: (lambda target, _up, _random: target != "t3") for vantage in fleet()}
    assert all(one.caught == Caught() for one in run(still, bins=50).values())


def test_an_agent_alone_behind_a_censor_keeps_its_weight() -> None:
    blocked = {f"t{number}" for number in range(0, 40, 3)}
    censored: Report = lambda target, is_up, random: (  # noqa: E731 - a row of the table
        target not in blocked and honest(target, is_up, random)
    )
    found = run(fleet() | {Vantage("censored", "XX", 64999): censored})
    assert found["censored"].factor > 0.9, found["censored"]


def test_a_real_national_cut_takes_nobodys_weight() -> None:
    """From inside, all abroad is gone; from abroad, all inside; each side is right."""

    def cut(key: str, number: int) -> bool:
        country, name = key.split(":")
        return not 100 < number < 200 or country == TARGETS[name].country

    found = run(fleet(3, "XX") | fleet(4, "YY"), state=cut)
    assert min(one.factor for one in found.values()) == 1
    alone = run({**fleet(1, "XX"), **fleet(5, "YY")}, state=cut)
    assert alone["XX0"].factor == 1


def test_a_network_that_is_cut_off_alone_is_not_held_against_its_agents() -> None:
    def partly(target: str, is_up: bool, random: Random) -> bool:  # noqa: FBT001 - see Report
        return int(target[1:]) % 2 == 0 and honest(target, is_up, random)

    pair = {Vantage(f"p{number}", "XX", 64999): partly for number in range(2)}
    found = run(fleet() | pair)
    assert min(found[one.id].factor for one in pair) == 1
