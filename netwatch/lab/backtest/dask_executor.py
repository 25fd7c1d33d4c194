"""Executor on a Dask cluster: the shards of a worker are an actor there.

The workers need the same netwatch as this machine. Nothing is written there.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from distributed import Actor, Client

from netwatch.lab.backtest.executors import ShardExecutor, ShardGroup, T
from netwatch.lab.backtest.shard import Shard
from netwatch.lab.backtest.time_grid import Partition
from netwatch.model.errors import WorkerError

_CONNECT_SECONDS = 15.0
"""Seconds that a scheduler may take to answer."""


class DaskExecutor(ShardExecutor):
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
            workers = self._workers()
            super().__init__(partitions, len(workers))
            with self._translate_errors():
                # The futures keep the actors alive.
                self._futures = [
                    self._client.submit(ShardGroup, part, actor=True, workers=[worker], pure=False)
                    for part, worker in zip(self._parts, workers, strict=False)
                ]
                self._actors: list[Actor] = [future.result() for future in self._futures]
        except BaseException:
            self.close()
            raise

    def _workers(self) -> list[str]:
        workers = sorted(self._client.scheduler_info(n_workers=-1)["workers"])
        if not workers:
            raise WorkerError(f"the Dask scheduler at {self._address} has no workers")
        return workers

    def run(self, calls: Sequence[Callable[[Shard], T]]) -> list[T]:
        """Make one call a partition."""
        with self._translate_errors():
            return super().run(calls)

    def _start(self, worker: int, calls: Sequence[Callable[[Shard], T]]) -> Callable[[], list[T]]:
        wait: Callable[[], list[T]] = self._actors[worker].run(calls).result
        return wait

    def close(self) -> None:
        """Disconnect from the cluster."""
        self._client.close(timeout=2)

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, RuntimeError, ValueError) as error:
            raise WorkerError(
                f"a worker of the Dask cluster at {self._address} is gone; nothing was written"
            ) from error
