"""A post as JSON, the same for every channel that machines read."""

import msgspec

from netwatch.model.incident import Post


def encode_post(post: Post) -> bytes:
    """Return `post` as one JSON object with the fields of `Post`.

    The same post gives the same bytes. Receivers recognise a repeated post by its `key` and
    ignore fields that they do not know.
    """
    return msgspec.json.encode(post)
