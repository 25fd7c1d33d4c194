"""The whole observatory in one process: nothing to install."""

from collections.abc import Coroutine
from contextlib import AsyncExitStack

from netwatch.aio.tasks import run_until_first_exits
from netwatch.app.http_server import run_agent_api, run_serve
from netwatch.app.observatory import (
    ObservatoryContext,
    open_context,
    run_analyze,
    run_broker,
    run_collect,
    run_publish,
)
from netwatch.app.store_maintenance import run_maintenance
from netwatch.app.target_list_publisher import run_list_publishing
from netwatch.app.vantage import run_vantage
from netwatch.config import Config
from netwatch.protocols import DashboardStore


async def run_up(config: Config) -> None:
    """Run broker, collector, analysis, publisher, page and one vantage until cancelled.

    Raises:
        NetwatchError: a part cannot start; the others are stopped.
    """
    async with AsyncExitStack() as stack:
        opened = stack.enter_context(open_context(config))
        await stack.enter_async_context(run_broker(config))
        await run_until_first_exits(*_parts(opened))


def _parts(opened: ObservatoryContext) -> list[Coroutine[None, None, None]]:
    """Return what runs side by side; the vantage only where there is something to probe."""
    parts = [run_collect(opened), run_analyze(opened), run_publish(opened), run_serve(opened)]
    parts += [run_maintenance(opened.store), run_list_publishing(opened.config)]
    if opened.config.target:
        parts.append(run_vantage(opened.config))
    return parts + _mirror(opened)


def _mirror(opened: ObservatoryContext) -> list[Coroutine[None, None, None]]:
    """Return what feeds dashboards, which some stores serve."""
    if not isinstance(opened.store, DashboardStore):
        return []
    from netwatch.app.influx_exporter import run_mirror  # noqa: PLC0415 - an extra of its own

    return [run_mirror(opened)]


async def run_collecting(config: Config) -> None:
    """Run the collector alone, and the embedded broker if the configuration wants one."""
    async with AsyncExitStack() as stack:
        opened = stack.enter_context(open_context(config))
        await stack.enter_async_context(run_broker(config))
        await run_until_first_exits(
            run_collect(opened),
            run_agent_api(opened),
            run_maintenance(opened.store),
            run_list_publishing(opened.config),
        )


async def run_analyzing(config: Config) -> None:
    """Run the analysis and the publisher alone."""
    with open_context(config) as opened:
        await run_until_first_exits(run_analyze(opened), run_publish(opened), *_mirror(opened))


async def run_serving(config: Config) -> None:
    """Run the page alone."""
    with open_context(config) as opened:
        await run_serve(opened)
