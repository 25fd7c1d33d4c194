"""Files: one text file a post, for mirrors, mail and people."""

import asyncio
import os
import re
from pathlib import Path

from netwatch.model.incident import Post
from netwatch.protocols import Delivery


class FileChannel:
    """Writes each post to its own file in `folder`, whole or not at all.

    The name is made from incident, revision, language and key: the same post written again
    is the same file with the same bytes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def name(self) -> str:
        """The name under which the configuration asks for this channel."""
        return "file"

    @property
    def idempotent(self) -> bool:
        """The same post goes to the same file."""
        return True

    def path(self, post: Post) -> Path:
        """Return the file of `post`; nothing in a post's values leads out of the folder."""
        name = f"{post.incident}-r{post.revision:03d}-{post.language}-{post.key[:8]}"
        return self._folder / f"{re.sub(r'[^A-Za-z0-9-]', '_', name)}.txt"

    async def deliver(self, post: Post) -> Delivery:
        """Write `post`; a full or missing disk is a failure that is tried again."""
        try:
            await asyncio.to_thread(self._write, post)
        except OSError as error:
            return Delivery(
                sent=False,
                reason=f"file: {self._folder}: {error.strerror or error}",
                retryable=True,
            )
        return Delivery(sent=True)

    def _write(self, post: Post) -> None:
        path = self.path(post)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".part")
        with draft.open("w", encoding="utf-8", newline="\n") as file:
            file.write(f"{post.text}\n\nThe chart in words: {post.alternative}\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
