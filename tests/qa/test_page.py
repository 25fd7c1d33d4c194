"""The page shows the table, and the table has every named fault."""

from qa.page import PAGE, with_table
from qa.table import CASES

# Usual names of faults, after the failure modes of other measurement tools.
NAMED = """
    dnsNXDOMAIN dnsBogon dnsTimeout dnsServfail dnsInjectedSecondReply dnsTransparentProxy
    dnsHijackToPortal tcpTimeout tcpRefused tcpReset hostUnreachable netUnreachableV6 noRoute
    tlsReset tlsEOF tlsTimeout certExpired certNotYetValidClockWrong certWrongName certUnknownCA
    httpReset http451 httpPortalRedirect httpSlowBody quicBlocked icmpBlockedTcpOk gatewayDown
    cableOut intlCut ispResolverDead vpnUp clockMinus2y clockJumpPlus6h suspend2h loopOverload
    fdExhaustion controlHostDown allControlsDownButTargetsUp brokerBlockedTlsOkUploadStalls
    lanDownThenUp
"""


def test_every_named_fault_has_its_row_and_every_row_its_own_name() -> None:
    names = [case.name for case in CASES]
    assert set(NAMED.split()) <= set(names)
    assert len(set(names)) == len(names) >= 60


def test_the_page_shows_the_table() -> None:
    page = PAGE.read_text("utf-8")
    assert with_table(page) == page, "call python -m tests.qa --write"
