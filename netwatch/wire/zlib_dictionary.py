"""The zlib dictionary of batches (RFC 1950, 2.2): it saves a third of a small batch.

It is part of the format: both ends need the same bytes. The most frequent words come last, where
references to them are shortest.
"""

import msgspec

_WORDS = (
    "unknown_failure: second_answer nxdomain_rewritten quic_handshake http_request_failed"
    " http_unexpected_status_code ssl_invalid_hostname ssl_invalid_certificate"
    " ssl_failed_handshake dns_servfail_error dns_nxdomain_error dns_no_answer dns_bogon_error"
    " network_unreachable unavailable interrupted local host_unreachable connection_reset"
    " eof_error controls_failed agent @health @gap transfer witness- http_round_trip"
    " tls_handshake ssl_unknown_authority certificate leaf: ,chain: ,issuer:"
    " connection_refused generic_timeout_error timeout"
)
_ROWS = (
    [[["dns_round_trip", None, ""], ["resolve", None, ""]]],
    [[["echo", None, ""]], [["connect", None, ""]]],
    [[["connect", None, ""], ["tls_handshake", None, ""]]],
    [".com", ".org", ".net", "http", "icmp", "tls", "dns", "tcp"],
    [None, "", True],
)
DICTIONARY = _WORDS.encode() + b"".join(msgspec.msgpack.encode(row) for row in _ROWS)
