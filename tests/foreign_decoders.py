"""Every decoder of bytes from outside: where it is in the code, and a function to feed it.

`tests/test_decoders.py` walks the packages for decoders and demands that each one is here, feeds
them random and mutated bytes, and runs them under atheris.
"""

import asyncio
import gzip
import tempfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from netwatch.agent.consent import Consent
from netwatch.agent.target_list import TARGET_LIST, TargetList, validate_targets
from netwatch.app.vantage_status import _uplink_status
from netwatch.collector.canary import check_canaries
from netwatch.config import parse_config
from netwatch.detect.state import SeriesState
from netwatch.incidents.tracker_state import TrackerState, unpack_tracker_state
from netwatch.lab.backtest.truth import read_truth
from netwatch.model.baseline_basis import Baseline
from netwatch.model.canary import CANARY_GROUP
from netwatch.model.errors import NetwatchError
from netwatch.model.measurement import Batch, Measurement, Observation, Target, Vantage
from netwatch.model.text import MAX_WORD
from netwatch.sources.bgp_jsonl import BgpJsonlSource
from netwatch.sources.table_reader import line_of, read_table
from netwatch.store.influx.parse import newest, parse_answer, parse_bin, parse_level
from netwatch.store.influx.reply import Reply
from netwatch.store.manifest import read_manifest
from netwatch.wire.ack import ACKNOWLEDGEMENT, Ack
from netwatch.wire.batch_codec import (
    BATCH,
    OUTLINE,
    decoding_cost,
    inflate,
    row_times,
    unpack_batch,
    unpack_chosen,
)
from netwatch.wire.enrollment import (
    ENROLLED,
    ENROLLMENT,
    ERASURE,
    KEY_CHANGE,
    AgentRequest,
    EnrollmentRequest,
    EnrollmentResponse,
    Invitation,
    check_url,
)
from netwatch.wire.export import FileKind, read_messages
from netwatch.wire.message_format import MessageFormat
from netwatch.wire.presence_message import PRESENCE, PresenceMessage
from netwatch.wire.rate_advice import RATE_ADVICE, RateAdvice
from netwatch.wire.request_encryption import (
    decrypt_reply,
    decrypt_request,
    encrypt_request,
    encryption_key,
)
from netwatch.wire.signing import Signer
from netwatch.wire.topics import (
    ALL_BATCHES,
    ALL_PRESENCE,
    is_agent_id,
    topic_agent,
    topic_matches,
)
from netwatch.wire.zlib_dictionary import DICTIONARY
from netwatch_probes import dns, icmp, tls
from netwatch_probes.http_exchange import send_request
from netwatch_probes.quic import receive_packet
from netwatch_probes.recorder import StepError

__all__ = ["DECODERS", "OWN", "Decoder"]

SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(b"k" * 32))
REPLY_KEY = X25519PrivateKey.from_private_bytes(b"r" * 32)
NOW = datetime(2026, 6, 8, tzinfo=UTC)


@dataclass(frozen=True)
class Decoder:
    """One decoder.

    Attributes:
        calls: each decodes bytes, and raises a typed error at most.
        sites: its places in the code, as `module:function`.
        seeds: valid inputs, which are mutated.
    """

    name: str
    calls: tuple[Callable[[bytes], object], ...]
    sites: tuple[str, ...]
    seeds: tuple[bytes, ...] = ()

    def feed(self, data: bytes) -> None:
        """Decode bytes; raises what a decoder must not raise."""
        for call in self.calls:
            with suppress(NetwatchError, StepError):
                call(data)


def _row(number: int) -> Measurement:
    steps = (Observation("connect", None, 0.01), Observation("tls_handshake", "eof_error", 0.02))
    return Measurement(
        f"t{number % 3}", "tls", NOW, "eof_error", "path", host_responded=True, seconds=0.04,
        observations=steps,
    )  # fmt: skip


_BATCH = Batch(Vantage("a1", "XX", 64501), 7, tuple(map(_row, range(9))), ((1, 2), (4, 4)))
_PLAIN = BATCH.pack(_BATCH)


