"""Whatever a server, or somebody on the path to it, does is one kind of error."""

from pathlib import Path

import pytest
from certificates import Authority
from server_faults import forge_tls_record
from servers import tcp_server

from netwatch.agent.http_client import open_client
from netwatch.model.errors import TransportError


async def test_a_forged_tls_record_is_an_error_of_the_transport(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with tcp_server(forge_tls_record, tls=authority.serving()) as port:
        with pytest.raises(TransportError, match="the list cannot be reached"):
            async with open_client("the list", within=5, verify=authority.trusting()) as client:
                await client.get(f"https://localhost:{port}/")
