"""Which of the waiting batches are decoded now, when all of them would take too long.

What it takes to decode a batch is known from its decompressed size, before it is decoded. A load
beyond the budget is served by agent: the cheapest first, and each further batch of one agent behind
the first ones of the others. So one sender's costly batches wait, and nobody else's.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from netwatch.collector.agent_tables import Standing
from netwatch.protocols import Message

LOAD_BYTES = 1024 * 1024 + 1
"""Decompressed bytes of the batches in one transaction: 100 batches of a backlog, or the 20 that
take longest, about half a second; a quarter of that of agents that never enrolled."""
_SHARE = {Standing.ENROLLED: 1, Standing.OPEN: 4}
"""By how much a byte counts: names and keys of agents that never enrolled cost nothing."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message whose signature was checked, and that is not decoded yet.

    Attributes:
        plain: the message without its signature.
        key: the public key that signed it, None if unsigned.
        sender: the agent of the topic.
        cost: decompressed bytes.
    """

    message: Message
    plain: bytes
    key: bytes | None
    sender: str
    standing: Standing
    cost: int

    @property
    def account(self) -> str:
        """Who pays; all agents that were never seen before are one."""
        return "" if self.standing is Standing.NEW else self.sender


def admit(
    envelopes: Sequence[Envelope], *, budget: int = LOAD_BYTES
) -> tuple[list[Envelope], list[Envelope]]:
    """Return the envelopes to decode now, and those to decode later; both keep their order.

    At least one is decoded now, so that everything is in the end.
    """
    costs = [one.cost * _SHARE.get(one.standing, 4) for one in envelopes]
    if sum(costs) <= budget:
        return list(envelopes), []
    spent: Counter[str] = Counter()
    ranks: list[int] = []
    for one, cost in zip(envelopes, costs, strict=True):
        spent[one.account] += cost
        ranks.append(spent[one.account])
    admitted: set[int] = set()
    total = 0
    for index in sorted(range(len(envelopes)), key=ranks.__getitem__):
        total += costs[index]
        if admitted and total > budget:
            break
        admitted.add(index)
    numbered = list(enumerate(envelopes))
    return (
        [one for index, one in numbered if index in admitted],
        [one for index, one in numbered if index not in admitted],
    )
