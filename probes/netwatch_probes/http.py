"""Does the web server answer, and is it the one that was asked?

httpx is named in this file only.
"""

import ssl
from collections.abc import Collection
from functools import lru_cache
from ipaddress import ip_address
from time import perf_counter

import httpx

from netwatch.model.failure import classify_failure
from netwatch.model.measurement import Observation, Target
from netwatch_probes.steps import Address, StepError, Steps, resolve

__all__ = ["HttpProbe"]

_TLS_PORTS = frozenset({443, 8443})
_READ_BYTES = 16 * 1024
_LEGAL_REASONS = 451
_HEADERS = {
    "User-Agent": "netwatch (Internet reachability measurement)",
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "Range": "bytes=0-1023",
}
# The steps of a request as httpcore's trace names them, and what we call them.
_TRACED = {"connect_tcp": "connect", "start_tls": "tls_handshake"}


@lru_cache(maxsize=1)
def _shared_context() -> ssl.SSLContext:
    """Make the one context of the process: loading the authorities takes 20 ms and 0.8 MB."""
    return ssl.create_default_context()


class HttpProbe:
    """Asks for the first kilobyte of one page, over one fresh connection.

    TLS is used on the ports in `tls` (443 and 8443; 443 unless the target names another).
    No redirect is followed, no cookie kept, no proxy used. Any answer but 5xx and 451 is a
    success; a redirect to a foreign host is `http_unexpected_redirect_url`.
    """

    name = "http"

    def __init__(
        self, *, tls: Collection[int] = _TLS_PORTS, context: ssl.SSLContext | None = None
    ) -> None:
        self._tls = tls
        self._context = context

    async def measure(self, target: Target, *, within: float) -> tuple[Observation, ...]:
        """Fetch once; see `netwatch.protocols.Probe`."""
        steps = Steps(within=within)
        trace = _Trace(steps)
        async with steps:
            address = await resolve(target.host, steps)
            trace.since = perf_counter()
            with steps.step("http_round_trip"):
                try:
                    await self._fetch(target, address, trace)
                except httpx.HTTPError as error:
                    raise _cause(error) from error
        return trace.tidy(steps.observations)

    async def _fetch(self, target: Target, address: Address, trace: "_Trace") -> None:
        """Send the request and judge the answer; raises whatever stops it."""
        context = self._context or _shared_context()
        transport = httpx.AsyncHTTPTransport(verify=context, trust_env=False, retries=0)
        request = self._request(target, address, trace)
        async with transport:
            response = await transport.handle_async_request(request)
            try:
                await _read_some(response)
                _judge(response, target.host)
            finally:
                await response.aclose()

    def _request(self, target: Target, address: Address, trace: "_Trace") -> httpx.Request:
        """Build the request: connected to `address`, but named as the target's host."""
        port = target.port or 443
        secure = port in self._tls
        usual = port == (443 if secure else 80)
        host = f"[{target.host}]" if _is_version_6(target.host) else target.host
        url = httpx.URL(
            scheme="https" if secure else "http",
            host=address[1],
            port=port,
            raw_path=(target.path or "/").encode(),
        )
        return httpx.Request(
            "GET",
            url,
            headers={**_HEADERS, "Host": host if usual else f"{host}:{port}"},
            extensions={"trace": trace, "sni_hostname": target.host},
        )


class _Trace:
    """Follows httpcore's events, so that connecting and TLS become steps of their own."""

    def __init__(self, steps: Steps) -> None:
        self.since = 0.0
        self._steps = steps
        self._current = ""

    async def __call__(self, event: str, _: object, /) -> None:
        """Take one event; `connection.connect_tcp.started` and the like."""
        name, phase = [*event.split(".", 2), "", ""][1:3]
        if name not in _TRACED:
            return
        if phase == "started":
            self._current, self.since = _TRACED[name], perf_counter()
        elif phase == "complete":
            now = perf_counter()
            self._steps.add(self._current, None, now - self.since)
            self._current, self.since = "", now

    def tidy(self, observations: tuple[Observation, ...]) -> tuple[Observation, ...]:
        """Name the last observation after the step that was under way, with its own time."""
        if not observations or observations[-1].operation != "http_round_trip":
            return observations
        last = observations[-1]
        before = sum(step.seconds for step in observations[:-1] if step.operation != "resolve")
        operation = self._current or last.operation
        return (
            *observations[:-1],
            Observation(operation, last.failure, max(0.0, last.seconds - before)),
        )


async def _read_some(response: httpx.Response) -> None:
    """Read the body up to the cap; the rest is cut off by closing."""
    length = 0
    async for part in response.aiter_raw():
        length += len(part)
        if length >= _READ_BYTES:
            return


def _judge(response: httpx.Response, host: str) -> None:
    """Raise StepError for an answer that is no success."""
    if response.status_code >= 500 or response.status_code == _LEGAL_REASONS:
        raise StepError("http_unexpected_status_code")
    location = response.headers.get("location", "") if response.status_code // 100 == 3 else ""
    try:
        other = httpx.URL(location).host if location else ""
    except httpx.InvalidURL as error:
        raise StepError("http_unexpected_redirect_url") from error
    if other and _site(other) != _site(host):
        raise StepError("http_unexpected_redirect_url")


def _site(host: str) -> str:
    """Return the last two labels of a name, so that www.example.org is example.org's."""
    return ".".join(host.lower().rstrip(".").split(".")[-2:])


def _cause(error: BaseException) -> BaseException:
    """Return what the operating system raised below httpx's and httpcore's own errors."""
    if isinstance(error, httpx.RemoteProtocolError):
        # "Server disconnected without sending a response", or an answer that is no HTTP.
        gone = "disconnected" in str(error) or "closed" in str(error)
        return StepError("eof_error" if gone else "http_request_failed")
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, ExceptionGroup):
            inner = inner.exceptions[0]
        # anyio's own OSError, "all connection attempts failed", has no number.
        if isinstance(inner, OSError) and inner.errno is not None:
            return inner
        inner = inner.__cause__ or inner.__context__
    word = "eof_error" if isinstance(error, httpx.ReadError) else classify_failure(error).word
    return StepError(word)


def _is_version_6(host: str) -> bool:
    """Tell whether `host` is a literal IPv6 address."""
    try:
        return ip_address(host).version == 6
    except ValueError:
        return False
