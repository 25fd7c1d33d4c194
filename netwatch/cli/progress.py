"""Progress bars, on stderr and only for a person."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress


@contextmanager
def progress_bar(title: str, *, quiet: bool = False) -> Iterator[Callable[[float], None]]:
    """Yield a function that takes the share done, 0 to 1; silent where nobody looks."""
    console = Console(file=sys.stderr)
    with Progress(console=console, disable=quiet or not console.is_terminal) as progress:
        task = progress.add_task(title, total=1.0)

        def show(share: float) -> None:
            progress.update(task, completed=share)

        yield show
