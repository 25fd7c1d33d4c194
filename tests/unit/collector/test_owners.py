"""Every agent has an owner: the label of its invitation, itself, or "open" for all free keys."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from netwatch.collector.agent_tables import AgentTables
from netwatch.collector.registry import InvitationScope, Registry
from tests.unit.collector.test_enrollment_service import Office, identity


def owners(office: Office) -> dict[str, str]:
    with Registry(office.file) as registry:
        listed = {one.name: one.owner for one in registry.agents(office.now)}
    assert {one.name: one.owner for one in office.batch_log.first_seen()}.items() <= listed.items()
    return listed


async def test_the_label_of_an_invitation_is_the_owner_and_free_keys_are_one_owner(
    tmp_path: Path,
) -> None:
    office = Office(tmp_path)
    a1, a2 = identity(), identity()
    await office.enroll(office.invite(InvitationScope(owner="acme")), a1, name="a1")
    await office.enroll(office.invite(), a2, name="a2")
    for name, who in (("a1", a1), ("a2", a2), ("a3", identity()), ("acme", identity())):
        assert office.take(who, 1, name=name) == ([1], [])
    assert owners(office) == {"a1": "acme", "a2": "@a2", "a3": "open", "acme": "open"}
    await office.enroll(office.invite(InvitationScope(replaces="a1")), identity(), name="a1")
    assert owners(office)["a1"] == "acme"
    await office.enroll(office.invite(InvitationScope(owner="z", replaces="a1")), a1, name="a1")
    assert owners(office)["a1"] == "z"


def test_files_of_earlier_versions_get_the_column_and_keep_their_rows(tmp_path: Path) -> None:
    path = tmp_path / "batches.sqlite"
    with Office(tmp_path).batch_log as batch_log:
        assert batch_log.first_seen() == []
    with closing(sqlite3.connect(path)) as file:
        for table in ("agent", "invitation"):
            file.execute(f"ALTER TABLE {table} DROP COLUMN owner")
        file.execute("INSERT INTO agent VALUES ('a1', 'XX', 64501, '', 1, '0.1', 1, NULL)")
        file.execute("INSERT INTO first_seen VALUES ('a1', 'XX', 1, 0)")
        file.commit()
    with Registry(path) as registry, AgentTables(path) as tables:
        now = Office(tmp_path / "other").now
        assert [one.owner for one in registry.agents(now)] == ["@a1"]
        assert [one.owner for one in tables.first_seen()] == ["@a1"]
        scope = InvitationScope(owner="acme")
        registry.invite(b"digest", scope, now=now, length=timedelta(days=1))
