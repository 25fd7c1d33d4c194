"""Attacks on a live observatory on loopback: `python -m tests.adversary`.

To add one, write `tests/adversary/<family>.py` with one function for each attack:

    @attack("Presence that is no UTF-8", who="anybody", cost="one message")
    async def presence_not_utf8(stage: Stage) -> None:
        await stage.send_presence(stage.stranger().name, b"\xff")

It is found by itself, and runs once for each door (`embedded`, `mosquitto`, `https`), or for those
in `doors=`. `stage` has the running observatory, its ports, data folder and log, and new agents to
attack with. Honest agents send to the same observatory all the time. The frame checks afterwards
that the process lives, that they are acknowledged in time, its memory and its log; what else must
hold is asserted by the attack itself. `docs/threat-model.md` names every attack.
"""
