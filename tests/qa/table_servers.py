"""Names, connections, certificates, pages: faults of servers, made on loopback."""

import faults
from qa import scenes_names as names
from qa import scenes_servers as servers
from qa.case import Case, failing, well

__all__ = ["CASES"]

_TRUE = "9.9.9.9"
_HUGE = b"HTTP/1.1 200 OK\r\n" + b"X-Padding: " + b"x" * 200_000

NAMES = [
    Case(
        "dnsNXDOMAIN",
        "the resolver says NXDOMAIN of a name that exists",
        names.answering(rcode=3),
        failing("dns_nxdomain_error", "resolve", "dns", host_responded=True),
    ),
    Case(
        "dnsServfail",
        "the resolver says SERVFAIL",
        names.answering(rcode=2),
        failing("dns_servfail_error", "resolve", "dns", host_responded=True),
    ),
    Case(
        "dnsRefused",
        "the resolver says REFUSED",
        names.answering(rcode=5),
        failing("dns_refused_error", "resolve", "dns", host_responded=True),
    ),
    Case(
        "dnsNoAnswer",
        "the resolver says NOERROR and nothing more",
        names.answering(),
        failing("dns_no_answer", "resolve", "dns", host_responded=True),
    ),
    Case(
        "dnsBogon",
        "the answer is a private address",
        names.answering("10.10.34.35"),
        failing("dns_bogon_error", "resolve", "dns", host_responded=True),
    ),
    Case(
        "dnsTimeout",
        "the resolver hears and says nothing",
        names.silent,
        failing("generic_timeout_error", "dns_round_trip", "timeout"),
    ),
    Case(
        "dnsPortClosed",
        "nobody listens on the resolver's port; its host says so",
        names.closed,
        failing("connection_refused", "dns_round_trip", "refused", host_responded=True),
    ),
    Case(
        "dnsGarbled",
        "the answer is no DNS",
        names.garbled,
        failing("dns_server_misbehaving", "dns_round_trip", "dns"),
    ),
    Case(
        "dnsWrongId",
        "only answers to other questions come",
        names.answering(_TRUE, number=7),
        failing("dns_reply_with_wrong_query_id", "dns_round_trip", "dns"),
    ),
    Case(
        "dnsInjectedSecondReply",
        "two answers come, 100 ms apart, and differ",
        names.injected,
        well("resolve"),
        flags=frozenset({"dns_hijacked"}),
        detail="second_answer",
    ),
    Case(
        "dnsNxdomainRewritten",
        "a name below .invalid has an address",
        names.rewritten,
        failing("dns_server_misbehaving", "resolve", "dns", host_responded=True),
        flags=frozenset({"dns_hijacked"}),
        detail="nxdomain_rewritten",
    ),
    Case(
        "dnsCutShortThenTcp",
        "the answer over UDP is cut; the whole comes over TCP",
        names.cut_short,
        well("resolve"),
    ),
]

CONNECTIONS = [
    Case(
        "tcpTimeout",
        "the port's backlog is full: handshakes go unanswered",
        servers.deaf,
        failing("generic_timeout_error", "connect", "timeout"),
    ),
    Case(
        "tcpRefused",
        "nobody listens on the port",
        servers.refused,
        failing("connection_refused", "connect", "refused", host_responded=True),
    ),
    Case(
        "tcpReset",
        "the connection is reset once the client has spoken",
        servers.serving("transfer", faults.reset_after_request),
        failing("connection_reset", "transfer", "reset", host_responded=True),
    ),
    Case(
        "transferStalls",
        "16 KiB of a download come, then nothing more",
        servers.serving("transfer", faults.stall_after(16_384, promised=100_000)),
        failing("generic_timeout_error", "transfer", "timeout", host_responded=True),
        detail="16384",
    ),
    Case(
        "quicBlocked",
        "UDP to the site vanishes, TCP to the same port is answered",
        servers.quic_blocked,
        failing("generic_timeout_error", "quic_handshake", "timeout"),
    ),
]

