"""The narrower scopes of an incident: when each fell, and when it came back."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from netwatch.incidents.excursion import Excursion
from netwatch.incidents.open_incident import OpenIncident
from netwatch.model.entities import Entity, EntityTree
from netwatch.model.incident import AffectedEntity


def update_affected(
    case: OpenIncident,
    watches: Mapping[Entity, Excursion],
    atlas: EntityTree,
    *,
    now: datetime,
    apart: timedelta,
) -> None:
    """Note in `case` which scopes below its own fell by `now`, and which came back.

    Args:
        case: the incident; its `children` change.
        watches: the excursions by which it is followed.
        atlas: which scope is a part of which.
        now: the newest bin.
        apart: who was back for longer falls a second time, and leaves the first as it was.
    """
    for entity, watch in watches.items():
        if case.entity not in atlas.ancestors(entity):
            continue
        name, known = str(entity), case.children.get(str(entity))
        if watch.low_from is not None and (known is None or known.ended_at is not None):
            if known and known.ended_at and watch.onset - known.ended_at > apart:
                case.children[f"{name} {known.started_at.isoformat()}"] = known
                known = None
            start = known.started_at if known else watch.onset
            case.children[name] = AffectedEntity(entity, start, None, atlas.info(entity).weight)
        elif watch.low_from is None and known is not None and known.ended_at is None:
            ended = watch.level.time if watch.level.value is not None else now
            case.children[name] = AffectedEntity(entity, known.started_at, ended, known.weight)
