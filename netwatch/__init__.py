"""netwatch: an Internet-shutdown monitor, from a probe to a published, checkable alert."""

__all__ = ["__version__"]

__version__ = "0.1.0"
