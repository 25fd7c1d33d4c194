"""The broker: bytes that are no MQTT."""

import asyncio
import os
from contextlib import suppress

from adversary.frame.registry import attack
from adversary.frame.stage import Stage

_DOORS = ("embedded", "mosquitto")


@attack(
    "bytes that are no MQTT, lengths that lie, and passwords that are wrong",
    who="anybody",
    cost="a hundred connections",
    doors=_DOORS,
)
async def broken_packets(stage: Stage) -> None:
    """Each ends its own connection alone."""
    connect = b"\x10\xff\xff\xff\x7f" + b"\x00\x04MQTT\x04\xc2\x00\x3c"
    wrong = b"\x10\x1a\x00\x04MQTT\x04\xc2\x00\x3c\x00\x01a\x00\x05admin\x00\x04\xff\xfe\xff\xfe"
    held = list[asyncio.StreamWriter]()
    for number in range(100):
        payload = (os.urandom(500), connect, wrong, b"\x30\xff\xff\xff\xff\xff")[number % 4]
        writer = await _open(stage)
        if writer is None:
            continue
        with suppress(OSError):
            writer.write(payload)
            await writer.drain()
        if number % 2:
            writer.close()
        held.append(writer)
    await asyncio.sleep(1)
    for writer in held:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def _open(stage: Stage) -> asyncio.StreamWriter | None:
    """Connect; None if the broker already closes such connections."""
    with suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", stage.observatory.config.broker.port)
        return writer
    return None
