"""Agents that turn together are a doubt; an event that all see, or one agent's fault, is not."""

from random import Random

import pytest

from netwatch.collector.agreement import Caught
from netwatch.collector.turned_groups import AgentDay, turned_groups

GOOD, BAD, LONG = Caught(3, 3, 3, 3), Caught(3, 0, 3, 1), Caught(30, 28, 30, 28)
NOTHING = Caught()


def agent(number: int, owner: str, today: Caught, before: Caught = LONG) -> AgentDay:
    groups = frozenset({f"owner {owner}", f"network AS{64500 + number % 5}"})
    return AgentDay(f"a{number}", groups, today, before)


def fleet(bad: int, owner: str = "acme", honest: int = 12) -> list[AgentDay]:
    group = [agent(number, owner, BAD) for number in range(bad)]
    return group + [agent(number, f"@{number}", GOOD) for number in range(100, 100 + honest)]


def test_three_agents_of_one_owner_that_turn_on_one_day_are_a_group() -> None:
    assert turned_groups(fleet(3)) == {"owner acme": frozenset({"a0", "a1", "a2"})}
    assert turned_groups(fleet(2)) == {}


def test_who_never_agreed_or_was_hardly_judged_has_not_turned() -> None:
    honest = fleet(0)
    assert turned_groups([*honest, *(agent(n, "acme", BAD, BAD) for n in range(4))]) == {}
    assert turned_groups([*honest, *(agent(n, "acme", BAD, NOTHING) for n in range(4))]) == {}
    assert turned_groups([*honest, *(agent(n, "acme", Caught(1, 0)) for n in range(4))]) == {}


def test_an_error_of_our_own_that_turns_most_agents_is_no_group() -> None:
    assert turned_groups(fleet(10, honest=6)) == {}


def test_faults_of_single_agents_are_no_group() -> None:
    alone = [agent(number, f"@{number}", BAD) for number in range(0, 15, 5)]
    others = [agent(number, f"@{number}", GOOD) for number in range(100, 140)]
    assert turned_groups([*alone, *others]) == {}


@pytest.mark.parametrize("seed", range(20))
def test_honest_fleets_of_noisy_agents_have_no_groups(seed: int) -> None:
    """A tenth of what an honest agent sees is noise, on 30 days, in groups of every size."""
    random = Random(seed)
    for _ in range(30):
        days = []
        for number in range(40):
            falls, rises = random.randint(0, 4), random.randint(0, 4)
            caught = [sum(random.random() < 0.9 for _ in range(n)) for n in (falls, rises)]
            today = Caught(falls, caught[0], rises, caught[1])
            days.append(agent(number, f"o{number % 7}", today))
        assert turned_groups(days) == {}
