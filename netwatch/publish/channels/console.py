"""The console: posts as text for whoever started the observatory."""

from collections.abc import Callable

from netwatch.model.incident import Post
from netwatch.protocols import Delivery


class ConsoleChannel:
    """Hands each post to `write` as one text that ends in a newline.

    Nobody can unprint a line, so a post that a crash interrupted is left to a human.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write

    @property
    def name(self) -> str:
        """The name under which the configuration asks for this channel."""
        return "console"

    @property
    def idempotent(self) -> bool:
        """A line that is printed twice shows twice."""
        return False

    async def deliver(self, post: Post) -> Delivery:
        """Write `post`; a terminal that went away is a failure that no retry mends."""
        try:
            self._write(f"{post.text}\n\n")
        except (OSError, ValueError) as error:
            return Delivery(sent=False, reason=f"console: {error}")
        return Delivery(sent=True)
