"""netwatch: an Internet-shutdown monitor, from a probe to a published, checkable alert."""

__version__ = "0.1.0"
