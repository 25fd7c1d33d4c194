"""Does the host accept a TCP connection?"""

import asyncio
import socket
import struct

from netwatch.model.byte_counter import count_connection
from netwatch.model.measurement import Observation, Target
from netwatch.plugins import NoOptions
from netwatch.protocols import Probe
from netwatch_probes.recorder import BUFFER, StepRecorder, resolve

_DEFAULT_PORT = 443
# On, zero seconds: closing sends a reset, which leaves no TIME_WAIT on either side.
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)


class TcpProbe(NoOptions, Probe):
    """Connects and hangs up. Port 443 unless the target names another."""

    name = "tcp"
    cost_bytes = 250
    essential = True
    in_consent_text = True

    async def measure(self, target: Target, *, within: float) -> tuple[Observation, ...]:
        """Connect once; see `netwatch.protocols.Probe`."""
        steps = StepRecorder(within=within)
        async with steps:
            family, address = await resolve(target.host, steps)
            with steps.step("connect"):
                await _connect(family, address, target.port or _DEFAULT_PORT)
        return steps.observations


async def _connect(family: socket.AddressFamily, address: str, port: int) -> None:
    """Open a connection and reset it. The socket layer alone: a transport costs twice as much."""
    count_connection()
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.setblocking(False)  # noqa: FBT003 - the socket module's own signature
        # Whoever talks before being asked gets this far in the moment before we hang up.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        await asyncio.get_running_loop().sock_connect(connection, (address, port))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
