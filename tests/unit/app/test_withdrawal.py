"""After consent is withdrawn, a vantage sends no traffic."""

import asyncio
from pathlib import Path

import pytest
from servers import until

from netwatch.agent import pause as pausing
from netwatch.agent.enrollment_client import Enrollment
from netwatch.agent.record_file import write_record
from netwatch.app import vantage as module
from netwatch.app.vantage import demand_consent, run_vantage
from netwatch.app.vantage_files import enrollment_path, open_consent
from netwatch.app.wall_clock import now
from netwatch.config import Config, parse_config
from netwatch.model.errors import ConfigError


def enrolled_vantage(folder: Path) -> Config:
    """Return a vantage that probes this machine alone, and has an observatory."""
    config = parse_config(
        f'data = "{folder}"\n[vantage]\nid = "v1"\n[broker]\nembedded = false\nport = 1\n'
        '[[target]]\nid = "one"\nprobe = "tcp"\nhost = "127.0.0.1"\nport = 9\n'
    )
    write_record(
        enrollment_path(config), Enrollment("https://127.0.0.1:1", "00" * 32, "22" * 32, "11" * 32)
    )
    return config


def test_an_enrolled_vantage_needs_consent_even_for_loopback_targets(tmp_path: Path) -> None:
    config = enrolled_vantage(tmp_path)
    with pytest.raises(ConfigError, match="nobody has agreed"):
        demand_consent(config)
    open_consent(config).grant(now())
    demand_consent(config)


async def test_list_polling_time_sources_and_uplink_follow_consent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, at_work = enrolled_vantage(tmp_path), set[str]()

    def part(name: str) -> object:
        async def work(*_: object) -> None:
            at_work.add(name)
            try:
                await asyncio.Event().wait()
            finally:
                at_work.discard(name)

        return work

    monkeypatch.setattr(pausing, "_POLL_INTERVAL", 0.02)
    monkeypatch.setattr(module, "poll_target_list", part("mirror"))
    monkeypatch.setattr(module, "poll_time_sources", part("time"))
    monkeypatch.setattr("netwatch.agent.uplink.uplink.Uplink.run", part("uplink"))
    consent = open_consent(config)
    consent.grant(now())
    running = asyncio.ensure_future(run_vantage(config, with_consent=True))
    try:
        await until(lambda: at_work == {"mirror", "time", "uplink"})
        consent.revoke()
        await until(lambda: not at_work)
        consent.grant(now())
        await until(lambda: at_work == {"mirror", "time", "uplink"})
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
