"""Console channel: prints posts as text."""

from collections.abc import Callable, Mapping
from typing import Self

from netwatch.model.incident import Post
from netwatch.plugins import Section, decode_section
from netwatch.protocols import Delivery, Services


class ConsoleChannel:
    """Passes each post to `write` as one text that ends in an empty line.

    A printed line cannot be taken back, so an interrupted post needs review.
    """

    name = "console"
    idempotent = False

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write

    @classmethod
    def from_config(cls, section: Mapping[str, object], services: Services) -> Self:
        """See `netwatch.protocols.Plugin`."""
        decode_section(Section, section)
        return cls(services.write)

    async def deliver(self, post: Post) -> Delivery:
        """Write `post`; a closed terminal is a permanent failure."""
        try:
            self._write(f"{post.text}\n\n")
        except (OSError, ValueError) as error:
            return Delivery(sent=False, reason=f"console: {error}")
        return Delivery(sent=True)
