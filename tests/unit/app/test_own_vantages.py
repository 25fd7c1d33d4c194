"""The observatory's own vantages count by their keys; a name alone is worth nothing."""

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from netwatch.agent.identity import load_or_create_identity
from netwatch.app.fleet_admin import own_keys, trust_settings
from netwatch.app.vantage_files import key_path
from netwatch.cli.fleet import app
from netwatch.collector.batch_log import BatchLog, ReceivedBatch
from netwatch.collector.registry import Registry
from netwatch.collector.trust_weights import trust_weights
from netwatch.config import Config, parse_config
from netwatch.model.measurement import Batch, Measurement, Vantage
from netwatch.wire.batch_codec import BATCH
from netwatch.wire.signing import Signer

NOW = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)
WIDTH = timedelta(minutes=5)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return parse_config(f'data = "{tmp_path}"\n[vantage]\nid = "home"')


def send(log: BatchLog, name: str, signer: Signer) -> str:
    row = Measurement("one", "tcp", NOW, None, "", host_responded=True, seconds=0.1)
    batch = Batch(Vantage(name, "XX", 64500), 1, (row,))
    received = ReceivedBatch(batch, BATCH.pack(batch, signer), signer.public, NOW)
    (result,) = log.add([received], closed_until=None, width=WIDTH)
    return result.value


def test_as_shipped_own_vantages_count_and_agents_that_never_enrolled_do_not(
    config: Config,
) -> None:
    home = load_or_create_identity(key_path(config))
    assert config.fleet.open_weight == 0
    with BatchLog(Path(config.data) / "batches.sqlite") as log:
        assert log.pin(own_keys(config)) == []
        stranger = Signer(Ed25519PrivateKey.generate())
        assert send(log, "home", home.signer) == send(log, "stranger", stranger) == "stored"
        trust = trust_settings(config)
        seen = log.first_seen(trust.own_keys())
        weights = trust_weights(seen, NOW, open_weight=trust.open_weight)
        assert {key: one.weight for key, one in weights.items()} == {("stranger", "XX"): 0}
    with Registry(Path(config.data) / "batches.sqlite") as registry:
        listed = {one.name: (one.state, one.weight) for one in registry.agents(NOW, trust)}
    assert listed == {"home": ("own", 1), "stranger": ("open", 0)}


def test_the_list_says_in_plain_words_why_an_agent_has_its_weight(config: Config) -> None:
    path = Path(config.data) / "netwatch.toml"
    path.write_text(f'data = "{config.data}"\n')
    home = load_or_create_identity(key_path(config))
    with BatchLog(Path(config.data) / "batches.sqlite") as log:
        send(log, "home", home.signer)
        for name in ("stranger", "friend"):
            send(log, name, Signer(Ed25519PrivateKey.generate()))
        log.release("friend", width=WIDTH)
    call = partial(CliRunner().invoke, app)
    text = call(["list", "--config", str(path)]).stdout
    lines = {line.split()[0]: " ".join(line.split()[1:]) for line in text.splitlines()}
    assert lines["home"].endswith("1.00 the observatory's own")
    assert lines["friend"].endswith("open 2026-01-08 1.00 released by the operator")
    assert lines["stranger"].endswith("open 2026-01-08 0.00 never enrolled")
    rows = json.loads(call(["list", "--json", "--config", str(path)]).stdout)
    found = {row["name"]: (row["why"], row["owner"], row["days"]) for row in rows}
    assert found["friend"] == ("vetted", "open", 0)
    assert found["home"] == (None, "", 0)


def test_nobody_else_can_take_the_name_of_an_own_vantage_or_counts_by_having_it(
    config: Config,
) -> None:
    load_or_create_identity(key_path(config))
    thief = Signer(Ed25519PrivateKey.generate())
    with BatchLog(Path(config.data) / "batches.sqlite") as log:
        assert log.pin(own_keys(config)) == []
        assert send(log, "home", thief) == "wrong_key"
    with BatchLog(Path(config.data) / "late.sqlite") as log:
        assert send(log, "home", thief) == "stored"
        assert log.pin(own_keys(config)) == ["home"]
        assert [one.name for one in log.first_seen(own_keys(config).values())] == ["home"]


def test_a_key_that_others_may_read_is_not_our_own(
    config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    load_or_create_identity(key_path(config))
    key_path(config).chmod(0o644)
    assert own_keys(config) == own_keys(config) == {}
    assert caplog.text.count("others may read this key") == 1
