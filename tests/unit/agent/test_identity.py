"""Identity files: creation, permissions, and what is not a key."""

import os
from pathlib import Path

import pytest

from netwatch.agent.identity import load_or_create_identity
from netwatch.model.errors import ConfigError
from netwatch.model.measurement import Batch, Vantage
from netwatch.wire.batch_codec import BATCH, unpack_batch


def test_the_first_start_creates_a_key_that_only_its_owner_can_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "agent.key"
    first = load_or_create_identity(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_create_identity(path).id == first.id
    assert len(first.id) == 32
    assert [one.name for one in path.parent.iterdir()] == ["agent.key"]


def test_two_agents_have_different_ids(tmp_path: Path) -> None:
    one, other = (load_or_create_identity(tmp_path / name) for name in ("one", "other"))
    assert one.id != other.id


def test_an_identity_signs_batches(tmp_path: Path) -> None:
    identity = load_or_create_identity(tmp_path / "agent.key")
    message = identity.pack(Batch(Vantage("a1"), 7, ()))
    assert BATCH.verify(message)[1] == identity.signer.public
    assert unpack_batch(message).sequence == 7


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "agent.key"
    load_or_create_identity(path)
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_or_create_identity(path)


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\n"])
def test_a_file_that_is_not_a_key_gives_a_one_line_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "agent.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=r"agent\.key: is not a private key"):
        load_or_create_identity(path)


def test_the_leftovers_of_a_killed_start_are_replaced(tmp_path: Path) -> None:
    part = tmp_path / "agent.key.1a2b3c4d.part"
    part.write_bytes(b"half a k")
    os.utime(part, (0, 0))
    load_or_create_identity(tmp_path / "agent.key")
    assert [one.name for one in tmp_path.iterdir()] == ["agent.key"]
