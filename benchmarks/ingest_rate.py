"""How many measurements a second pass through unpacking, the batch log, counting and the store.

python benchmarks/ingest_rate.py [--json]
"""

import argparse
import json
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from netwatch.collector.batch_log import BatchLog
from netwatch.collector.bin_closer import BinCloser
from netwatch.collector.ingest import Ingest
from netwatch.collector.metrics import CollectorMetrics, by_label
from netwatch.model.measurement import Batch, Measurement, Observation, Target, Vantage
from netwatch.protocols import Message
from netwatch.store.sqlite import SqliteStore
from netwatch.wire.batch_codec import pack_batch
from netwatch.wire.topics import batch_topic

AGENTS = 100
ROWS = 60
MINUTES = 30
TARGETS = 400
START = datetime(2026, 1, 8, tzinfo=UTC)
BOOK = {
    f"target-{n}": Target(f"target-{n}", "tcp", "192.0.2.1", asn=64500 + n // 4, country="XX")
    for n in range(TARGETS)
}


def messages() -> list[Message]:
    """Make what `AGENTS` agents send in half an hour: a batch of 60 rows a minute each."""
    random = Random(7)
    made = []
    for minute in range(MINUTES):
        for agent in range(AGENTS):
            vantage = Vantage(f"agent-{agent}", "XX", 64500 + agent)
            rows = tuple(
                row(random, START + timedelta(minutes=minute, seconds=second))
                for second in range(ROWS)
            )
            payload = pack_batch(Batch(vantage, minute, rows))
            made.append(Message(batch_topic(vantage.id), payload))
    return made


def row(random: Random, time_: datetime) -> Measurement:
    target = f"target-{random.randrange(TARGETS)}"
    seconds = random.lognormvariate(-3.5, 0.8)
    failure = "generic_timeout_error" if random.random() < 0.03 else None
    step = Observation("connect", failure, seconds)
    scope = "timeout" if failure else ""
    return Measurement(target, "tcp", time_, failure, scope, failure is None, seconds, (step,))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--json", action="store_true", help="print JSON")
    chosen = options.parse_args()
    made = messages()
    total = len(made) * ROWS
    with tempfile.TemporaryDirectory() as folder:
        metrics = CollectorMetrics()
        batch_log = BatchLog(Path(folder) / "batches.sqlite")
        store = SqliteStore.at(str(Path(folder) / "store"))
        width, end = timedelta(minutes=5), START + timedelta(hours=1)
        ingest = Ingest(
            batch_log, width=width, clock=lambda: end, metrics=metrics, accept_unsigned=True
        )
        closer = BinCloser(batch_log, store, targets=BOOK, width=width, metrics=metrics)
        since = time.perf_counter()
        for first in range(0, len(made), 100):
            ingest.ingest(made[first : first + 100], closer.until)
        kept = time.perf_counter()
        closer.close(end)
        counted = time.perf_counter()
        batch_log.close()
        store.close()
    assert by_label(metrics.measurements)["stored"] == total
    result = {
        "measurements": total,
        "bytes_per_measurement": sum(len(one.payload) for one in made) / total,
        "kept_per_second": total / (kept - since),
        "counted_per_second": total / (counted - kept),
        "through_per_second": total / (counted - since),
    }
    if chosen.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:24}{value:14,.1f}")


if __name__ == "__main__":
    main()
