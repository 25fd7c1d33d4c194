"""A live incident among hostile words: whatever agents and places are called, nothing of it acts.

A drill runs with markup in the names of places, while an agent sends words with markup, and others
that no agent may send. Every exit is collected and read: pages, JSON, posts, charts, tables.
"""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from servers import free_port, need, tcp_server, until

from netwatch.agent.identity import Identity
from netwatch.aio.tasks import run_until_first_exits
from netwatch.app.factories import make_entity_tree
from netwatch.app.observatory import ObservatoryContext, run_collect, run_pages
from netwatch.app.transports import broker_connector
from netwatch.config import Config, PublishConfig, WebConfig
from netwatch.lab.drill import runner
from netwatch.lab.drill.runner import Drill, run_drill
from netwatch.lab.drill.scenario import Scenario
from netwatch.model.incident import Incident
from netwatch.model.measurement import Batch, Measurement, Observation, Vantage
from netwatch.model.text import MAX_NAME, is_shown
from netwatch.publish.chart import ChartRequest, draw_chart
from netwatch.store.influx.annotations import render_incident, render_place
from netwatch.wire.presence_message import PRESENCE, PresenceMessage
from netwatch.wire.topics import batch_topic, presence_topic

pytestmark = pytest.mark.timeout(240)

SCRIPT = "<script>document.title='pwned'</script>"
NAMES = (
    f"{SCRIPT}<img src=x onerror=document.title='pwned'>",
    r"$\frac{1}{0}$ [red]{{7*7}}{% raw %}\x1b",
    "\"'`;--=cmd|' /C calc'!A0 &lt;b&gt;",
    "N" * MAX_NAME,
)
WORDS = (SCRIPT, "[bold red]x[/]", r"$\frac{1}{0}$", "{{7*7}}", "=cmd|' /C calc'!A0", "..")
REFUSED = ("\x1b]0;pwned\x07", "\u202egnp.exe", "a\nCONFIRMED", "\x9b31m", "x" * 10_000)
TAGS = """html head meta title link body svg pattern line a header span p strong main footer h1 h2
section dl div dt dd table caption thead tr th tbody td bdi article blockquote ol li details summary
figure figcaption polyline circle rect text polygon"""
"""What the templates of pages consist of."""


class Markup(HTMLParser):
    """Collects what a browser would see in a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags = set[str]()
        self.attributes = list[tuple[str, str]]()
        self.words = list[str]()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@dataclass
class Exits:
    """What the observatory showed while the incident was open, by where."""

    pages: dict[str, str] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    published: list[bytes] = field(default_factory=list)
    posted: list[bytes] = field(default_factory=list)


@dataclass
class Theatre:
    """A drill with hostile names and a hostile agent."""

    folder: Path
    webhook: int
    web: int = field(default_factory=free_port)
    exits: Exits = field(default_factory=Exits)
    context: ObservatoryContext | None = None

    def disguise(self, make: Callable[..., Config]) -> Callable[..., Config]:
        """Return a maker of the drill's configuration that gives every place a hostile name."""

        def made(*arguments: object, **more: object) -> Config:
            config = make(*arguments, **more)
            places = tuple(
                msgspec.structs.replace(place, name=NAMES[number % len(NAMES)])
                for number, place in enumerate(config.place)
            )
            return msgspec.structs.replace(
                config,
                place=places,
                web=WebConfig(port=self.web),
                publish=PublishConfig(
                    channels=("console", "file", "mqtt", "webhook"), auto_publish=True
                ),
                channels={"webhook": {"url": f"http://127.0.0.1:{self.webhook}/"}},
            )

        return made

    async def collect(self, context: ObservatoryContext) -> None:
        self.context = context
        await run_until_first_exits(run_collect(context), run_pages(context), self.listen(context))

    async def listen(self, context: ObservatoryContext) -> None:
        """Receive what is published on the broker."""
        async with broker_connector(context.config)(None) as link:
            await link.subscribe("netwatch/#")
            async for message in link.messages():
                self.exits.published.append(message.topic.encode() + message.payload)

    async def midway(self) -> None:
        """Send hostile words, wait for the incident, and read every page."""
        assert self.context is not None
        await send_words(self.context.config)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.web}") as client:
            for _ in range(300):
                found = (await client.get("/v1/incidents")).json()["data"]
                if found:
                    break
                await asyncio.sleep(0.1)
            number = found[0]["id"]
            for path in ("/", f"/i/{number}", "/p/country/XT", "/p/region/XT-N", "/p/asn/64496"):
                self.exits.pages[path] = (await client.get(path)).text
            since = f"{datetime.now(UTC):%Y-%m-%dT00:00:00Z}"
            series = f"/v1/timeseries/country/XT?since={since}"
            for path in ("/v1/incidents", f"/i/{number}.json", "/v1/health", series, "/metrics"):
                self.exits.answers[path] = (await client.get(path)).text


def hostile_rows(word: str) -> list[Measurement]:
    """Return measurements with a word in every place that has one."""
    step = Observation(word, word, 0.1, word)
    now = datetime.now(UTC)
    place = {"host_responded": False, "seconds": 0.2, "observations": (step,)}
    return [
        Measurement(target, probe, now, word, word, **place)
        for target, probe in (("as64496-tcp", "tcp"), (word, word))
    ]


