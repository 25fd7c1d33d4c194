"""MQTT channel: posts as JSON on the broker, for other systems."""

from typing import Protocol

from netwatch.model.errors import TransportError
from netwatch.model.incident import Post
from netwatch.protocols import Delivery
from netwatch.publish.channels.payload import encode_post


class Publish(Protocol):
    """`Transport.publish` or an equivalent function."""

    async def __call__(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Hand a message to the broker.

        Raises:
            TransportError: the broker did not accept it.
        """


class MqttChannel:
    """Publishes each post, retained, to `<topic>/<incident>/<language>`.

    MQTT may deliver a message twice; receivers drop a `key` that they have seen.
    """

    name = "mqtt"
    idempotent = True

    def __init__(self, publish: Publish, topic: str) -> None:
        self._publish = publish
        self._topic = topic.rstrip("/")

    async def deliver(self, post: Post) -> Delivery:
        """Publish `post`; an unreachable broker is retryable."""
        topic = f"{self._topic}/{post.incident}/{post.language}"
        try:
            await self._publish(topic, encode_post(post), retain=True)
        except TransportError as error:
            return Delivery(sent=False, reason=f"mqtt: {error}", retryable=True)
        return Delivery(sent=True)