def _deflated(data: bytes) -> bytes:
    """Return an unsigned batch whose table is `data`, which random bytes never reach."""
    packer = zlib.compressobj(1, zdict=DICTIONARY)
    return b"NW\x01" + packer.compress(data) + packer.flush()


def _unpack_some(data: bytes) -> None:
    """Unpack every second row, and the last one, of a stored batch."""
    unpack_chosen(data, lambda times: dict([*enumerate(times)][::2] + [*enumerate(times)][-1:]))


def _batch_calls() -> tuple[Callable[[bytes], object], ...]:
    plain = (BATCH.unpack, OUTLINE.unpack, unpack_batch, decoding_cost, row_times, _unpack_some)
    return (*plain, *(lambda data, one=one: one(_deflated(data)) for one in plain))


def _format(form: MessageFormat[Any], value: object, *sites: str) -> Decoder:
    def unpack_signed(data: bytes) -> None:
        form.unpack(SIGNER.sign(data, form.purpose, limit=10**9))

    seeds = (form.encoder(value), form.pack(value, SIGNER))
    return Decoder(form.name, (form.unpack, form.decode, unpack_signed), sites, seeds)


def _text(decode: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda data: decode(data.decode("utf-8", "surrogateescape"))


def _file(suffix: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """Return a function that writes bytes to a file and reads that."""
    folder = Path(tempfile.mkdtemp(prefix="netwatch-decoders-"))

    def feed(data: bytes) -> None:
        path = folder / f"foreign{suffix}"
        path.write_bytes(data)
        read(path)

    return feed


def _token(text: str) -> None:
    check_url(Invitation.parse(text).url)


def _topic(text: str) -> None:
    for pattern in (ALL_BATCHES, ALL_PRESENCE, text):
        topic_matches(pattern, text)
    is_agent_id(topic_agent(text))


def _canary(text: str) -> None:
    """Check an agent's canary by the detail that it sent, which no batch has any longer."""
    target = Target("canary", "http", "127.0.0.1", 443, group=CANARY_GROUP)
    steps = (Observation("http_round_trip", None, 0.01, text[:MAX_WORD]),)
    row = Measurement(
        "canary", "http", NOW, None, "", host_responded=True, seconds=0.01, observations=steps
    )
    check_canaries(b"s" * 32, "a1", [(target, row)])


def _influx(data: bytes) -> None:
    for row in newest(parse_answer(data).rows):
        for parse in (parse_bin, parse_level):
            with suppress(NetwatchError):
                parse(row)


class _Stream:
    """A server that sends `data` and closes."""

    tls = None

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self, most: int) -> bytes:
        part, self._data = self._data[:most], self._data[most:]
        return part

    async def write(self, data: bytes) -> None:
        """Ignore the request."""

    def close(self) -> None:
        """Do nothing."""


async def _http(data: bytes) -> None:
    target = Target("one", "http", "example.org")
    stream: Any = _Stream(data)
    async with send_request(target, stream, {}) as response:
        async for _ in response.aiter_stream():
            pass


def _quic(data: bytes) -> None:
    connection = QuicConnection(configuration=QuicConfiguration(alpn_protocols=["h3"]))
    connection.connect(("192.0.2.1", 443), now=0.0)
    for packet in (data, b"\xc0\x00\x00\x00\x01" + data):
        receive_packet(connection, packet, ("192.0.2.1", 443), now=0.1)


_TARGETS = TargetList(3, NOW, (Target("one", "tcp", "example.org", 443, country="XX"),))
_ASKED = AgentRequest(b"c" * 32, "a1")
_INFLUX = (
    b'{"results":[{"series":[{"name":"bins","columns":["time","value"],"values":[[1,2.5]]}]}]}'
)
_INVITATION = Invitation(b"s" * 16, b"c" * 32, b"e" * 32, "https://example.org")
_REQUEST, _ = encrypt_request(b"hello", encryption_key(SIGNER))
_DNS = bytes.fromhex("1234818000010001000000000161026f7267") + b"\x00" * 20
_ROUTES = b"ts,peer_ip,pfx\n1,192.0.2.1,198.51.100.0/24\n"

DECODERS = (
    Decoder(
        "batch",
        _batch_calls(),
        (
            "netwatch/wire/batch_codec.py:",
            "netwatch/wire/batch_codec.py:_decode_table",
            "netwatch/wire/batch_codec.py:decoding_cost",
            "netwatch/wire/batch_codec.py:inflate",
            "netwatch/wire/batch_codec.py:_stored_table",
            "netwatch/wire/batch_codec.py:unpack_batch",
            "netwatch/wire/batch_codec.py:unpack_chosen",
            "netwatch/collector/file_import.py:_sender",
            "netwatch/collector/ingest.py:Ingest._decode",
        ),
        (_PLAIN, BATCH.pack(_BATCH, SIGNER), inflate(_PLAIN[3:], limit=10**6)),
    ),
    _format(
        ACKNOWLEDGEMENT,
        Ack("a1", ((1, 2),), ((4, "future"),), 5),
        "netwatch/wire/ack.py:",
        "netwatch/agent/spool/ack_verifier.py:verify_ack",
    ),
    _format(
        PRESENCE,
        PresenceMessage("up", "ab", 1, 2, 3.5, "mqtt"),
        "netwatch/wire/presence_message.py:",
        "netwatch/collector/presence_tracker.py:PresenceTracker.on_message",
    ),
    _format(
        RATE_ADVICE,
        RateAdvice(3.0, 60.0, 5),
        "netwatch/wire/rate_advice.py:",
        "netwatch/agent/uplink/uplink.py:Uplink._apply_rate_advice",
    ),
    _format(
        TARGET_LIST,
        _TARGETS,
        "netwatch/agent/target_list.py:",
        "netwatch/agent/target_list_store.py:TargetListStore._stored_list",
        "netwatch/agent/target_list_store.py:TargetListStore._verify",
        "netwatch/app/target_list_publisher.py:published_list",
    ),
    Decoder(
        "targets of a list",
        (lambda data: validate_targets(TARGET_LIST.decode(data)),),
        (),
        (TARGET_LIST.encoder(_TARGETS),),
    ),
    _format(
        ENROLLMENT,
        EnrollmentRequest(b"s" * 16, b"c" * 32, "a1", "XX", 64501, "XX-07", 3, "1.0"),
        "netwatch/wire/enrollment.py:_format",
        "netwatch/collector/enrollment_service.py:EnrollmentService.read_enrollment",
    ),
    _format(
        ENROLLED,
        EnrollmentResponse("", "a1", b"t" * 32, ("mqtts://example.org",), b"r" * 32),
        "netwatch/agent/enrollment_client.py:_request",
    ),
    _format(
        KEY_CHANGE,
        _ASKED,
        "netwatch/collector/enrollment_service.py:EnrollmentService.read_key_change",
    ),
    _format(
        ERASURE,
        _ASKED,
        "netwatch/collector/enrollment_service.py:EnrollmentService.read_erasure",
    ),
    Decoder(
        "token",
        (_text(_token), _text(lambda text: _token("netwatch-2-" + text)), _text(check_url)),
        (
            "netwatch/wire/enrollment.py:Invitation.parse",
            "netwatch/wire/enrollment.py:check_url",
        ),
        (_INVITATION.text().encode(), b"https://example.org"),
    ),
    Decoder(
        "encrypted request",
        (lambda data: decrypt_request(data, SIGNER), lambda data: decrypt_reply(data, REPLY_KEY)),
        (),
        (_REQUEST,),
    ),
    Decoder("topic", (_text(_topic),), (), (b"nw/v1/a/a1/b", b"nw/v1/a/a1/in/ack")),
    Decoder(
        "canary",
        (_text(_canary),),
        ("netwatch/collector/canary.py:canary_page",),
        (b"200,512", b"206,32,h2"),
    ),
    Decoder(
        "export file",
        tuple(_file("", lambda path, kind=kind: [*read_messages(path, kind)]) for kind in FileKind),
        ("netwatch/wire/export.py:read_messages",),
        tuple(kind.value + b"\x00\x00\x00\x05hello" for kind in FileKind),
    ),
    Decoder(
        "InfluxDB",
        (_influx, lambda data: Reply.parse(400, data, {})),
        (
            "netwatch/store/influx/parse.py:",
            "netwatch/store/influx/parse.py:parse_answer",
            "netwatch/store/influx/parse.py:parse_level",
            "netwatch/store/influx/parse.py:_level",
            "netwatch/store/influx/parse.py:newest",
            "netwatch/store/influx/parse.py:parse_bin",
            "netwatch/store/influx/parse.py:parse_counts",
            "netwatch/store/influx/reply.py:",
            "netwatch/store/influx/reply.py:Reply.parse",
        ),
        (_INFLUX, b'{"error":"no","message":"no"}'),
    ),
    Decoder(
        "checkpoint",
        (unpack_tracker_state, lambda data: SeriesState.load(data, width=300.0)),
        (
            "netwatch/incidents/tracker_state.py:unpack_tracker_state",
            "netwatch/detect/state.py:SeriesState.load",
            "netwatch/detect/state.py:_unpack",
        ),
        (msgspec.msgpack.encode(TrackerState()),),
    ),
    Decoder(
        "table of another observatory",
        (
            _file(".csv", read_table),
            _file(".csv.gz", read_table),
            _file(".parquet", read_table),
            _file(".csv", lambda path: line_of(path, 1)),
            _file(".csv.gz", lambda path: line_of(path, 1)),
        ),
        (
            "netwatch/sources/table_reader.py:_csv_parts",
            "netwatch/sources/table_reader.py:_lines",
            "netwatch/sources/table_reader.py:read_table",
            "netwatch/sources/wide_table.py:read_wide_table",
            "netwatch/lab/backtest/truth.py:_rows",
        ),
        (_ROUTES, gzip.compress(_ROUTES)),
    ),
    Decoder(
        "BGP lines",
        (_file(".jsonl", lambda path: BgpJsonlSource().read(path)),),
        ("netwatch/sources/bgp_jsonl.py:_read_lines",),
        (b'{"ts":1.5,"peer_ip":"192.0.2.1","pfx":"198.51.100.0/24","path":"1 2"}\n',),
    ),
    Decoder(
        "truth",
        (_file(".json", read_truth), _file(".csv", read_truth)),
        (
            "netwatch/lab/backtest/truth.py:_json_rows",
            "netwatch/lab/backtest/truth.py:_listed",
            "netwatch/lab/backtest/truth.py:_parsed",
            "netwatch/lab/backtest/truth.py:read_truth",
        ),
        (b'[{"start":"2019-11-16T00:00Z","end":"2019-11-23","country":"IR","asns":"[1]"}]',),
    ),
    Decoder(
        "manifest",
        (_file("", read_manifest),),
        ("netwatch/store/manifest.py:", "netwatch/store/manifest.py:read_manifest"),
        (b'{"line":1,"kind":"bins"}\n',),
    ),
    Decoder(
        "record",
        (
            _file("", lambda path: Consent(path).granted_at()),
            _uplink_status,
            _text(parse_config),
            _text(Baseline.decode),
        ),
        (
            "netwatch/agent/record_file.py:read_record",
            "netwatch/app/vantage_status.py:_parse_uplink_status",
            "netwatch/app/vantage_status.py:_uplink_status",
            "netwatch/sources/table_reader.py:line_of",
            "netwatch/config.py:parse_config",
            "netwatch/plugins.py:decode_section",
            "netwatch/model/baseline_basis.py:Baseline.decode",
        ),
        (b"{}", b'[vantage]\nid = "a1"\n', b'{"transport":null,"transports":[]}'),
    ),
    Decoder(
        "DNS answer",
        (dns.read_answer,),
        (
            "probes/netwatch_probes/dns.py:_from_wire",
            "probes/netwatch_probes/dns.py:read_answer",
            "probes/netwatch_probes/dns.py:_query_over_tcp",
        ),
        (_DNS,),
    ),
    Decoder(
        "certificate",
        (lambda data: tls._describe_chain([data]), lambda data: tls._has_key([data], "ab")),
        (
            "probes/netwatch_probes/tls.py:_describe_chain",
            "probes/netwatch_probes/tls.py:_has_key",
        ),
    ),
    Decoder(
        "HTTP answer",
        (lambda data: asyncio.run(_http(data)),),
        (),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",),
    ),
    Decoder(
        "QUIC packet",
        (_quic,),
        (
            "probes/netwatch_probes/quic.py:receive_packet",
            "probes/netwatch_probes/quic.py:_Handshake._receive",
        ),
        (b"\xc0" * 1200,),
    ),
    Decoder("ICMP answer", (lambda data: icmp._is_reply(data, 0, b"nonce"),), (), (b"E" * 60,)),
)
"""A place without a site takes text or bytes apart by itself."""

OWN = {
    "the program's own bytes, from a database or a file that it alone writes": (
        "netwatch/agent/saved_state.py:load_state",
        "netwatch/agent/spool/spool.py:Spool.__init__",
        "netwatch/analysis/pipeline.py:Pipeline.load",
        "netwatch/cli/data_access.py:_read_places",
        "netwatch/collector/trust_tables.py:TrustTables._canary_bits",
        "netwatch/ledger/ledger.py:",
        "netwatch/ledger/ledger.py:SqlLedger._read_incidents",
        "netwatch/ledger/outbox_store.py:",
        "netwatch/ledger/outbox_store.py:_outbox_entry",
        "netwatch/storage/installation.py:",
        "netwatch/storage/installation.py:Installation._read",
        "netwatch/storage/installation.py:Installation.recorded_key",
        "netwatch/store/manifest.py:newest_entries",
        "netwatch/store/migration.py:_rows",
        "netwatch/store/sqlite.py:SqliteStore.damaged_days",
        "netwatch/store/sqlite.py:_decode_baseline",
    ),
    "the operator's or host's own files and words": (
        "netwatch/agent/identity.py:load_identity",
        "netwatch/agent/measure/admission.py:QuietHours.parse",
        "netwatch/app/fleet_admin.py:fleet_is_public",
        "netwatch/app/target_list_publisher.py:_read_file",
        "netwatch/app/target_list_publisher.py:_with_canary",
        "netwatch/app/transports.py:_parse_address",
        "netwatch/app/transports.py:broker_password",
        "netwatch/app/vantage_explain.py:list_contacts",
        "netwatch/cli/enroll.py:adopt",
        "netwatch/cli/time_parsing.py:parse_instant",
        "netwatch/model/plaintext.py:refuse_plaintext",
        "netwatch/store/influx/dsn.py:InfluxDsn.address",
        "netwatch/store/influx/dsn.py:InfluxDsn.parse",
    ),
    "checked when the enrollment was received, and stored by this program": (
        "netwatch/agent/enrollment_client.py:change_key",
        "netwatch/agent/enrollment_client.py:erase",
        "netwatch/app/target_selection.py:open_target_list_store",
        "netwatch/app/transports.py:_enrolled_urls",
        "netwatch/app/vantage.py:_run_until_changed",
    ),
    "the kernel's tables": (
        "netwatch/agent/health/gateway.py:_destination",
        "netwatch/agent/health/gateway.py:_messages",
        "netwatch/agent/health/gateway.py:_parse_ipv6",
        "netwatch/agent/health/gateway.py:neighbour_state",
        "probes/netwatch_probes/traceroute.py:_Trace._add_answer",
    ),
    "what was encoded a line before": (
        "netwatch/agent/measure/schedule.py:phase",
        "netwatch/cli/output.py:_print",
        "netwatch/detect/state.py:SeriesState.save",
        "netwatch/lab/backtest/report.py:_page",
        "netwatch/store/influx/client.py:InfluxClient.query",
        "netwatch/store/manifest.py:Entry.encode",
        "netwatch/wire/batch_codec.py:_to_table",
        "netwatch/wire/enrollment.py:Invitation.text",
        "probes/netwatch_probes/icmp.py:_packet",
    ),
    "the one function that all decoders go through": (
        "netwatch/wire/message_format.py:MessageFormat.decode",
        "netwatch/wire/message_format.py:MessageFormat.unpack",
        "netwatch/wire/message_format.py:decode",
    ),
    "a parameter of a request, whose errors are an answer of HTTP": (
        "netwatch/web/api.py:_instant",
    ),
}
"""Decoders that are not fed, by reason."""
