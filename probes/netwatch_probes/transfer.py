"""Transfer: how fast does a small download run, and where does it stall?

A throttled line lets everything through, but slowly: handshakes stay quick while a download
crawls, or stops after the first bytes. The duration and the number of bytes are the evidence.
"""

import ssl
from collections.abc import Collection

from netwatch.model.measurement import Target
from netwatch_probes.http_exchange import TLS_PORTS, HttpConnector, send_request
from netwatch_probes.recorder import StepError, StepProbe, StepRecorder

_MAX_BODY = 128 * 1024
_MAX_OVERHEAD = 32 * 1024
"""Bytes of the response's headers and of TLS."""
_BUFFER = 64 * 1024
"""Receive buffer: large enough that the line, and not the buffer, limits the rate."""


class TransferProbe(StepProbe):
    """Downloads at most 128 KiB of the target's path over one fresh connection.

    The detail of step `transfer` is the number of body bytes, also if it failed: a stall after
    16 KiB differs from a transfer that never began.
    """

    name = "transfer"
    cost_bytes = 140_000
    in_consent_text = True

    def __init__(
        self, *, tls: Collection[int] = TLS_PORTS, context: ssl.SSLContext | None = None
    ) -> None:
        self._connector = HttpConnector(tls, context, _BUFFER, _MAX_BODY + _MAX_OVERHEAD)

    async def run_steps(self, target: Target, steps: StepRecorder) -> None:
        """Download once."""
        server_name = target.domain or target.host
        headers = {"Range": f"bytes=0-{_MAX_BODY - 1}"}
        async with self._connector.connect(target, steps, server_name=server_name) as stream:
            received = 0
            with steps.step("transfer"):
                steps.detail = "0"
                async with send_request(target, stream, headers) as response:
                    if response.status // 100 != 2:
                        raise StepError("http_unexpected_status_code")
                    async for part in response.aiter_stream():
                        received = min(received + len(part), _MAX_BODY)
                        steps.detail = str(received)
                        if received == _MAX_BODY:
                            break
