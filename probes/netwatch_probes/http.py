"""HTTP: does the web server respond, and is it the expected one?"""

import ssl
from collections.abc import Collection
from hashlib import blake2b, sha256

import httpcore
import httpx

from netwatch.model.measurement import Target
from netwatch_probes.http_exchange import TLS_PORTS, HttpConnector, send_request
from netwatch_probes.recorder import StepError, StepProbe, StepRecorder
from netwatch_probes.simhash import simhash

_MAX_BODY = 16 * 1024
"""Bytes of a body that are read, from a server that ignores the range."""
_RANGE = {"Range": "bytes=0-1023"}
_LEGAL_REASONS = 451


class HttpProbe(StepProbe):
    """Requests the first kilobyte of one page over one fresh connection.

    TLS is used on the ports in `tls` (443 and 8443; 443 unless the target names another). No
    redirect is followed, no cookie kept, no proxy used, nothing decompressed. Any response but
    5xx and 451 is a success; a redirect to another site is `http_unexpected_redirect_url`. A
    path ending in `#204` expects that status; a path ending in `#` and the first digits of a
    SHA-256 expects a body with that hash: so a portal check detects a captive portal.

    The detail of step `http_round_trip` is the status, the number of body bytes read, a 64-bit
    similarity hash of the body, and a hash of the header names.
    """

    name = "http"
    cost_bytes = 20_000
    in_consent_text = True

    def __init__(
        self, *, tls: Collection[int] = TLS_PORTS, context: ssl.SSLContext | None = None
    ) -> None:
        self._connector = HttpConnector(tls, context)

    async def run_steps(self, target: Target, steps: StepRecorder) -> None:
        """Send one request."""
        async with self._connector.connect(target, steps, server_name=target.host) as stream:
            with steps.step("http_round_trip"):
                async with send_request(target, stream, _RANGE) as response:
                    body = await _read_body(response)
                headers = httpx.Headers(response.headers)
                steps.detail = _describe(response.status, headers, body)
                _judge(target, response.status, headers.get("location", ""), body)


async def _read_body(response: httpcore.Response) -> bytes:
    """Return the body up to the limit; closing the connection discards the rest."""
    body = bytearray()
    async for part in response.aiter_stream():
        body += part
        if len(body) >= _MAX_BODY:
            break
    return bytes(body[:_MAX_BODY])


def _describe(status: int, headers: httpx.Headers, body: bytes) -> str:
    names = ",".join(name.lower() for name in headers)
    digest = blake2b(names.encode(), digest_size=4).hexdigest()
    return f"{status},{len(body)},{simhash(body):016x},{digest}"


def _judge(target: Target, status: int, location: str, body: bytes) -> None:
    expected = target.path.partition("#")[2]
    if status // 100 == 3 and _is_foreign(location, target.host):
        raise StepError("http_unexpected_redirect_url")
    if len(expected) == 3 and expected.isdecimal():
        unexpected = status != int(expected)
    elif expected:
        unexpected = status // 100 != 2
    else:
        unexpected = status >= 500 or status == _LEGAL_REASONS
    if unexpected:
        raise StepError("http_unexpected_status_code")
    if len(expected) > 3 and not sha256(body).hexdigest().startswith(expected.lower()):
        raise StepError("http_request_failed")


def _is_foreign(location: str, host: str) -> bool:
    try:
        other = httpx.URL(location).host if location else ""
    except httpx.InvalidURL:
        return True
    return bool(other) and _site(other) != _site(host)


def _site(host: str) -> str:
    """Return the last two labels of a name: `www.example.org` belongs to `example.org`."""
    return ".".join(host.lower().rstrip(".").split(".")[-2:])
