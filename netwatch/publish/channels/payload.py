"""A post as JSON, the same for every channel that carries it to machines."""

import msgspec

from netwatch.model.incident import Post


def post_body(post: Post) -> bytes:
    """Return `post` as one JSON object with the fields of `Post`; receivers ignore unknown ones.

    The same post gives the same bytes. `key` is what receivers know a repeat by.
    """
    return msgspec.json.encode(post)
