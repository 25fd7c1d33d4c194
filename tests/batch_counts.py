"""What a batch log holds, for assertions."""

from netwatch.collector.batch_log import BatchLog


def count_batches(batch_log: BatchLog) -> int:
    """Return the number of stored batches."""
    return batch_log._database.read_number("SELECT count(*) FROM batch")
