"""Names, connections, certificates, pages: faults of servers, made on loopback."""

import server_faults
from qa import scenarios_names as names
from qa import scenarios_servers as servers
from qa.case import Case, failure, success

__all__ = ["CASES"]

_TRUE = "9.9.9.9"
_HUGE = b"HTTP/1.1 200 OK\r\n" + b"X-Padding: " + b"x" * 200_000

NAMES = [
    Case(
        "dnsNXDOMAIN",
        "the resolver answers NXDOMAIN for a name that exists",
        names.answering(rcode=3),
        failure("dns_nxdomain_error", "resolve", "dns", host_responded=True),
    ),
    Case(
        "dnsServfail",
        "the resolver answers SERVFAIL",
        names.answering(rcode=2),
        failure("dns_servfail_error", "resolve", "dns", host_responded=True),
    ),
    Case(
        "dnsRefused",
        "the resolver answers REFUSED",
        names.answering(rcode=5),
        failure("dns_refused_error", "resolve", "dns", host_responded=True),
    ),
    Case(
        "dnsNoAnswer",
        "the resolver answers NOERROR without records",
        names.answering(),
        failure("dns_no_answer", "resolve", "dns", host_responded=True),
    ),
    Case(
        "dnsBogon",
        "the answer is a private address",
        names.answering("10.10.34.35"),
        failure("dns_bogon_error", "resolve", "dns", host_responded=True),
    ),
    Case(
        "dnsTimeout",
        "the resolver does not answer",
        names.silent,
        failure("generic_timeout_error", "dns_round_trip", "timeout"),
    ),
    Case(
        "dnsPortClosed",
        "the resolver's port is closed",
        names.closed,
        failure("connection_refused", "dns_round_trip", "refused", host_responded=True),
    ),
    Case(
        "dnsGarbled",
        "the answer is not DNS",
        names.garbled,
        failure("dns_server_misbehaving", "dns_round_trip", "dns"),
    ),
    Case(
        "dnsWrongId",
        "all answers have a wrong id",
        names.answering(_TRUE, number=7),
        failure("dns_reply_with_wrong_query_id", "dns_round_trip", "dns"),
    ),
    Case(
        "dnsInjectedSecondReply",
        "two different answers come, 100 ms apart",
        names.injected,
        success("resolve"),
        flags=frozenset({"dns_hijacked"}),
        detail="second_answer",
    ),
    Case(
        "dnsNxdomainRewritten",
        "a name below .invalid has an address",
        names.rewritten,
        failure("dns_server_misbehaving", "resolve", "dns", host_responded=True),
        flags=frozenset({"dns_hijacked"}),
        detail="nxdomain_rewritten",
    ),
    Case(
        "dnsCutShortThenTcp",
        "the UDP answer is truncated; TCP has all of it",
        names.cut_short,
        success("resolve"),
    ),
]

CONNECTIONS = [
    Case(
        "tcpTimeout",
        "the port's backlog is full: handshakes go unanswered",
        servers.silent,
        failure("generic_timeout_error", "connect", "timeout"),
    ),
    Case(
        "tcpRefused",
        "the port is closed",
        servers.refused,
        failure("connection_refused", "connect", "refused", host_responded=True),
    ),
    Case(
        "tcpReset",
        "the connection is reset after the request",
        servers.serving("transfer", server_faults.reset_after_request),
        failure("connection_reset", "transfer", "reset", host_responded=True),
    ),
    Case(
        "transferStalls",
        "a download stalls after 16 KiB",
        servers.serving("transfer", server_faults.stall_after(16_384, promised=100_000)),
        failure("generic_timeout_error", "transfer", "timeout", host_responded=True),
        detail="16384",
    ),
    Case(
        "quicBlocked",
        "UDP to the site vanishes, TCP to the same port is answered",
        servers.quic_blocked,
        failure("generic_timeout_error", "quic_handshake", "timeout"),
    ),
]