async def send_words(config: Config) -> None:
    """Send each hostile word in a batch and in a presence message, signed by a new key."""
    one = Identity(Ed25519PrivateKey.generate())
    async with broker_connector(config)(None) as link:
        for number, word in enumerate(WORDS + REFUSED):
            batch = Batch(Vantage("mallory", "XT", 64496), number, tuple(hostile_rows(word)))
            await link.publish(batch_topic("mallory"), one.pack(batch))
            presence = PresenceMessage(
                "stop", session=number, reason=word[:64], transport=word[:64]
            )
            signed = one.signer.sign(msgspec.json.encode(presence), PRESENCE.purpose)
            await link.publish(presence_topic("mallory"), signed, retain=True)


async def answer_webhook(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, posted: list[bytes]
) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
    posted.append(await reader.readexactly(int(fields[b"content-length"])))
    writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
    await writer.drain()


def check_page(path: str, page: str) -> None:
    markup = Markup(page)
    assert markup.tags <= set(TAGS.split()), path
    for name, value in markup.attributes:
        assert not name.startswith("on"), path
        if name in {"href", "src", "xlink:href"}:
            assert value.startswith(("/", "#")), (path, value)
    assert any(NAMES[0][: len(SCRIPT)] in word for word in markup.words), path
    check_text(path, page)


def check_text(where: str, text: str) -> None:
    acting = {one for one in text if one != "\n" and not is_shown(one)}
    assert not acting, (where, acting)
    assert "pwned\x07" not in text
    assert "49" not in text.partition("{{7*7}}")[0][-4:], where


def check_charts(incident: Incident, theatre: Theatre, folder: Path) -> None:
    assert theatre.context is not None
    tree = make_entity_tree(theatre.context.config)
    draw_chart(ChartRequest(incident, {}, tree, link="https://n.example/<a>"), folder / "chart")
    svg = ET.parse(folder / "chart.svg")
    tags = {element.tag.rpartition("}")[2] for element in svg.iter()}
    assert not tags & {"script", "image", "foreignObject", "a"}
    lines = [render_place(info, atlas=tree, at=incident.at) for info in tree]
    lines.append(render_incident(incident, url="https://n.example", level_text=str))
    for line in lines:
        check_text("line protocol", line)
        assert "\n" not in line


def check_tables(folder: Path, number: str) -> None:
    data, config = ("--data", str(folder)), ("--config", str(folder / "netwatch.toml"))
    for command in (
        ("outages", *data),
        ("outages", "show", number, *data),
        ("outages", "--json", *data),
        ("timeline", "XT", "--by", "asn", *data),
        ("agents", "list", *config),
        ("agents", "list", "--json", *config),
    ):
        shown = subprocess.run(
            [sys.executable, "-m", "netwatch", *command],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert shown.returncode == 0, (command, shown.stderr)
        check_text(" ".join(command), shown.stdout + shown.stderr)


def check_browser(browser: str, page: str, folder: Path) -> None:
    """Without the header that forbids scripts: nothing in the page is one."""
    (folder / "page.html").write_text(page, "utf-8")
    shown = subprocess.run(
        [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
            f"--user-data-dir={folder / 'profile'}", f"file://{folder / 'page.html'}",
        ],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert "<title>" in shown.stdout, shown.stderr[-500:]
    assert "<title>pwned" not in shown.stdout


async def test_hostile_words_in_a_live_incident_act_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    browser = need("chromium")
    posted: list[bytes] = []
    async with tcp_server(lambda *ends: answer_webhook(*ends, posted)) as port:
        theatre = Theatre(tmp_path / "drill", port)
        monkeypatch.setattr(runner, "drill_config", theatre.disguise(runner.drill_config))
        scenario = Scenario(networks=8, cut=6)
        outcome = await run_drill(
            Drill(
                theatre.folder, lambda *_: None, scenario,
                collect=theatre.collect, midway=theatre.midway,
            )
        )  # fmt: skip
        await until(lambda: bool(posted))
    assert not [f"{one.claim}: {one.seen}" for one in outcome.findings if not one.holds]
    exits, incident = theatre.exits, outcome.incidents[0]
    for path, page in exits.pages.items():
        check_page(path, page)
    for path, answer in exits.answers.items():
        assert path == "/metrics" or json.loads(answer), path
        check_text(path, answer)
    refused = re.search(
        r'netwatch_batches_total{result="garbled"} (\d+)', exits.answers["/metrics"]
    )
    assert refused is not None
    assert int(refused[1]) == len(REFUSED)
    assert exits.published
    for message in (*exits.published, *posted):
        check_text("a post", message.decode())
    files = list((theatre.folder / "posts").iterdir())
    assert files
    for file in files:
        check_text(file.name, file.read_text("utf-8"))
    console = capsys.readouterr().out
    assert SCRIPT in console
    check_text("console", console)
    await asyncio.to_thread(check_charts, incident, theatre, tmp_path)
    await asyncio.to_thread(check_tables, theatre.folder, incident.id)
    await asyncio.to_thread(check_browser, browser, exits.pages["/"], tmp_path)
