"""MQTT channel: posts as JSON on the broker, for other systems."""

from collections.abc import Mapping
from typing import Self

import msgspec

from netwatch.model.errors import TransportError
from netwatch.model.incident import Post
from netwatch.plugins import Section, decode_section
from netwatch.protocols import Delivery, Publish, Services


class _Options(Section, frozen=True):
    """`[channels.mqtt]`: the topic that posts are published under."""

    topic: str = "netwatch/v1/alerts"


class MqttChannel:
    """Publishes each post as JSON, retained, to `<topic>/<incident>/<language>`.

    MQTT may deliver a message twice; receivers drop a `key` that they have seen.
    """

    name = "mqtt"
    idempotent = True

    def __init__(self, publish: Publish, topic: str) -> None:
        self._publish = publish
        self._topic = topic.rstrip("/")

    @classmethod
    def from_config(cls, section: Mapping[str, object], services: Services) -> Self:
        """See `netwatch.protocols.Plugin`."""
        options = decode_section(_Options, section)
        return cls(services.connect_publisher(), options.topic)

    async def deliver(self, post: Post) -> Delivery:
        """Publish `post`; an unreachable broker is retryable."""
        topic = f"{self._topic}/{post.incident}/{post.language}"
        try:
            await self._publish(topic, msgspec.json.encode(post), retain=True)
        except TransportError as error:
            return Delivery(sent=False, reason=f"mqtt: {error}", retryable=True)
        return Delivery(sent=True)
