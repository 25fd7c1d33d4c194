"""Single messages: bytes that are not what their topic promises, and batches that unpack far."""

import zlib

import msgspec

from adversary.frame.registry import attack
from adversary.frame.stage import Stage
from netwatch.app.wall_clock import now
from netwatch.model.time import to_millis
from netwatch.wire.batch_codec import BATCH
from netwatch.wire.presence_message import PRESENCE
from netwatch.wire.zlib_dictionary import DICTIONARY

_BOMBS = 128


@attack(
    "a presence message that is not UTF-8, signed by a new key, retained where there is a broker",
    who="anybody",
    cost="one message",
    restarts=True,
)
async def presence_not_utf8(stage: Stage) -> None:
    """It must not end the process, neither now nor after a restart, when it comes again."""
    one = stage.stranger()
    text = b'{"state":"up","boot":"\xff\xfe","session":1,"connection":1}'
    payload = one.identity.signer.sign(text, PRESENCE.purpose)
    await stage.send_presence(one.name, payload, retain=True)
    await stage.restart()


@attack(
    f"{_BOMBS} batches of some hundred bytes that unpack to 5,000 rows of 32 observations",
    who="anybody",
    cost="50 kB",
)
async def unpacking_bomb(stage: Stage) -> None:
    """Memory is bounded, and honest batches do not wait behind them."""
    one = stage.stranger()
    for sequence in range(_BOMBS):
        plain = bomb(one.name, sequence)
        await stage.send_batch(one.name, one.identity.signer.sign(plain, BATCH.purpose))


def bomb(name: str, sequence: int, rows: int = 5_000, steps: int = 32) -> bytes:
    """Return an unsigned batch of as many rows and observations as the format allows."""
    table = [
        name, "XX", 64500, sequence, to_millis(now()) - 60_000,
        [["as64500-tcp", "tcp"]], [[["connect", None, ""]] * steps], [[None, "", True]],
        [0] * rows, [0] * rows, [0] * rows, [1] * rows, [0] * rows, [0] * (rows * steps),
        [], [], [], [],
    ]  # fmt: skip
    packer = zlib.compressobj(9, zdict=DICTIONARY)
    return b"NW\x01" + packer.compress(msgspec.msgpack.encode(table)) + packer.flush()
