"""Looks up whether the sender of a message is known, before anything is done for it."""

from collections.abc import Callable
from typing import TypeVar

from netwatch.collector.agent_tables import Standing
from netwatch.collector.registry import Registry
from netwatch.model.errors import StoreError

_T = TypeVar("_T")


class KnownSenders:
    """Queries to the collector's tables of agents, whose file stays open; for one thread.

    Opening the file takes a thousand times as long as a query.

    Raises:
        StoreError: from every query, if the tables cannot be used; the next query opens them anew.
    """

    def __init__(self, open_registry: Callable[[], Registry]) -> None:
        self._open = open_registry
        self._registry: Registry | None = None

    def standing(self, name: str, key: bytes) -> Standing:
        """Return what is known of an agent's name with this key; a wrong key is a new sender's."""
        found = self._query(lambda registry: registry.standing(name, key))
        return Standing.NEW if found is Standing.WRONG_KEY else found

    def invited(self, digest: bytes) -> Standing:
        """Return `ENROLLED` if an invitation's secret has this digest, used or not, else `NEW`."""
        known = self._query(lambda registry: registry.has_invitation(digest))
        return Standing.ENROLLED if known else Standing.NEW

    def _query(self, read: Callable[[Registry], _T]) -> _T:
        if self._registry is None:
            self._registry = self._open()
        try:
            return read(self._registry)
        except StoreError:
            broken, self._registry = self._registry, None
            broken.close()
            raise
