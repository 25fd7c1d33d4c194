"""Executor on a Dask cluster: the shards of a worker are an actor there.

The workers need the same netwatch as this machine. Nothing is written there.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, cast

from distributed import Client, Future

from netwatch.lab.backtest.executors import ShardGroup, assign, run_assigned
from netwatch.lab.backtest.shard import Command, Partition, Reply
from netwatch.model.errors import WorkerError

_CONNECT_SECONDS = 15.0
"""Seconds that a scheduler may take to answer."""


class _ActorFuture(Protocol):
    """Pending result of a call to an actor."""

    def result(self) -> list[Reply]:
        """Wait for the replies."""


class _Actor(Protocol):
    """A `ShardGroup` on a worker."""

    def run(self, commands: Sequence[Command]) -> _ActorFuture:
        """Start one command a shard."""


class DaskExecutor:
    """Shards on the workers of a Dask cluster; fails if one of them is lost."""

    def __init__(self, partitions: Sequence[Partition], address: str) -> None:
        """Send `partitions` to the workers of the scheduler at `address`.

        Raises:
            WorkerError: no scheduler answers there, or it has no workers.
        """
        self._address = address
        try:
            self._client = Client(address, timeout=_CONNECT_SECONDS)
        except (OSError, ValueError) as error:
            raise WorkerError(f"no Dask scheduler answers at {address}") from error
        try:
            self._create_actors(partitions)
        except BaseException:
            self.close()
            raise

    def _create_actors(self, partitions: Sequence[Partition]) -> None:
        workers = sorted(self._client.scheduler_info(n_workers=-1)["workers"])
        if not workers:
            raise WorkerError(f"the Dask scheduler at {self._address} has no workers")
        self._assigned = assign([len(one.keys) for one in partitions], len(workers))
        with self._translate_errors():
            # The futures keep the actors alive.
            self._futures: list[Future] = [
                self._client.submit(
                    ShardGroup, [partitions[number] for number in numbers],
                    actor=True, workers=[worker], pure=False,
                )
                for numbers, worker in zip(self._assigned, workers, strict=False)
            ]  # fmt: skip
            self._actors = [cast("_Actor", future.result()) for future in self._futures]

    def run(self, commands: Sequence[Command]) -> list[Reply]:
        """Run one command a partition."""
        with self._translate_errors():
            return run_assigned(self._assigned, commands, self._start)

    def close(self) -> None:
        """Disconnect from the cluster."""
        self._client.close(timeout=2)

    def _start(self, worker: int, commands: list[Command]) -> Callable[[], list[Reply]]:
        return self._actors[worker].run(commands).result

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, RuntimeError, ValueError) as error:
            raise WorkerError(
                f"a worker of the Dask cluster at {self._address} is gone; nothing was written"
            ) from error
