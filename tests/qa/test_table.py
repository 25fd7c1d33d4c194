"""The QA table: each named fault, made for real, gives its failure, its scope, and its state.

Every row runs the installed probe through the agent's own measuring path, schedule, ladder and
confirmation, in a process of its own. What must be seen must be seen twice running: once may
be a moment on the way.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest
from certificates import Authority
from namespaces import need_namespaces
from qa.bench import Bench, Watch, prepare
from qa.case import Case, Seen
from qa.table import CASES
from qa.vantage import IT, Heard, Job

pytestmark = pytest.mark.timeout(180)
_AT_ONCE = 20
_LONGEST = 20.0


@dataclass(frozen=True)
class Look:
    """What is compared: a row's right side."""

    seen: Seen
    state: str
    state6: str
    flags: frozenset[str]


def asked(case: Case) -> Look:
    return Look(case.seen, case.state, case.state6, case.flags)


def looks(heard: Heard) -> Look:
    one = heard.measurement
    operation = one.observations[-1].operation if one.observations else ""
    seen = Seen(one.failure, operation, one.scope, one.host_responded)
    return Look(seen, heard.states[4], heard.states[6], heard.flags)


def detail(heard: Heard) -> str:
    return heard.measurement.observations[-1].detail if heard.measurement.observations else ""


def fits(case: Case, heard: Heard) -> bool:
    return looks(heard) == asked(case) and case.detail in detail(heard)


async def watch(case: Case, job: Job, watch: Watch) -> list[Heard]:
    """Return the newest looks at the target once all are as they should be, or time is up."""
    witnesses = {target.id for target in job.targets}
    # A target is looked at twice running; a note is made once.
    times = 2 if case.look == IT else 1

    def done() -> bool:
        newest = watch.of(case.look)[-times:]
        return len(newest) == times and all(fits(case, one) for one in newest)

    def settled() -> bool:
        return witnesses <= {one.measurement.target for one in watch.heard}

    await watch.until(lambda: settled() and done(), seconds=_LONGEST)
    return watch.of(case.look)[-times:]


async def run(case: Case, number: int, folder: Path, authority: Authority) -> list[Heard]:
    await asyncio.to_thread(folder.mkdir)
    async with Bench(number, folder, authority) as bench:
        made = await case.scene(bench)
        job, play = made if isinstance(made, tuple) else (made, None)
        async with Watch(job) as one:
            if play is not None:
                await play(one)
            return await watch(case, job, one)


async def run_all(cases: list[Case], folder: Path) -> dict[str, list[Heard] | Exception]:
    slots = asyncio.Semaphore(_AT_ONCE)
    authority = Authority(folder)

    async def one(number: int, case: Case) -> list[Heard] | Exception:
        async with slots:
            try:
                return await run(case, number, folder / case.name, authority)
            except Exception as error:  # noqa: BLE001 - told by the row that it belongs to
                return error

    found = await asyncio.gather(*(one(number, case) for number, case in enumerate(cases)))
    return {case.name: result for case, result in zip(cases, found, strict=True)}


@pytest.fixture(scope="module")
def results(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[Heard] | Exception]:
    """Everything that was chosen, run side by side: most of it is waiting."""
    chosen = [
        item.callspec.params["case"]
        for item in request.session.items
        if item.path == Path(__file__) and hasattr(item, "callspec")
    ]
    try:
        need_namespaces()
    except (pytest.skip.Exception, pytest.fail.Exception):
        # Their rows say so themselves; the others run.
        chosen = [case for case in chosen if not case.lab]
    prepare()
    return asyncio.run(run_all(chosen, tmp_path_factory.mktemp("qa")))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case, results: dict[str, list[Heard] | Exception]) -> None:
    if case.lab:
        need_namespaces()
    found = results[case.name]
    if isinstance(found, Exception):
        raise found
    assert len(found) == (2 if case.look == IT else 1), "it was not measured often enough"
    for heard in found:
        assert looks(heard) == asked(case)
        assert case.detail in detail(heard)
