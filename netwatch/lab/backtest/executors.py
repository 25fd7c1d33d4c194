"""Executors: run the shards of a backtest in this process or in processes of this machine."""

import multiprocessing
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import TypeVar

from netwatch.lab.backtest.shard import Shard
from netwatch.lab.backtest.time_grid import Partition
from netwatch.model.errors import WorkerError

_EXIT_SECONDS = 2
"""Seconds that a worker may take to end, before it is killed."""

T = TypeVar("T")


class ShardGroup:
    """The shards of one worker."""

    def __init__(self, partitions: Sequence[Partition]) -> None:
        self._shards = [Shard(partition) for partition in partitions]

    def run(self, calls: Sequence[Callable[[Shard], T]]) -> list[T]:
        """Make one call a shard."""
        return [call(shard) for shard, call in zip(self._shards, calls, strict=True)]


def assign(sizes: Sequence[int], workers: int) -> list[list[int]]:
    """Return the numbers of the items that each of `workers` gets, about evenly by size."""
    assigned: list[list[int]] = [[] for _ in range(max(1, min(workers, len(sizes))))]
    totals = [0] * len(assigned)
    for number in sorted(range(len(sizes)), key=lambda number: -sizes[number]):
        least = totals.index(min(totals))
        assigned[least].append(number)
        totals[least] += sizes[number]
    return assigned


class ShardExecutor(ABC):
    """Makes calls to the shards of all partitions, each on the worker that keeps it."""

    def __init__(self, partitions: Sequence[Partition], workers: int) -> None:
        """Assign the partitions to workers, about evenly by their number of series."""
        self._assigned = assign([len(one.keys) for one in partitions], workers)
        self._parts = [[partitions[number] for number in numbers] for numbers in self._assigned]

    def run(self, calls: Sequence[Callable[[Shard], T]]) -> list[T]:
        """Make one call a partition; return the results in the order of the partitions.

        A call goes to another process: it is a method of `Shard`, or a `partial` of one.

        Raises:
            WorkerError: a worker is lost, and its shards with it.
        """
        waits = [
            self._start(worker, [calls[number] for number in numbers])
            for worker, numbers in enumerate(self._assigned)
        ]
        results: dict[int, T] = {}
        for numbers, wait in zip(self._assigned, waits, strict=True):
            results |= dict(zip(numbers, wait(), strict=True))
        return [results[number] for number in range(len(calls))]

    @abstractmethod
    def _start(self, worker: int, calls: Sequence[Callable[[Shard], T]]) -> Callable[[], list[T]]:
        """Start the calls to the shards of a worker; return a function that waits for results."""

    def close(self) -> None:  # noqa: B027 - most executors have nothing to stop
        """Stop the workers."""


class LocalExecutor(ShardExecutor):
    """All shards in this process."""

    def __init__(self, partitions: Sequence[Partition]) -> None:
        super().__init__(partitions, 1)
        self._groups = [ShardGroup(part) for part in self._parts]

    def _start(self, worker: int, calls: Sequence[Callable[[Shard], T]]) -> Callable[[], list[T]]:
        return lambda: self._groups[worker].run(calls)


class ProcessExecutor(ShardExecutor):
    """Shards in processes of this machine, which end with this one.

    A pipe a worker, not `concurrent.futures`: a worker keeps its shards between calls, and
    the end of this process closes the pipe, which ends the worker.
    """

    def __init__(self, partitions: Sequence[Partition], workers: int) -> None:
        """Start `workers` processes, or fewer if there are fewer partitions."""
        super().__init__(partitions, workers)
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._processes: list[multiprocessing.process.BaseProcess] = []
        for number in range(1, len(self._parts) + 1):
            ours, theirs = context.Pipe()
            name = f"backtest worker {number}"
            process = context.Process(target=_serve, args=(theirs,), daemon=True, name=name)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        try:
            for worker, part in enumerate(self._parts):
                with self._translate_errors(worker):
                    self._pipes[worker].send(part)
        except WorkerError:
            self.close()
            raise

    def close(self) -> None:
        """Stop the workers, which end when their pipe is closed."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(_EXIT_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()

    def _start(self, worker: int, calls: Sequence[Callable[[Shard], T]]) -> Callable[[], list[T]]:
        pipe = self._pipes[worker]
        with self._translate_errors(worker):
            pipe.send(calls)

        def receive() -> list[T]:
            with self._translate_errors(worker):
                results: list[T] = pipe.recv()
            return results

        return receive

    @contextmanager
    def _translate_errors(self, worker: int) -> Iterator[None]:
        try:
            yield
        except (OSError, EOFError) as error:
            raise self._lost(worker) from error

    def _lost(self, worker: int) -> WorkerError:
        process = self._processes[worker]
        process.join(_EXIT_SECONDS)
        code = process.exitcode
        how = f"ended with exit code {code}"
        if code is not None and code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
        return WorkerError(
            f"worker {worker + 1} of {len(self._parts)} (process {process.pid}) {how}; "
            "nothing was written"
        )


def _serve(pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        shards = ShardGroup(pipe.recv())
        while True:
            pipe.send(shards.run(pipe.recv()))
    except (EOFError, ConnectionError):
        return
