"""Status report of a vantage: spool backlog, budget, consent, pauses, target list."""

from datetime import datetime

import msgspec

from netwatch.agent.measure.budget import BUDGETS, SKIPPED_AT_LEVEL, DailyBudget
from netwatch.agent.saved_state import SavedState, load_state
from netwatch.agent.uplink.uplink import STATUS_KEY
from netwatch.app.targets import choose_targets, open_target_list_store
from netwatch.app.vantage import open_spool
from netwatch.app.vantage_files import open_consent, read_enrollment
from netwatch.app.wall_clock import now
from netwatch.config import Config


def vantage_status(config: Config) -> dict[str, object]:
    """Return the status of this vantage by name; times are ISO 8601 text."""
    with open_spool(config) as spool:
        state, saved = spool.state(), load_state(spool)
        uplink = spool.get_meta(STATUS_KEY)
    enrollment = read_enrollment(config)
    return {
        "vantage": config.vantage.id,
        "observatory": None if enrollment is None else enrollment.url,
        "last_measured": _iso(saved.heartbeat.time) if saved else None,
        "waiting_batches": state.pending,
        "refused_batches": state.refused,
        "spool_bytes": state.used_bytes,
        "spool_limit_bytes": state.limit_bytes,
        "downsampled_batches": sum(state.levels[2:]),
        **(msgspec.to_builtins(saved.stats) if saved else {}),
        **_uplink_status(uplink),
        **_budget_status(config, saved),
        **_consent_status(config),
        **_list_status(config),
    }


def _uplink_status(saved: bytes | None) -> dict[str, object]:
    status = msgspec.json.decode(saved) if saved else {"transport": None, "transports": []}
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


def _consent_status(config: Config) -> dict[str, object]:
    consent, present = open_consent(config), now()
    scope = consent.scope()
    target_list = open_target_list_store(config).current()
    pause_until = None if target_list is None else target_list.pause_until
    if pause_until is not None and pause_until <= present:
        pause_until = None
    tiers = ["A"] if consent.granted_at() is not None else []
    tiers += ["B"] if scope.popular else []
    tiers += [f"C:{category}" for category in sorted(scope.categories)]
    return {
        "consent_since": _iso(consent.granted_at()),
        "consent_tiers": tiers,
        "paused_until": _iso(consent.paused_until(present)),
        "observatory_pauses_until": _iso(pause_until),
        "observatory_pause_reason": target_list.pause_reason if target_list and pause_until else "",
    }


def _list_status(config: Config) -> dict[str, object]:
    selection, rejection = choose_targets(config), open_target_list_store(config).rejection()
    target_list = selection.target_list
    return {
        "targets": len(selection.targets),
        "list_version": None if target_list is None else target_list.version,
        "list_expires": None if target_list is None else _iso(target_list.expires),
        "list_expired": target_list is not None and target_list.expires <= now(),
        "list_skipped": len(selection.skipped),
        "list_rejected": None if rejection is None else rejection.reason,
        "list_rejected_at": None if rejection is None else _iso(rejection.at),
    }


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()
