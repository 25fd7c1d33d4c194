"""Single messages: bytes that are not what their topic promises, and batches that unpack far."""

import zlib
from collections.abc import Sequence
from contextlib import suppress
from secrets import token_bytes

import msgspec

from adversary.frame.registry import attack
from adversary.frame.stage import Stage
from netwatch.app.wall_clock import now
from netwatch.collector.registry import Registry
from netwatch.model.errors import TransportError
from netwatch.model.time import to_millis
from netwatch.wire.ack import ACKNOWLEDGEMENT
from netwatch.wire.batch_codec import BATCH
from netwatch.wire.presence_message import PRESENCE
from netwatch.wire.rate_advice import RATE_ADVICE
from netwatch.wire.topics import (
    RATE_ADVICE_TOPIC,
    TARGET_LIST_TOPIC,
    ack_topic,
    batch_topic,
    presence_topic,
)
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


@attack(
    "every topic that is received, with random bytes, other agents' names, no UTF-8, and nothing",
    who="anybody with an account at the broker",
    cost="50 messages",
    doors=("embedded", "mosquitto"),
)
async def garbage_on_every_topic(stage: Stage) -> None:
    """No message ends a loop, of the collector or of an agent."""
    one = stage.stranger()
    signed = [
        one.identity.signer.sign(b"\xff" * 40, purpose)
        for purpose in (ACKNOWLEDGEMENT.purpose, RATE_ADVICE.purpose, BATCH.purpose)
    ]
    names = ("honest-1", one.name, "no agent", "x" * 65, "\x01", "\ud7ff", "")
    topics = [batch_topic(name) for name in names] + [presence_topic(name) for name in names]
    topics += [ack_topic("honest-1"), RATE_ADVICE_TOPIC, TARGET_LIST_TOPIC]
    async with stage.connect(one.name) as link:
        for topic in topics:
            for payload in (b"\xff\xfe", b"", b"[" * 60_000, token_bytes(1000), *signed):
                with suppress(TransportError):
                    await link.publish(topic, payload)


@attack(
    "a retained message of a megabyte, and one of four that the broker must refuse",
    who="anybody with an account at the broker",
    cost="5 MB",
    doors=("embedded", "mosquitto"),
)
async def payload_of_megabytes(stage: Stage) -> None:
    """The broker refuses what is too large, and the collector ignores the rest."""
    one = stage.stranger()
    for size in (65_537, 1_000_000, 4_000_000):
        with suppress(TransportError):
            async with stage.connect(one.name) as link:
                await link.publish(batch_topic(one.name), b"x" * size, retain=True)


@attack(
    "300 batches of one row each over 400 days, that name the same closed hours again and again",
    who="anybody",
    cost="60 kB",
)
async def closed_hours_named_again(stage: Stage) -> None:
    """Few intervals are counted again at once, the others one by one."""
    one = stage.stranger()
    for sequence in range(300):
        plain = rows_apart(one.name, sequence, rows=5_000, step=6_900_000)
        await stage.send_batch(one.name, one.identity.signer.sign(plain, BATCH.purpose))


@attack(
    "batches with 500 superseded ranges each, ranges that end before they start, and one range over"
    " everything",
    who="anybody",
    cost="100 kB",
)
async def superseded_ranges(stage: Stage) -> None:
    """They cost a later batch nothing, and keep no other batch from being stored."""
    one = stage.stranger()
    sign = one.identity.signer
    for sequence in range(20):
        start = 10_000 + 2_000 * sequence
        ranges = [[start + 3 * number, start + 3 * number + 1] for number in range(500)]
        plain = rows_apart(one.name, sequence, rows=1, step=0, supersedes=ranges)
        await stage.send_batch(one.name, sign.sign(plain, BATCH.purpose))
    others = [[7_007, 7_010]], [[7_010, 7_005]], [[0, 2**53 - 1]]
    for sequence, more in enumerate(others, 97):
        plain = rows_apart(one.name, sequence, rows=1, step=0, supersedes=more)
        await stage.send_batch(one.name, sign.sign(plain, BATCH.purpose))


@attack(
    "unsigned batches, and batches of another key, under the name of an honest agent",
    who="anybody; with an account of the same name where the broker checks names",
    cost="10 messages",
    doors=("embedded", "https"),
)
async def batches_under_another_name(stage: Stage) -> None:
    """The owner of the name is not quarantined."""
    name, sign = "honest-1", stage.stranger().identity.signer
    for sequence in range(5):
        plain = rows_apart(name, sequence, rows=1, step=0)
        await stage.send_batch(name, plain)
        await stage.send_batch(name, sign.sign(plain, BATCH.purpose))
    with Registry(stage.observatory.data / "batches.sqlite") as registry:
        states = {agent.name: agent.state for agent in registry.agents(now())}
    assert states[name] != "quarantine", states


@attack(
    "a batch with 1,000 clock samples of one boot, each of another two hours, sent 20 times",
    who="anybody",
    cost="200 kB",
)
async def clock_samples(stage: Stage) -> None:
    """A few samples of each boot are used."""
    one = stage.stranger()
    for sequence in range(20):
        base = to_millis(now()) - 1_000 * 7_200_000
        samples = [
            [b"bootboot", number * 7_200_000 + sequence, base + number * 7_200_000,
             "collector", True, 0, 1_000 - sequence]
            for number in range(1_000)
        ]  # fmt: skip
        plain = rows_apart(one.name, sequence, rows=1, step=0, samples=samples)
        await stage.send_batch(one.name, one.identity.signer.sign(plain, BATCH.purpose))


def rows_apart(
    name: str,
    sequence: int,
    *,
    rows: int,
    step: int,
    supersedes: Sequence[Sequence[int]] = (),
    samples: Sequence[Sequence[object]] = (),
) -> bytes:
    """Return an unsigned batch whose rows are `step` milliseconds apart, the last one now."""
    start = to_millis(now()) - 60_000 - rows * step
    table = [
        name, "XX", 64500, sequence, start, [["as64500-tcp", "tcp"]],
        [[["connect", None, ""]]], [[None, "", True]], [0] * rows, [0] * rows, [0] * rows,
        [step] * rows, [0] * rows, [1] * rows, [], supersedes, [], samples,
    ]  # fmt: skip
    packer = zlib.compressobj(9, zdict=DICTIONARY)
    return b"NW\x01" + packer.compress(msgspec.msgpack.encode(table)) + packer.flush()
