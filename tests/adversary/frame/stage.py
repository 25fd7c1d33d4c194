"""The stage of an attack: an observatory behind one door, honest agents, and means to attack."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from servers import free_port

from adversary.frame.fleet import HonestFleet, honest_agents
from adversary.frame.observatory import Observatory, password_of, shipped_mosquitto
from adversary.frame.processor_waits import ProcessorWaits
from netwatch.agent.identity import Identity
from netwatch.app.transports import broker_password
from netwatch.config import BrokerConfig, Config, UplinkConfig, VantageConfig
from netwatch.lab.drill.loopback_country import Country, make_country
from netwatch.protocols import Message, Transport
from netwatch.wire.https import AGENT_HEADER, BATCHES_PATH, MEDIA_TYPE, PRESENCE_PATH
from netwatch.wire.mqtt import MqttTransport
from netwatch.wire.topics import batch_topic, presence_topic

__all__ = ["DOORS", "Attacker", "Stage", "open_stage"]

DOORS = ("embedded", "mosquitto", "https")
"""By MQTT to the embedded broker or to Mosquitto as it is shipped, or by HTTP."""
_HONEST = ("honest-1", "honest-2", "honest-3")
_ATTACKERS = tuple(f"mallory-{number}" for number in range(1, 9))
"""Names with an account at Mosquitto; each may publish under its own name alone."""


@dataclass(frozen=True, slots=True)
class Attacker:
    """A name, and a new key that never enrolled."""

    name: str
    identity: Identity


@dataclass
class Stage:
    """What an attack may use.

    Attributes:
        door: one of `DOORS`; `send` goes through it.
        folder: an empty folder for files of the attack.
        observatory: the process, its configuration, data folder and log.
        honest: the honest agents.
        country: the loopback country that the observatory measures; its networks can be cut.
        waits: how long the observatory and the honest agents waited for a processor.
    """

    door: str
    folder: Path
    observatory: Observatory
    honest: HonestFleet
    country: Country
    names: Iterator[str] = field(default_factory=lambda: cycle(_ATTACKERS))
    waits: ProcessorWaits = field(default_factory=ProcessorWaits)

    def stranger(self) -> Attacker:
        """Return a new agent that never enrolled; at Mosquitto its name has an account."""
        name = next(self.names) if self.door == "mosquitto" else f"x-{secrets.token_hex(6)}"
        return Attacker(name, Identity(Ed25519PrivateKey.generate()))

    def own_seconds(self, since: float, until: float) -> float:
        """Return the seconds of a span without those for which the machine was busy otherwise."""
        return until - since - self.waits.between(since, until)

    def connect(self, name: str, will: Message | None = None) -> Transport:
        """Return an MQTT connection of an agent; use it as an async context manager."""
        broker = self.observatory.config.broker
        return MqttTransport(
            host=broker.host,
            port=broker.port,
            username=broker.username if broker.embedded else name,
            password=self._password(name),
            will=will,
        )

    async def send_batch(self, name: str, payload: bytes) -> bytes:
        """Send a batch's bytes through the door; return HTTP's answer, empty over MQTT."""
        return await self._send(name, batch_topic(name), BATCHES_PATH, payload, retain=False)

    async def send_presence(self, name: str, payload: bytes, *, retain: bool = False) -> bytes:
        """Send the bytes of a presence message through the door."""
        return await self._send(name, presence_topic(name), PRESENCE_PATH, payload, retain=retain)

    async def restart(self) -> None:
        """End the observatory by Ctrl-C and start it again on its data."""
        await self.observatory.stop()
        await self.observatory.start()

    def client(self) -> httpx.AsyncClient:
        """Return an HTTP client of the observatory's pages and doors."""
        return httpx.AsyncClient(base_url=self.observatory.url, timeout=60)

    async def _send(
        self, name: str, topic: str, path: str, payload: bytes, *, retain: bool
    ) -> bytes:
        if self.door != "https":
            async with self.connect(name) as link:
                await link.publish(topic, payload, retain=retain)
            return b""
        async with self.client() as client:
            headers = {AGENT_HEADER: name, "Content-Type": MEDIA_TYPE}
            return (await client.post(path, content=payload, headers=headers)).content

    def _password(self, name: str) -> str:
        config = self.observatory.config
        return broker_password(config) if config.broker.embedded else password_of(name)


@asynccontextmanager
async def open_stage(door: str, folder: Path) -> AsyncIterator[Stage]:
    """Start everything behind a door, and end it on exit."""
    async with AsyncExitStack() as stack:
        await asyncio.to_thread((folder / "attack").mkdir, parents=True)
        country = await stack.enter_async_context(make_country(3))
        broker = BrokerConfig(port=free_port())
        if door == "mosquitto":
            accounts = (broker.username, *_HONEST, *_ATTACKERS)
            port = stack.enter_context(shipped_mosquitto(folder / "broker", accounts))
            broker = BrokerConfig(embedded=False, port=port, password=password_of(broker.username))
        observatory = Observatory(folder, country, broker)
        await stack.enter_async_context(observatory.running())
        configs = {
            name: _honest_config(observatory.config, door, number, name)
            for number, name in enumerate(_HONEST)
        }
        honest = await stack.enter_async_context(honest_agents(folder / "honest", configs))
        yield Stage(door, folder / "attack", observatory, honest, country)


def _honest_config(base: Config, door: str, number: int, name: str) -> Config:
    vantage = VantageConfig(id=name, country="ZZ", asn=65001 + number)
    uplink: tuple[UplinkConfig, ...] = ()
    broker = base.broker
    if door == "embedded":
        broker = msgspec.structs.replace(broker, password=broker_password(base))
    elif door == "mosquitto":
        urls = (f"mqtt://127.0.0.1:{broker.port}",)
        uplink = (UplinkConfig(urls, username=name, password=password_of(name)),)
    else:
        uplink = (UplinkConfig((f"http://127.0.0.1:{base.web.port}",)),)
    return msgspec.structs.replace(base, vantage=vantage, uplink=uplink, broker=broker)
