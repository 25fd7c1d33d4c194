"""The attacks: each a function, found by importing every module of the package."""

import importlib
import pkgutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import adversary
from adversary.frame.stage import DOORS, Stage

__all__ = ["Attack", "all_attacks", "attack"]

Run = Callable[[Stage], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack.

    Attributes:
        name: its function's name, with dashes.
        text: what the attacker sends, in a few words.
        who: who can do it, such as `anybody` or `an enrolled agent`.
        cost: what it costs the attacker, such as `one message`.
        doors: where it can be tried.
        restarts: whether it starts the observatory again; agents then wait longer.
    """

    name: str
    text: str
    who: str
    cost: str
    doors: tuple[str, ...]
    restarts: bool
    run: Run


_found: dict[str, Attack] = {}


def attack(
    text: str, *, who: str, cost: str, doors: tuple[str, ...] = DOORS, restarts: bool = False
) -> Callable[[Run], Run]:
    """Register a function as an attack."""

    def register(run: Run) -> Run:
        name = run.__name__.replace("_", "-")
        known = _found.get(name)
        assert known is None or known.run.__module__ == run.__module__, f"{name} stands twice"
        _found[name] = Attack(name, text, who, cost, doors, restarts, run)
        return run

    return register


def all_attacks() -> list[Attack]:
    """Import every family and return its attacks, by name."""
    for module in pkgutil.iter_modules(adversary.__path__):
        if not module.name.startswith("__") and not module.ispkg:
            importlib.import_module(f"adversary.{module.name}")
    return [_found[name] for name in sorted(_found)]
