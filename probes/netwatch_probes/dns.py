"""Does a name server answer, and with a plausible address?

dnspython is named in this file only, and only its messages and asyncio sockets.
"""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

import dns.asyncquery
import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

from netwatch.model.measurement import Observation, Target
from netwatch_probes.steps import StepError, Steps, resolve

__all__ = ["DnsProbe"]

_DEFAULT_PORT = 53
_PAYLOAD = 1232
"""EDNS buffer that passes everywhere unfragmented (DNS Flag Day 2020)."""
_RCODES = {
    dns.rcode.NXDOMAIN: "dns_nxdomain_error",
    dns.rcode.SERVFAIL: "dns_servfail_error",
    dns.rcode.REFUSED: "dns_refused_error",
}


class DnsProbe:
    """Asks the target's host for the A record of the target's path, over UDP, then TCP if cut.

    An empty path asks for the root's name servers, which every resolver knows. Step
    `dns_round_trip` says that the server answered, step `resolve` what its answer is worth.
    An address that cannot be on the public Internet is `dns_bogon_error`, unless it lies
    in one of the `private` networks.
    """

    name = "dns"

    def __init__(self, *, private: Sequence[IPv4Network | IPv6Network] = ()) -> None:
        self._private = tuple(private)

    async def measure(self, target: Target, *, within: float) -> tuple[Observation, ...]:
        """Ask once; see `netwatch.protocols.Probe`."""
        steps = Steps(within=within)
        async with steps:
            _, address = await resolve(target.host, steps)
            kind = dns.rdatatype.A if target.path else dns.rdatatype.NS
            question = dns.message.make_query(target.path or ".", kind, payload=_PAYLOAD)
            with steps.step("dns_round_trip"):
                answer = await _ask(question, address, target.port or _DEFAULT_PORT)
            with steps.step("resolve"):
                self._judge(answer)
        return steps.observations

    def _judge(self, answer: dns.message.Message) -> None:
        """Raise StepError unless the answer holds what was asked for."""
        if answer.rcode() != dns.rcode.NOERROR:
            raise StepError(_RCODES.get(answer.rcode(), "dns_server_misbehaving"))
        wanted = answer.question[0].rdtype
        records = [entry for rows in answer.answer if rows.rdtype == wanted for entry in rows]
        if not records:
            raise StepError("dns_no_answer")
        if wanted == dns.rdatatype.A and any(self._is_bogon(str(entry)) for entry in records):
            raise StepError("dns_bogon_error")

    def _is_bogon(self, text: str) -> bool:
        """Tell whether an address cannot be on the public Internet."""
        address = ip_address(text)
        return not address.is_global and not any(address in net for net in self._private)


async def _ask(question: dns.message.Message, address: str, port: int) -> dns.message.Message:
    """Exchange one question; dnspython's errors become failure words.

    Raises:
        StepError: the reply is no answer to the question, or no DNS at all.
    """
    try:
        answer, _ = await dns.asyncquery.udp_with_fallback(question, address, port=port)
    except (dns.query.BadResponse, dns.query.UnexpectedSource) as error:
        raise StepError("dns_reply_with_wrong_query_id") from error
    except dns.exception.DNSException as error:
        raise StepError("dns_server_misbehaving") from error
    return answer
