"""TCP: does the host accept a connection?"""

import socket
import struct

from netwatch.model.measurement import Target
from netwatch_probes.recorder import DEFAULT_PORT, StepProbe, StepRecorder, open_connection, resolve

# On, zero seconds: closing sends a reset, which leaves no TIME_WAIT on either side.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class TcpProbe(StepProbe):
    """Connects and closes. Port 443 unless the target names another."""

    name = "tcp"
    cost_bytes = 250
    essential = True
    in_consent_text = True

    async def run_steps(self, target: Target, steps: StepRecorder) -> None:
        """Connect once."""
        address, port = await resolve(target.host, steps), target.port or DEFAULT_PORT
        # The socket alone: an asyncio transport costs twice as much.
        with steps.step("connect"), await open_connection(address, port) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
