"""Who judges the parcels: this process, or processes of this machine."""

import multiprocessing
import signal
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Protocol

from netwatch.lab.backtest.shard import Order, Partition, Reply, Shard
from netwatch.model.errors import WorkerError


class ShardExecutor(Protocol):
    """Judges parcels, one shard each."""

    def ask(self, orders: Sequence[Order]) -> list[Reply]:
        """Have every shard do its order; return the replies in the order of the parcels.

        Raises:
            WorkerError: a worker is gone; nothing more can come of this crew.
        """

    def close(self) -> None:
        """Let the workers go."""


def partition(parcels: Sequence[Partition], hands: int) -> list[list[int]]:
    """Return the numbers of the parcels that each of `hands` workers judges, evenly by series."""
    found: list[list[int]] = [[] for _ in range(max(1, min(hands, len(parcels))))]
    sizes = [0] * len(found)
    order = sorted(range(len(parcels)), key=lambda number: -len(parcels[number].keys))
    for number in order:
        least = sizes.index(min(sizes))
        found[least].append(number)
        sizes[least] += len(parcels[number].keys)
    return found


class LocalExecutor:
    """All shards in this process, one after another."""

    def __init__(self, parcels: Sequence[Partition]) -> None:
        """Lay out `parcels`."""
        self._shards = [Shard(parcel) for parcel in parcels]

    def ask(self, orders: Sequence[Order]) -> list[Reply]:
        """Do one order after another."""
        return [shard.do(order) for shard, order in zip(self._shards, orders, strict=True)]

    def close(self) -> None:
        """Do nothing."""


class ProcessExecutor:
    """Shards in processes of this machine; ends with them, and ends them with itself."""

    def __init__(self, parcels: Sequence[Partition], workers: int) -> None:
        """Start `workers` processes, or fewer where there are fewer parcels."""
        context = multiprocessing.get_context("spawn")
        self._hands = partition(parcels, workers)
        self._pipes: list[Connection] = []
        self._processes: list[multiprocessing.process.BaseProcess] = []
        for number, _ in enumerate(self._hands):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_work, args=(theirs,), daemon=True, name=f"backtest worker {number + 1}"
            )
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        try:
            self._hand_out(parcels)
        except WorkerError:
            self.close()
            raise

    def ask(self, orders: Sequence[Order]) -> list[Reply]:
        """Send every worker its orders, then gather what they answer."""
        for number, hand in enumerate(self._hands):
            self._send(number, [orders[place] for place in hand])
        found: dict[int, Reply] = {}
        for number, hand in enumerate(self._hands):
            found |= dict(zip(hand, self._receive(number), strict=True))
        return [found[place] for place in range(len(orders))]

    def close(self) -> None:
        """End the workers, who end by themselves when nobody speaks to them any more."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(timeout=2)
            if process.is_alive():
                process.kill()
                process.join()

    def _hand_out(self, parcels: Sequence[Partition]) -> None:
        """Send the workers their parcels."""
        for number, hand in enumerate(self._hands):
            self._send(number, len(hand))
            for place in hand:
                self._send(number, parcels[place])

    def _send(self, number: int, what: object) -> None:
        """Send something to one worker."""
        try:
            self._pipes[number].send(what)
        except OSError as error:
            raise self._gone(number) from error

    def _receive(self, number: int) -> list[Reply]:
        """Return what one worker answers."""
        try:
            replies: list[Reply] = self._pipes[number].recv()
        except (OSError, EOFError) as error:
            raise self._gone(number) from error
        return replies

    def _gone(self, number: int) -> WorkerError:
        """Return what to say of a worker that is no more."""
        process = self._processes[number]
        process.join(timeout=2)
        code = process.exitcode
        how = f"ended with exit code {code}"
        if code is not None and code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
        return WorkerError(
            f"worker {number + 1} of {len(self._hands)} (process {process.pid}) {how}; "
            "nothing was written"
        )


def _work(pipe: Connection) -> None:
    """Judge what comes through `pipe`, until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        shards = [Shard(pipe.recv()) for _ in range(pipe.recv())]
        while True:
            orders: list[Order] = pipe.recv()
            pipe.send([shard.do(order) for shard, order in zip(shards, orders, strict=True)])
    except (EOFError, ConnectionError):
        # Who asked is done, or is no more.
        return
