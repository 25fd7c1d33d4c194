"""Affected entities: the narrower entities that are lost in an incident, and since when."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from netwatch.incidents.excursion import Excursion
from netwatch.incidents.open_incident import OpenIncident
from netwatch.model.entities import Entity, EntityTree
from netwatch.model.incident import OPEN_STATES, OUTAGE, AffectedEntity, IncidentState
from netwatch.model.series import SeriesKey


def part_series(incident: OpenIncident, entity: Entity) -> SeriesKey:
    """Return the series of an incident's own entity, or of an entity affected by it."""
    if incident.kind == OUTAGE:
        return SeriesKey(incident.signal, entity)
    if entity == incident.entity:
        return incident.series
    name = incident.signal.partition(":")[0]
    return SeriesKey(f"{name}:AS{entity.code}", incident.entity)


def network_weights(
    incident: OpenIncident, excursions: Mapping[Entity, Excursion], tree: EntityTree
) -> dict[Entity, float]:
    """Return the weights of the networks of an incident's scope."""
    if incident.kind == OUTAGE:
        return tree.leaf_weights(incident.entity)
    return {one: 1.0 for one in excursions if one != incident.entity}


def update_affected(
    incident: OpenIncident,
    excursions: Mapping[Entity, Excursion],
    now: datetime,
    *,
    tree: EntityTree,
    reopen_window: timedelta,
) -> None:
    """Add the bin `now` to the history of an incident and to its affected entities.

    `excursions` describe the incident, by entity. A loss of an affected entity that starts later
    than `reopen_window` after its last one is an entry of its own.
    """
    own = excursions.get(incident.entity)
    active = incident.state in (*OPEN_STATES, IncidentState.PROVISIONAL)
    if incident.kind == OUTAGE and active and own is not None and own.level.time == now:
        weights = tree.leaf_weights(incident.entity)
        networks = {one: excursions[one] for one in weights if one in excursions}
        incident.history.observe(own.level, networks)
    for entity, excursion in excursions.items():
        if _is_part(incident, entity, tree):
            weight = tree.info(entity).weight if incident.kind == OUTAGE else 1.0
            ended_at = excursion.level.time if excursion.level.value is not None else now
            if excursion.low.since is not None:
                _add_loss(
                    incident, AffectedEntity(entity, excursion.onset, None, weight), reopen_window
                )
            else:
                _end_loss(incident, entity, ended_at)


def _is_part(incident: OpenIncident, entity: Entity, tree: EntityTree) -> bool:
    if incident.kind != OUTAGE:
        return entity != incident.entity
    return incident.entity in tree.ancestors(entity)


def _add_loss(incident: OpenIncident, loss: AffectedEntity, reopen_window: timedelta) -> None:
    name = str(loss.entity)
    known = incident.affected.get(name)
    if known is None:
        incident.affected[name] = loss
    elif known.ended_at is not None:
        if loss.started_at - known.ended_at > reopen_window:
            # A second loss of the same entity: the first keeps its times.
            incident.affected[f"{name} {known.started_at.isoformat()}"] = known
        else:
            loss = replace(loss, started_at=known.started_at)
        incident.affected[name] = loss


def _end_loss(incident: OpenIncident, entity: Entity, ended_at: datetime) -> None:
    known = incident.affected.get(str(entity))
    if known is not None and known.ended_at is None:
        incident.affected[str(entity)] = replace(known, ended_at=ended_at)
