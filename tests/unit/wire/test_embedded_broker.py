import pytest

from netwatch.model.errors import TransportError
from netwatch.wire.embedded_broker import EmbeddedBroker
from netwatch.wire.mqtt import MqttTransport


async def test_a_port_in_use_gives_a_one_line_error() -> None:
    async with EmbeddedBroker(users={}) as first:
        with pytest.raises(TransportError, match=f"cannot listen on 127.0.0.1:{first.port}"):
            await EmbeddedBroker(users={}, port=first.port).__aenter__()


@pytest.mark.parametrize("password", ["", "right"])
async def test_an_empty_password_never_gets_in(password: str) -> None:
    async with EmbeddedBroker(users={"netwatch": password}) as broker:
        transport = MqttTransport(
            host="127.0.0.1", port=broker.port, username="netwatch", password=""
        )
        with pytest.raises(TransportError):
            await transport.__aenter__()
