"""Executors: run the shards of a backtest in this process or in processes of this machine."""

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Protocol

from netwatch.lab.backtest.shard import Command, Partition, Reply, Shard
from netwatch.model.errors import WorkerError

_EXIT_SECONDS = 2
"""Seconds that a worker may take to end, before it is killed."""


class ShardExecutor(Protocol):
    """Runs commands on the shards of all partitions."""

    def run(self, commands: Sequence[Command]) -> list[Reply]:
        """Run one command a partition; return the replies in the order of the partitions.

        Raises:
            WorkerError: a worker is lost, and its shards with it.
        """

    def close(self) -> None:
        """Stop the workers."""


class ShardGroup:
    """The shards of one worker."""

    def __init__(self, partitions: Sequence[Partition]) -> None:
        self._shards = [Shard(partition) for partition in partitions]

    def run(self, commands: Sequence[Command]) -> list[Reply]:
        """Run one command a shard."""
        return [shard.run(command) for shard, command in zip(self._shards, commands, strict=True)]


def assign(sizes: Sequence[int], workers: int) -> list[list[int]]:
    """Return the numbers of the items that each of `workers` gets, about evenly by size."""
    assigned: list[list[int]] = [[] for _ in range(max(1, min(workers, len(sizes))))]
    totals = [0] * len(assigned)
    for number in sorted(range(len(sizes)), key=lambda number: -sizes[number]):
        least = totals.index(min(totals))
        assigned[least].append(number)
        totals[least] += sizes[number]
    return assigned


def run_assigned(
    assigned: Sequence[Sequence[int]],
    commands: Sequence[Command],
    start: Callable[[int, list[Command]], Callable[[], list[Reply]]],
) -> list[Reply]:
    """Start every worker's commands, then wait for the replies; return them in order.

    `start` takes the number of a worker and its commands, and returns how to wait for it.
    """
    waits = [
        start(worker, [commands[number] for number in numbers])
        for worker, numbers in enumerate(assigned)
    ]
    replies: dict[int, Reply] = {}
    for numbers, wait in zip(assigned, waits, strict=True):
        replies |= dict(zip(numbers, wait(), strict=True))
    return [replies[number] for number in range(len(commands))]


class LocalExecutor(ShardGroup):
    """All shards in this process."""

    def close(self) -> None:
        """Do nothing."""


class ProcessExecutor:
    """Shards in processes of this machine, which end with this one.

    A pipe a worker, not `concurrent.futures`: a worker keeps its shards between commands, and
    the end of this process closes the pipe, which ends the worker.
    """

    def __init__(self, partitions: Sequence[Partition], workers: int) -> None:
        """Start `workers` processes, or fewer if there are fewer partitions."""
        context = multiprocessing.get_context("spawn")
        self._assigned = assign([len(one.keys) for one in partitions], workers)
        self._pipes: list[Connection] = []
        self._processes: list[multiprocessing.process.BaseProcess] = []
        for number in range(len(self._assigned)):
            ours, theirs = context.Pipe()
            name = f"backtest worker {number + 1}"
            process = context.Process(target=_serve, args=(theirs,), daemon=True, name=name)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        try:
            for worker, numbers in enumerate(self._assigned):
                self._send(worker, [partitions[number] for number in numbers])
        except WorkerError:
            self.close()
            raise

    def run(self, commands: Sequence[Command]) -> list[Reply]:
        """Run one command a partition."""
        return run_assigned(self._assigned, commands, self._start)

    def close(self) -> None:
        """Stop the workers, which end when their pipe is closed."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(_EXIT_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()

    def _start(self, worker: int, commands: list[Command]) -> Callable[[], list[Reply]]:
        self._send(worker, commands)
        return lambda: self._receive(worker)

    def _send(self, worker: int, message: object) -> None:
        try:
            self._pipes[worker].send(message)
        except OSError as error:
            raise self._lost(worker) from error

    def _receive(self, worker: int) -> list[Reply]:
        try:
            replies: list[Reply] = self._pipes[worker].recv()
        except (OSError, EOFError) as error:
            raise self._lost(worker) from error
        return replies

    def _lost(self, worker: int) -> WorkerError:
        process = self._processes[worker]
        process.join(_EXIT_SECONDS)
        code = process.exitcode
        how = f"ended with exit code {code}"
        if code is not None and code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
        return WorkerError(
            f"worker {worker + 1} of {len(self._assigned)} (process {process.pid}) {how}; "
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
