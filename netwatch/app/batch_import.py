"""Exports that were carried here by hand, taken into the observatory of the configuration."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from netwatch.agent.identity import load_or_create_identity
from netwatch.app.clock import now
from netwatch.app.factories import open_store
from netwatch.collector.batch_log import BATCH_LOG_FILE, BatchLog
from netwatch.collector.bin_closer import BinCloser
from netwatch.collector.file_import import ImportedFile, import_batches
from netwatch.collector.ingest import Ingest
from netwatch.collector.metrics import CollectorMetrics, by_label
from netwatch.config import Config
from netwatch.wire.ack import pack_ack
from netwatch.wire.export import write_receipts
from netwatch.wire.signing import ACKNOWLEDGEMENT


@dataclass(frozen=True, slots=True)
class Import:
    """What became of some files.

    Attributes:
        files: what became of each, in the order in which they were named.
        batches: how many, by result.
        measurements: how many were stored.
    """

    files: tuple[tuple[Path, ImportedFile], ...]
    batches: dict[str, int]
    measurements: int


def import_files(
    config: Config,
    paths: Sequence[Path],
    *,
    receipts: Path | None,
    progress: Callable[[float], object],
) -> Import:
    """Take exports in, whether or not a collector runs on the same data meanwhile.

    With `receipts`, write there what lets the agents' spools forget what is kept here.

    Raises:
        InputError: the receipts cannot be written; what was imported is kept.
        StoreError: the observatory's files cannot be read or written.
    """
    folder, metrics = Path(config.data), CollectorMetrics()
    folder.mkdir(parents=True, exist_ok=True)
    store = open_store(config)
    found: list[tuple[Path, ImportedFile]] = []
    try:
        with BatchLog(folder / BATCH_LOG_FILE) as batch_log:
            targets = {target.id: target for target in config.target}
            closer = BinCloser(
                batch_log, store, targets=targets, width=config.analysis.bin, metrics=metrics
            )
            # A collector may close bins meanwhile: whatever was measured by now is late for it.
            closer.until = now()
            ingest = Ingest(batch_log, clock=now, metrics=metrics)
            for number, path in enumerate(paths):
                found.append((path, import_batches(
                    path, ingest, closer, progress=_part(progress, number, len(paths))
                )))  # fmt: skip
    finally:
        store.close()
    if receipts is not None:
        _write_receipts(folder, receipts, [one for _, one in found])
    return Import(
        tuple(found),
        dict(by_label(metrics.batches)),
        by_label(metrics.measurements)["stored"],
    )


def _part(
    progress: Callable[[float], object], number: int, total: int
) -> Callable[[float], object]:
    """Return what tells of one file's progress as a part of all."""
    return lambda share: progress((number + share) / total)


def _write_receipts(folder: Path, path: Path, files: Sequence[ImportedFile]) -> None:
    """Sign what the agents are to be told, and write it down."""
    signer = load_or_create_identity(folder / "collector.key").signer
    write_receipts(
        path,
        (signer.sign(pack_ack(answer), ACKNOWLEDGEMENT) for one in files for answer in one.acks),
    )
