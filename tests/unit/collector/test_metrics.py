"""CollectorMetrics by label, and warnings that cannot forge log lines."""

import logging

import pytest
from prometheus_client import generate_latest

from netwatch.collector.metrics import CollectorMetrics, by_label


def test_control_characters_are_escaped(caplog: pytest.LogCaptureFixture) -> None:
    """Line breaks and colours are escaped; letters of any script stay."""
    metrics = CollectorMetrics()
    with caplog.at_level(logging.WARNING):
        metrics.warn(
            metrics.batches,
            "garbled",
            "agent ایران\n2026 WARNING all is well\x1b[2J\u2028: refused",
        )
    (record,) = caplog.records
    message = record.getMessage()
    assert message.splitlines() == [message]
    assert "\x1b" not in message
    assert "ایران\\n2026 WARNING all is well\\x1b[2J\\u2028: refused" in message


def test_repeated_warnings_are_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    metrics = CollectorMetrics()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            metrics.warn(metrics.batches, "garbled", "no batch")
        metrics.warn(metrics.batches, "future", "a batch from tomorrow")
    assert [record.getMessage() for record in caplog.records] == [
        "no batch (garbled: 1 so far)",
        "a batch from tomorrow (future: 1 so far)",
    ]
    assert by_label(metrics.batches) == {"garbled": 3, "future": 1}


def test_metrics_are_exported_in_prometheus_format() -> None:
    metrics = CollectorMetrics()
    metrics.batches.labels("stored").inc(2)
    assert (
        'netwatch_batches_total{result="stored"} 2.0' in generate_latest(metrics.registry).decode()
    )
