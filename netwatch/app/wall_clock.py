"""The one place that reads the wall clock."""

from datetime import UTC, datetime


def now() -> datetime:
    """Return the present, aware UTC."""
    return datetime.now(UTC)
