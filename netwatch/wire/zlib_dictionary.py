"""Words that batches are full of, which both ends know beforehand: a third of a small batch.

Part of the format: a batch that was deflated with it can be read with the very same bytes
only (RFC 1950, section 2.2). What comes last is cheapest to point at.
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
