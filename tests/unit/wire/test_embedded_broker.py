import pytest

from netwatch.model.errors import TransportError
from netwatch.wire.embedded_broker import EmbeddedBroker


async def test_a_port_in_use_gives_a_one_line_error() -> None:
    async with EmbeddedBroker(users={}) as first:
        with pytest.raises(TransportError, match=f"cannot listen on 127.0.0.1:{first.port}"):
            await EmbeddedBroker(users={}, port=first.port).__aenter__()
