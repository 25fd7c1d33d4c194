"""Status report of a vantage: spool backlog, budget, consent, pauses, target list."""

from contextlib import suppress

import msgspec

from netwatch.agent.measure.budget import BUDGETS, SKIPPED_AT_LEVEL, DailyBudget
from netwatch.agent.saved_state import SavedState, load_state
from netwatch.agent.spool.schema import MetaKey
from netwatch.agent.target_list import TargetList
from netwatch.app.target_selection import choose_targets, open_target_list_store
from netwatch.app.vantage import open_spool
from netwatch.app.vantage_files import open_consent, read_enrollment
from netwatch.app.wall_clock import now
from netwatch.config import Config
from netwatch.model.errors import InputError
from netwatch.model.foreign_bytes import decode_foreign


def vantage_status(config: Config) -> dict[str, object]:
    """Return the status of this vantage by name; times are ISO 8601 text."""
    with open_spool(config) as spool:
        state, saved = spool.state(), load_state(spool, SavedState)
        uplink = spool.get_meta(MetaKey.UPLINK)
    enrollment = read_enrollment(config)
    target_list = open_target_list_store(config).current()
    values = {
        "vantage": config.vantage.id,
        "observatory": None if enrollment is None else enrollment.url,
        "last_measured": saved.heartbeat.time if saved else None,
        "waiting_batches": state.pending,
        "refused_batches": state.refused,
        "spool_bytes": state.used_bytes,
        "spool_limit_bytes": state.limit_bytes,
        "downsampled_batches": sum(state.levels[2:]),
        **(msgspec.to_builtins(saved.stats) if saved else {}),
        **_uplink_status(uplink),
        **_budget_status(config, saved),
        **_consent_status(config, target_list),
        **_list_status(config, target_list),
    }
    status: dict[str, object] = msgspec.to_builtins(values)
    return status


def _uplink_status(saved: bytes | None) -> dict[str, object]:
    with suppress(InputError):
        if saved:
            return decode_foreign(saved, _parse_uplink_status, what="uplink status")
    return {"transport": None, "transports": []}


def _parse_uplink_status(saved: bytes) -> dict[str, object]:
    status = msgspec.json.decode(saved)
    return {
        "transport": status["transport"],
        "transports": [
            f"{one['transport']}: {one['failure'] or 'works'}" for one in status["transports"]
        ],
    }


def _budget_status(config: Config, saved: SavedState | None) -> dict[str, object]:
    budget = DailyBudget(BUDGETS[config.agent.budget])
    if saved is not None:
        budget.restore(saved.budget)
    level = budget.level(now())
    return {
        "probed_bytes_today": budget.spent,
        "probe_bytes_a_day": budget.limit,
        "skipped_to_save": SKIPPED_AT_LEVEL[level],
        "change_probes_today": budget.change_probes,
    }


def _consent_status(config: Config, target_list: TargetList | None) -> dict[str, object]:
    consent, present = open_consent(config), now()
    scope = consent.scope()
    pause_until = target_list.pause_until if target_list else None
    is_paused = pause_until is not None and pause_until > present
    tiers = ["A"] if consent.granted_at() is not None else []
    tiers += ["B"] if scope.popular else []
    tiers += [f"C:{category}" for category in sorted(scope.categories)]
    return {
        "consent_since": consent.granted_at(),
        "consent_tiers": tiers,
        "paused_until": consent.paused_until(present),
        "observatory_pauses_until": pause_until if is_paused else None,
        "observatory_pause_reason": target_list.pause_reason if target_list and is_paused else "",
    }


def _list_status(config: Config, target_list: TargetList | None) -> dict[str, object]:
    selection, rejection = choose_targets(config), open_target_list_store(config).rejection()
    return {
        "targets": len(selection.targets),
        "list_version": target_list.version if target_list else None,
        "list_expires": target_list.expires if target_list else None,
        "list_expired": target_list is not None and target_list.expires <= now(),
        "list_skipped": len(selection.skipped),
        "list_rejected": rejection.reason if rejection else None,
        "list_rejected_at": rejection.at if rejection else None,
    }
