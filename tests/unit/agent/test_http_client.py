"""Whatever a server, or somebody on the path to it, does is one kind of error."""

import asyncio
import os
from pathlib import Path

import pytest
from certificates import Authority
from servers import tcp_server

from netwatch.agent.http_client import open_client
from netwatch.model.errors import TransportError

FORGED_RECORD = b"\x17\x03\x03\x00\x40" + bytes(64)


async def test_a_forged_tls_record_is_an_error_of_the_transport(tmp_path: Path) -> None:
    async def forge(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        os.write(writer.get_extra_info("socket").fileno(), FORGED_RECORD)

    authority = Authority(tmp_path)
    async with tcp_server(forge, tls=authority.serving()) as port:
        with pytest.raises(TransportError, match="the list cannot be reached"):
            async with open_client("the list", within=5, verify=authority.trusting()) as client:
                await client.get(f"https://localhost:{port}/")
