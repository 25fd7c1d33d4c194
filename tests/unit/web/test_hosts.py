"""No response leads to a host that the client named."""

import socket
from collections.abc import Callable

import pytest
from hostile_clients import exchange
from uplink_rig import running
from web_fixtures import Site

from netwatch.app.http_server import serve
from netwatch.model.incident import Incident, IncidentState
from netwatch.web.server import create_app
from netwatch.web.site_context import SiteContext

NUMBER = "NW-IR-2019-0042"
TARGETS = (
    "/", "//", "//evil.example", "//evil.example/..", "/\\evil.example/", "/%2f/evil.example/",
    "/p/country/IR", "/p/country/IR/", "/i/x/", f"/i/{NUMBER}", f"/i/{NUMBER}/", "/v1/health/",
    f"/i/{NUMBER}.json", "/v1/incidents", "/v1/incidents/", "/v1/batches/", "/style.css/",
    "/style.css/../../netwatch.toml", "/%2e%2e/%2e%2e/etc/passwd", "/static/style.css",
    "http://evil.example/", f"http://evil.example/i/{NUMBER}", "/?next=//evil.example",
)  # fmt: skip
HEADERS = (
    "Host: evil.example",
    "Host: evil.example:80/p",
    "Host: [",
    "Host: @evil.example",
    (
        "Host: site\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\n"
        "X-Forwarded-For: evil.example\r\nForwarded: host=evil.example"
    ),
    "Host: site\r\nX-Original-URL: //evil.example\r\nX-Rewrite-URL: //evil.example",
)


@pytest.mark.parametrize("headers", HEADERS)
async def test_a_hostile_host_is_in_no_response(
    site: Site, make_incident: Callable[..., Incident], headers: str
) -> None:
    other = make_incident(id="NW-IR-2019-0041", state=IncidentState.MERGED, merged_into=NUMBER)
    site.ledger.record([make_incident(), other], [])
    context = SiteContext(
        site.store, site.ledger, site.places, lambda: site.now, url="https://ours.example"
    )
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    async with running(serve(create_app(context), listener)):
        for target in (*TARGETS, f"/i/{other.id}", f"/i/{other.id}/"):
            request = f"GET {target} HTTP/1.1\r\n{headers}\r\nConnection: close\r\n\r\n"
            answer = (await exchange(port, request.encode())).decode("utf-8", "replace")
            status, head = answer[9:12], answer.partition("\r\n\r\n")[0].lower()
            assert status in {"200", "301", "400", "404", "405"}, (target, answer[:300])
            assert "evil" not in answer, (target, answer[:300])
            if status == "301":
                assert f"location: /i/{NUMBER.lower()}\r\n" in f"{head}\r\n"
