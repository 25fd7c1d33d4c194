"""The cells of the table: how many liars of what kind say what, against how many honest agents."""

from dataclasses import dataclass, replace
from itertools import product

__all__ = ["HONEST", "LIARS", "TRICKS", "Cell", "fast_cells", "full_cells", "trick_cells"]

LIARS = (1, 5, 15, 30, 100)
HONEST = (3, 10, 30, 100)
_AGES = ("new", "eight a day", "30 days", "vetted")
_SPREADS = ("one", "many")
_TIMES = ("ordinary", "event")
_SAYS = ("down", "up")
_ABOUT = ("country", "network", "site")
TRICKS = (
    "controls answer",
    "elsewhere",
    "drip",
    "late",
    "presence",
    "counts",
    "everything",
)
"""What smarter liars do; see `liars.py`."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Attributes:
        liars, honest: numbers of agents.
        age: of the liars: `new`, `eight a day`; `30 days`, which enrolled and have behaved since
            their probation; or `vetted`, which the operator has released, too.
        networks, owners: `one` or `many` of the liars. Liars that are new never enrolled if they
            have one owner, and came by invitations if they have many.
        time: `ordinary`, or `event`: what is lied about really happens.
        says: whether the liars say `up` or `down`.
        about: `country`, `network` or `site`.
        trick: one of `TRICKS`, empty for liars that lie plainly.
        seed: of the world.
    """

    liars: int
    honest: int
    age: str
    networks: str
    owners: str
    time: str
    says: str
    about: str
    trick: str = ""
    seed: int = 1

    def label(self) -> str:
        """Return the cell in words."""
        trick = f", {self.trick}" if self.trick else ""
        return (
            f"{self.liars} liars ({self.age}, {self.networks} networks, {self.owners} owners)"
            f" against {self.honest}, {self.time}, {self.says} about {self.about}{trick},"
            f" world {self.seed}"
        )


def full_cells(worlds: int = 3) -> list[Cell]:
    """Return the whole table, with the tricks; neighbouring cells are in different worlds."""
    cells = [
        Cell(liars, honest, age, networks, owners, time, says, about)
        for honest, liars, age, time, says, about in product(
            HONEST, LIARS, _AGES, _TIMES, _SAYS, _ABOUT
        )
        for networks, owners in _spreads(
            liars, age, about, harmful=(time == "event") == (says == "up")
        )
    ]
    cells += trick_cells()
    return [replace(cell, seed=1 + number % worlds) for number, cell in enumerate(cells)]


def _spreads(liars: int, age: str, about: str, *, harmful: bool) -> list[tuple[str, str]]:
    """Return how liars spread over networks and owners.

    What agrees with the truth, such as `up` in ordinary times, is tried in one way.
    """
    alone, spread = ("one", "one"), ("many", "many")
    if age == "vetted" and about != "country":
        return []
    if liars == 1:
        return [alone]
    if not harmful:
        return [spread]
    if age == "vetted" or about != "country":
        return [alone, spread]
    return [alone, ("one", "many"), ("many", "one"), spread]


def trick_cells() -> list[Cell]:
    """Return the smarter liars: trusted and new ones, few and many, of many networks and owners."""
    return [
        Cell(liars, honest, age, "many", "many", time, says, about, trick)
        for trick, (liars, honest), age, (time, says), about in product(
            TRICKS,
            ((5, 10), (5, 30), (30, 30)),
            ("new", "30 days"),
            (("ordinary", "down"), ("event", "up")),
            ("country", "site"),
        )
    ]


def fast_cells() -> list[Cell]:
    """Return few cells that touch every goal, every number and every kind of liar."""
    hides, invents = ("event", "up"), ("ordinary", "down")
    rows = [
        (1, 3, "new", "one", "one", *invents, "country"),
        (1, 3, "30 days", "one", "one", *hides, "country"),
        (1, 10, "new", "one", "one", *invents, "country"),
        (1, 10, "30 days", "one", "one", *hides, "country"),
        (1, 10, "30 days", "one", "one", *invents, "network"),
        (5, 3, "eight a day", "many", "many", *hides, "country"),
        (5, 10, "new", "one", "one", *hides, "country"),
        (5, 10, "30 days", "one", "one", *hides, "country"),
        (5, 30, "30 days", "many", "many", *invents, "country"),
        (5, 30, "30 days", "many", "many", *hides, "site"),
        (15, 10, "new", "many", "one", *hides, "country"),
        (15, 10, "eight a day", "many", "one", *invents, "country"),
        (15, 30, "30 days", "many", "one", *hides, "country"),
        (15, 30, "30 days", "one", "many", *invents, "site"),
        (30, 10, "30 days", "many", "many", *hides, "country"),
        (30, 10, "30 days", "many", "many", *invents, "country"),
        (30, 30, "new", "many", "many", *invents, "network"),
        (100, 10, "new", "many", "one", *hides, "country"),
        (100, 30, "eight a day", "many", "many", *invents, "country"),
        (100, 30, "30 days", "one", "one", *invents, "country"),
        (5, 100, "30 days", "many", "many", *hides, "network"),
    ]
    cells = [Cell(*row) for row in rows]
    cells += [Cell(5, 30, "30 days", "many", "many", *hides, "country", trick) for trick in TRICKS]
    cells += [Cell(15, 10, "new", "many", "one", *invents, "country", "everything")]
    # Few worlds, since the quiet past of each is run once.
    return [replace(cell, seed=1 + cell.honest % 3) for cell in cells]
