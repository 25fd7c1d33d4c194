"""Loading a library without what it would bring along for nothing."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(name: str) -> Iterator[None]:
    """Have a module look as if it were not installed, unless it is loaded already."""
    if name in sys.modules:
        yield
        return
    # The import system's own way to say that there is no such module.
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
