"""The channels that the configuration names, and the loop that sends posts through them."""

import sys
from pathlib import Path

from netwatch.app.broker import broker_password, link_factory
from netwatch.app.clock import now
from netwatch.app.observatory import ObservatoryContext
from netwatch.config import Config
from netwatch.model.errors import ConfigError
from netwatch.plugins import load_plugin
from netwatch.protocols import Channel
from netwatch.publish.channels.console import ConsoleChannel
from netwatch.publish.channels.file import FileChannel
from netwatch.publish.channels.mqtt import MqttChannel, Publish
from netwatch.publish.channels.webhook import WebhookChannel
from netwatch.publish.outbox import run_outbox


def make_channels(config: Config) -> dict[str, Channel]:
    """Return the channels of `[publish]` by name.

    Raises:
        ConfigError: a webhook without a URL.
        PluginError: a name that no installed plugin has.
    """
    return {name: _make_channel(name, config) for name in config.publish.channels}


def _make_channel(name: str, config: Config) -> Channel:
    """Return one channel with what it needs."""
    if name == "console":
        return ConsoleChannel(_print)
    if name == "file":
        return FileChannel(Path(config.data) / "posts")
    if name == "mqtt":
        return MqttChannel(publish=_publisher(config), topic=config.publish.topic)
    if name == "webhook":
        if not config.publish.webhook:
            raise ConfigError("publish.webhook: the channel webhook needs a URL")
        return WebhookChannel(config.publish.webhook)
    channel: Channel = load_plugin("channels", name)()
    return channel


def _print(text: str) -> None:
    """Write to the terminal at once: what is marked as sent must not sit in a buffer."""
    sys.stdout.write(text)
    sys.stdout.flush()


def _publisher(config: Config) -> Publish:
    """Return a function that publishes over a link of its own; posts are rare."""
    connect = link_factory(config.broker, broker_password(config))

    async def publish(topic: str, payload: bytes, *, retain: bool = False) -> None:
        async with connect(None) as link:
            await link.publish(topic, payload, retain=retain)

    return publish


async def run_publish(opened: ObservatoryContext) -> None:
    """Send what the outbox holds, until cancelled."""
    await run_outbox(opened.ledger, make_channels(opened.config), now)
