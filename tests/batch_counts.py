"""What a batch log holds, for assertions."""

from netwatch.collector.batch_log import BatchLog
from netwatch.collector.clock_estimate import MAX_ERROR_MS


def count_batches(batch_log: BatchLog) -> int:
    """Return the number of stored batches."""
    return batch_log._database.read_number("SELECT count(*) FROM batch")


def count_undated(batch_log: BatchLog) -> int:
    """Return the number of stored measurements whose time is too uncertain."""
    query = f"SELECT coalesce(sum(rows), 0) FROM clock_span WHERE error > {MAX_ERROR_MS}"
    return batch_log._database.read_number(query)
