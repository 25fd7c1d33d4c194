"""The QA table: each named fault, made for real, gives its failure, scope and health state.

Every row runs the installed probe in the agent's own measuring loop, in a separate process. The
expected outcome must occur twice in a row: once may be a transient.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest
from certificates import Authority
from namespaces import need_namespaces
from qa.bench import Bench, Watch, prepare
from qa.case import Case, Outcome
from qa.table import CASES, SCENARIOS
from qa.vantage import SUBJECT, Job, VantageReport

pytestmark = pytest.mark.timeout(180)
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
_CONCURRENCY = 20
_TIMEOUT = 20.0


@dataclass(frozen=True)
class Expectation:
    """What is compared: a row's right side."""

    outcome: Outcome
    state: str
    state6: str
    flags: frozenset[str]


def expected(case: Case) -> Expectation:
    return Expectation(case.outcome, case.state, case.state6, case.flags)


def actual(report: VantageReport) -> Expectation:
    one = report.measurement
    operation = one.observations[-1].operation if one.observations else ""
    outcome = Outcome(one.failure, operation, one.scope, one.host_responded)
    return Expectation(outcome, report.states[4], report.states[6], report.flags)


def detail(report: VantageReport) -> str:
    return report.measurement.observations[-1].detail if report.measurement.observations else ""


def matches(case: Case, report: VantageReport) -> bool:
    return actual(report) == expected(case) and case.detail in detail(report)


async def watch(case: Case, job: Job, watch: Watch) -> list[VantageReport]:
    """Return the newest reports about the target once all match, or at the timeout."""
    witnesses = {target.id for target in job.targets}
    # A target must match twice in a row; an event happens once.
    times = 2 if case.row == SUBJECT else 1

    def done() -> bool:
        newest = watch.of(case.row)[-times:]
        return len(newest) == times and all(matches(case, one) for one in newest)

    def settled() -> bool:
        return witnesses <= {one.measurement.target for one in watch.reports}

    await watch.until(lambda: settled() and done(), seconds=_TIMEOUT)
    return watch.of(case.row)[-times:]


async def run(case: Case, number: int, folder: Path, authority: Authority) -> list[VantageReport]:
    await asyncio.to_thread(folder.mkdir)
    async with Bench(number, folder, authority) as bench:
        made = await case.scenario(bench)
        job, actions = made if isinstance(made, tuple) else (made, None)
        async with Watch(job) as one:
            if actions is not None:
                await actions(one)
            return await watch(case, job, one)


async def run_all(cases: list[Case], folder: Path) -> dict[str, list[VantageReport] | Exception]:
    slots = asyncio.Semaphore(_CONCURRENCY)
    authority = Authority(folder)

    async def one(number: int, case: Case) -> list[VantageReport] | Exception:
        async with slots:
            try:
                return await run(case, number, folder / case.name, authority)
            except Exception as error:  # noqa: BLE001 - raised by its own row
                return error

    outcomes = await asyncio.gather(*(one(number, case) for number, case in enumerate(cases)))
    return {case.name: outcome for case, outcome in zip(cases, outcomes, strict=True)}


@pytest.fixture(scope="module")
def results(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[VantageReport] | Exception]:
    """Run all selected cases concurrently: most of the time is waiting."""
    chosen = [
        item.callspec.params["case"]
        for item in request.session.items
        if item.path == Path(__file__) and hasattr(item, "callspec")
    ]
    try:
        need_namespaces()
    except (pytest.skip.Exception, pytest.fail.Exception):
        # Their rows are skipped one by one; the others run.
        chosen = [case for case in chosen if not case.namespaces]
    prepare()
    return asyncio.run(run_all(chosen, tmp_path_factory.mktemp("qa")))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case, results: dict[str, list[VantageReport] | Exception]) -> None:
    if case.namespaces:
        need_namespaces()
    reports = results[case.name]
    if isinstance(reports, Exception):
        raise reports
    assert len(reports) == (2 if case.row == SUBJECT else 1), "too few measurements"
    for report in reports:
        assert actual(report) == expected(case)
        assert case.detail in detail(report)


def test_every_named_fault_has_its_row_and_every_row_its_own_scenario() -> None:
    names = [case.name for case in CASES]
    assert set(NAMED.split()) <= set(names)
    assert len(names) >= 60
    assert sorted(names) == sorted(SCENARIOS)
