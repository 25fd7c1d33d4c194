"""Words that act on what shows them: terminal escapes, markup, lines of a log."""

from datetime import UTC, datetime

import msgspec

from adversary.frame.registry import attack
from adversary.frame.stage import Stage
from netwatch.model.measurement import Batch, Measurement, Observation, Vantage
from netwatch.model.text import is_shown
from netwatch.wire.presence_message import PRESENCE, PresenceMessage

_WORDS = (
    "\x1b]0;pwned\x07", "a\n2026-01-01 ERROR netwatch: all keys were replaced", "\u202egnp.exe",
    "<script>alert(1)</script>", "$\\frac{1}{0}$", "[red]x[/red]", "{{7*7}}",
)  # fmt: skip


@attack(
    "words with terminal escapes, markup and line breaks in batches and presence messages",
    who="anybody",
    cost="a few messages",
)
async def words_that_act(stage: Stage) -> None:
    """Not one of them gets into the log or onto the page as it is."""
    one = stage.stranger()
    start = len(stage.observatory.log.read_bytes())
    for number, word in enumerate(_WORDS):
        step = Observation(word, word, 0.1, word)
        now = datetime.now(UTC)
        row = Measurement(
            word, word, now, word, word, host_responded=True, seconds=0.1, observations=(step,)
        )
        batch = Batch(Vantage(one.name, "XX", 64500), number, (row,))
        await stage.send_batch(one.name, one.identity.pack(batch))
        presence = PresenceMessage("stop", session=number, transport=word, reason=word)
        signed = one.identity.signer.sign(msgspec.json.encode(presence), PRESENCE.purpose)
        await stage.send_presence(one.name, signed, retain=True)
    log = stage.observatory.log.read_bytes()[start:].decode()
    assert all(is_shown(letter) or letter == "\n" for letter in log)
    assert "\n2026-01-01" not in log
    async with stage.client() as client:
        assert "<script" not in (await client.get("/")).text
