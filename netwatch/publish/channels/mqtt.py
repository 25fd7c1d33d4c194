"""MQTT: alerts for machines that already listen to the broker."""

from typing import Protocol

from netwatch.model.errors import TransportError
from netwatch.model.incident import Post
from netwatch.protocols import Delivery
from netwatch.publish.channels.payload import post_body


class Publish(Protocol):
    """`Link.publish`, or anything that does the same."""

    async def __call__(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Hand a message to the broker.

        Raises:
            LinkError: it was not taken.
        """


class MqttChannel:
    """Publishes each post as JSON under `topic`, a level an incident, the newest retained.

    A message may arrive twice, as everywhere in MQTT; its `key` tells.
    """

    def __init__(self, publish: Publish, topic: str) -> None:
        self._publish = publish
        self._topic = topic.rstrip("/")

    @property
    def name(self) -> str:
        """The name under which the configuration asks for this channel."""
        return "mqtt"

    @property
    def idempotent(self) -> bool:
        """Receivers drop a key that they have seen."""
        return True

    async def deliver(self, post: Post) -> Delivery:
        """Publish `post`; a broker that is away is a failure that is tried again."""
        topic = f"{self._topic}/{post.incident}/{post.language}"
        try:
            await self._publish(topic, post_body(post), retain=True)
        except TransportError as error:
            return Delivery(sent=False, reason=f"mqtt: {error}", retryable=True)
        return Delivery(sent=True)