CERTIFICATES = [
    Case(
        "tlsReset",
        "the connection is reset during the handshake",
        servers.speaking_tls(server_faults.reset_after_request),
        failure("connection_reset", "tls_handshake", "reset", host_responded=True),
    ),
    Case(
        "tlsEOF",
        "the server closes during the handshake",
        servers.speaking_tls(server_faults.end_after_request),
        failure("eof_error", "tls_handshake", "reset", host_responded=True),
    ),
    Case(
        "tlsTimeout",
        "the server is silent during the handshake",
        servers.speaking_tls(server_faults.keep_silent),
        failure("generic_timeout_error", "tls_handshake", "timeout", host_responded=True),
    ),
    Case(
        "tlsNotSpoken",
        "the server answers the handshake with a line of text",
        servers.speaking_tls(server_faults.say(b"SSH-2.0-OpenSSH_9.2\r\n" * 10)),
        failure("ssl_failed_handshake", "tls_handshake", "tls", host_responded=True),
    ),
    Case(
        "certExpired",
        "the certificate expired two days ago",
        servers.certified(days=(-30, -2)),
        failure("ssl_invalid_certificate", "certificate", "tls", host_responded=True),
    ),
    Case(
        "certNotYetValid",
        "the certificate is valid from two days on",
        servers.certified(days=(2, 30)),
        failure("ssl_invalid_certificate", "certificate", "tls", host_responded=True),
    ),
    Case(
        "certWrongName",
        "the certificate is for another name",
        servers.certified("other.example"),
        failure("ssl_invalid_hostname", "certificate", "tls", host_responded=True),
    ),
    Case(
        "certUnknownCA",
        "the certificate is from an untrusted authority",
        servers.stranger,
        failure("ssl_unknown_authority", "certificate", "tls", host_responded=True),
    ),
]

PAGES = [
    Case(
        "httpReset",
        "the connection is reset after the request",
        servers.serving("http", server_faults.reset_after_request),
        failure("connection_reset", "http_round_trip", "reset", host_responded=True),
    ),
    Case(
        "httpEOF",
        "the server closes after the request",
        servers.serving("http", server_faults.end_after_request),
        failure("eof_error", "http_round_trip", "reset", host_responded=True),
    ),
    Case(
        "http451",
        "the page is not available for legal reasons",
        servers.serving("http", server_faults.http_answer("451 Unavailable For Legal Reasons")),
        failure("http_unexpected_status_code", "http_round_trip", "http", host_responded=True),
    ),
    Case(
        "http503",
        "the server answers 503",
        servers.serving("http", server_faults.http_answer("503 Service Unavailable")),
        failure("http_unexpected_status_code", "http_round_trip", "http", host_responded=True),
    ),
    Case(
        "httpPortalRedirect",
        "the page redirects to another site, as a block page does",
        servers.serving(
            "http", server_faults.http_answer("302 Found", "Location: http://block.gov.xx/")
        ),
        failure("http_unexpected_redirect_url", "http_round_trip", "http", host_responded=True),
    ),
    Case(
        "httpSlowBody",
        "the headers come at once, the body at five bytes a second",
        servers.serving("http", server_faults.answer_slowly),
        failure("generic_timeout_error", "http_round_trip", "timeout", host_responded=True),
    ),
    Case(
        "httpNotSpoken",
        "the answer is not HTTP",
        servers.serving("http", server_faults.say(b"220 mail.example ESMTP\r\n\r\n")),
        failure("http_request_failed", "http_round_trip", "http", host_responded=True),
    ),
    Case(
        "httpHugeHead",
        "the headers do not end",
        servers.serving("http", server_faults.say(_HUGE)),
        failure("http_request_failed", "http_round_trip", "http", host_responded=True),
    ),
]

CASES = [*NAMES, *CONNECTIONS, *CERTIFICATES, *PAGES]
