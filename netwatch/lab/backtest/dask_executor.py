"""Parcels on a Dask cluster: the shards of a worker are an actor there.

The workers need the same netwatch as this machine. Nothing is written there.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, cast

from distributed import Client, Future

from netwatch.lab.backtest.executors import partition
from netwatch.lab.backtest.shard import Order, Partition, Reply, Shard
from netwatch.model.errors import WorkerError

_PATIENCE = 15.0
"""Seconds that a scheduler may take to answer at all."""


class _Hand:
    """The shards of one worker."""

    def __init__(self, parcels: Sequence[Partition]) -> None:
        self._shards = [Shard(parcel) for parcel in parcels]

    def do(self, orders: Sequence[Order]) -> list[Reply]:
        """Do one order a shard."""
        return [shard.do(order) for shard, order in zip(self._shards, orders, strict=True)]


class _Answer(Protocol):
    """What a call to an actor returns at once."""

    def result(self) -> list[Reply]:
        """Wait for the replies."""


class _Actor(Protocol):
    """An actor as this module uses it."""

    def do(self, orders: Sequence[Order]) -> _Answer:
        """Begin to do one order a shard."""


class DaskExecutor:
    """Shards on the workers of a Dask cluster; ends where one of them is lost."""

    def __init__(self, parcels: Sequence[Partition], address: str) -> None:
        """Send `parcels` to the workers behind the scheduler at `address`.

        Raises:
            WorkerError: no scheduler there, or it has no workers.
        """
        self._address = address
        try:
            self._client = Client(address, timeout=_PATIENCE)
        except (OSError, ValueError) as error:
            raise WorkerError(f"no Dask scheduler answers at {address}") from error
        try:
            self._hire(parcels)
        except BaseException:
            self.close()
            raise

    def _hire(self, parcels: Sequence[Partition]) -> None:
        """Make an actor on every worker."""
        workers = sorted(self._client.scheduler_info(n_workers=-1)["workers"])
        if not workers:
            raise WorkerError(f"the Dask scheduler at {self._address} has no workers")
        self._hands = partition(parcels, len(workers))
        with self._losses():
            futures: list[Future] = [
                self._client.submit(
                    _Hand, [parcels[place] for place in hand],
                    actor=True, workers=[worker], pure=False,
                )
                for hand, worker in zip(self._hands, workers, strict=False)
            ]  # fmt: skip
            self._futures = futures
            self._actors = [cast("_Actor", future.result()) for future in futures]

    def ask(self, orders: Sequence[Order]) -> list[Reply]:
        """Send every worker its orders, then gather what they answer."""
        with self._losses():
            answers = [
                actor.do([orders[place] for place in hand])
                for actor, hand in zip(self._actors, self._hands, strict=True)
            ]
            found: dict[int, Reply] = {}
            for answer, hand in zip(answers, self._hands, strict=True):
                found |= dict(zip(hand, answer.result(), strict=True))
        return [found[place] for place in range(len(orders))]

    def close(self) -> None:
        """Leave the cluster."""
        self._client.close(timeout=2)

    @contextmanager
    def _losses(self) -> Iterator[None]:
        """Say in one line that a worker of the cluster was lost."""
        try:
            yield
        except (OSError, RuntimeError, ValueError) as error:
            raise WorkerError(
                f"a worker of the Dask cluster at {self._address} is gone; nothing was written"
            ) from error
