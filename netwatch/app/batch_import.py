"""Imports batches that were carried in files into the configured observatory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from netwatch.app.fleet_admin import collector_identity, open_batch_log
from netwatch.app.wall_clock import now
from netwatch.collector.file_import import import_batches
from netwatch.collector.ingest import Ingest
from netwatch.collector.metrics import CollectorMetrics, by_label
from netwatch.config import Config
from netwatch.wire.ack import ACKNOWLEDGEMENT, Ack
from netwatch.wire.export import FileKind, write_messages


@dataclass(frozen=True, slots=True)
class FileResult:
    """How many batches of a file were read; `problem` is why not all, None if all were."""

    file: Path
    read: int
    problem: str | None


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import stored, batches by result, and the files in the order given."""

    stored_batches: int
    stored_measurements: int
    repeated_batches: int
    batches: dict[str, int]
    files: list[FileResult]


def import_files(
    config: Config,
    paths: Sequence[Path],
    *,
    receipts: Path | None,
    progress: Callable[[float], object],
) -> ImportResult:
    """Import files of `netwatch agent export`. A collector may run on the same data.

    Acknowledgements for the agents' spools are written to `receipts`, if given.

    Raises:
        InputError: the receipts cannot be written; the imported batches stay.
        StoreError: the observatory's files cannot be read or written.
    """
    metrics = CollectorMetrics()
    files, acks = list[FileResult](), list[Ack]()
    with open_batch_log(config) as batch_log:
        # A collector may close bins meanwhile, so all measurements up to now count as late.
        closed_until = now()
        ingest = Ingest(
            batch_log,
            width=config.analysis.bin,
            clock=now,
            metrics=metrics,
            accept_unsigned=config.collector.unsigned,
        )
        for number, path in enumerate(paths):

            def report(share: float, number: int = number) -> None:
                progress((number + share) / len(paths))

            imported = import_batches(path, ingest, closed_until=closed_until, progress=report)
            files.append(FileResult(path, imported.read, imported.problem or None))
            acks += imported.acks
    if receipts is not None:
        signer = collector_identity(config).signer
        messages = (ACKNOWLEDGEMENT.pack(ack, signer) for ack in acks)
        write_messages(receipts, messages, FileKind.RECEIPTS)
    batches = by_label(metrics.batches)
    measurements = by_label(metrics.measurements)
    return ImportResult(
        batches["stored"], measurements["stored"], batches["repeated"], dict(batches), files
    )
