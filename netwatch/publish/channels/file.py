"""File channel: one text file per post."""

import asyncio
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from netwatch.model.incident import Post
from netwatch.plugins import Section, decode_section
from netwatch.protocols import Delivery, Services
from netwatch.publish.language import load_language

_FOLDER_MODE, _FILE_MODE = 0o755, 0o644
"""Posts are public, also if the umask is stricter: a web server may read them. The data folder that
holds them by default lets nobody in; name a folder elsewhere for such a server."""


class _Options(Section, frozen=True):
    """`[channels.file]`: the folder of the posts, relative to the data folder, or absolute."""

    folder: str = "posts"


class FileChannel:
    """Writes each post atomically to a file of its own in `folder`.

    The name is made from incident, revision, language and key, so the same post written again
    is the same file with the same bytes.
    """

    name = "file"
    idempotent = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def from_config(cls, section: Mapping[str, object], services: Services) -> Self:
        """See `netwatch.protocols.Plugin`."""
        return cls(services.folder / decode_section(_Options, section).folder)

    def path(self, post: Post) -> Path:
        """Return the file of `post`, which is always inside the folder."""
        name = f"{post.incident}-r{post.revision:03d}-{post.language}-{post.key[:8]}"
        return self._folder / f"{re.sub(r'[^A-Za-z0-9-]', '_', name)}.txt"

    async def deliver(self, post: Post) -> Delivery:
        """Write `post`; a full or missing disk is retryable."""
        try:
            await asyncio.to_thread(self._write, post)
        except OSError as error:
            reason = f"file: {self._folder}: {error.strerror or error}"
            return Delivery(sent=False, reason=reason, retryable=True)
        return Delivery(sent=True)

    def _write(self, post: Post) -> None:
        path = self.path(post)
        path.parent.mkdir(_FOLDER_MODE, parents=True, exist_ok=True)
        draft = path.with_suffix(".part")
        chart = load_language(post.language).text("chart_in_words", post.alternative)
        with draft.open("w", encoding="utf-8", newline="\n") as file:
            file.write(f"{post.text}\n\n{chart}\n")
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(_FILE_MODE)
        draft.replace(path)