CERTIFICATES = [
    Case(
        "tlsReset",
        "the connection is reset in the handshake",
        servers.speaking_tls(faults.reset_after_request),
        failing("connection_reset", "tls_handshake", "reset", host_responded=True),
    ),
    Case(
        "tlsEOF",
        "the server hangs up in the handshake",
        servers.speaking_tls(faults.end_after_request),
        failing("eof_error", "tls_handshake", "reset", host_responded=True),
    ),
    Case(
        "tlsTimeout",
        "the server says nothing in the handshake",
        servers.speaking_tls(faults.keep_silent),
        failing("generic_timeout_error", "tls_handshake", "timeout", host_responded=True),
    ),
    Case(
        "tlsNotSpoken",
        "the server answers the handshake with a line of text",
        servers.speaking_tls(faults.say(b"SSH-2.0-OpenSSH_9.2\r\n" * 10)),
        failing("ssl_failed_handshake", "tls_handshake", "tls", host_responded=True),
    ),
    Case(
        "certExpired",
        "the certificate ended two days ago",
        servers.certified(days=(-30, -2)),
        failing("ssl_invalid_certificate", "certificate", "tls", host_responded=True),
    ),
    Case(
        "certNotYetValid",
        "the certificate begins in two days",
        servers.certified(days=(2, 30)),
        failing("ssl_invalid_certificate", "certificate", "tls", host_responded=True),
    ),
    Case(
        "certWrongName",
        "the certificate is another site's",
        servers.certified("other.example"),
        failing("ssl_invalid_hostname", "certificate", "tls", host_responded=True),
    ),
    Case(
        "certUnknownCA",
        "the certificate is of an authority that nobody trusts",
        servers.stranger,
        failing("ssl_unknown_authority", "certificate", "tls", host_responded=True),
    ),
]

PAGES = [
    Case(
        "httpReset",
        "the connection is reset after the request",
        servers.serving("http", faults.reset_after_request),
        failing("connection_reset", "http_round_trip", "reset", host_responded=True),
    ),
    Case(
        "httpEOF",
        "the server hangs up after the request",
        servers.serving("http", faults.end_after_request),
        failing("eof_error", "http_round_trip", "reset", host_responded=True),
    ),
    Case(
        "http451",
        "the page is not available for legal reasons",
        servers.serving("http", faults.http_answer("451 Unavailable For Legal Reasons")),
        failing("http_unexpected_status_code", "http_round_trip", "http", host_responded=True),
    ),
    Case(
        "http503",
        "the server is out of order",
        servers.serving("http", faults.http_answer("503 Service Unavailable")),
        failing("http_unexpected_status_code", "http_round_trip", "http", host_responded=True),
    ),
    Case(
        "httpPortalRedirect",
        "the page sends to another site, as a block page does",
        servers.serving("http", faults.http_answer("302 Found", "Location: http://block.gov.xx/")),
        failing("http_unexpected_redirect_url", "http_round_trip", "http", host_responded=True),
    ),
    Case(
        "httpSlowBody",
        "the head comes at once, the body at five bytes a second",
        servers.serving("http", faults.answer_slowly),
        failing("generic_timeout_error", "http_round_trip", "timeout", host_responded=True),
    ),
    Case(
        "httpNotSpoken",
        "the answer is no HTTP",
        servers.serving("http", faults.say(b"220 mail.example ESMTP\r\n\r\n")),
        failing("http_request_failed", "http_round_trip", "http", host_responded=True),
    ),
    Case(
        "httpHugeHead",
        "the head of the answer does not end",
        servers.serving("http", faults.say(_HUGE)),
        failing("http_request_failed", "http_round_trip", "http", host_responded=True),
    ),
]

CASES = [*NAMES, *CONNECTIONS, *CERTIFICATES, *PAGES]
