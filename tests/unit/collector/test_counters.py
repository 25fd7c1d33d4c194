"""What strangers send stays on the line that complains of it."""

import logging

import pytest

from netwatch.collector.counters import Counters


def test_a_name_with_a_break_forges_no_line(caplog: pytest.LogCaptureFixture) -> None:
    """Breaks, colours and the like are shown, not obeyed; letters of any script stay."""
    with caplog.at_level(logging.WARNING):
        Counters().complain(
            "strange", "agent ایران\n2026 WARNING all is well\x1b[2J\u2028: refused"
        )
    (record,) = caplog.records
    said = record.getMessage()
    assert said.splitlines() == [said]
    assert "\x1b" not in said
    assert "ایران\\n2026 WARNING all is well\\x1b[2J\\u2028: refused" in said
