"""What there is to tell about a vantage: what waits, what was agreed to, who pauses it."""

from datetime import datetime

import msgspec

from netwatch.agent.measure.budget import BUDGETS, DailyBudget, describe_level
from netwatch.agent.uplink.uplink import STATUS_KEY
from netwatch.app.clock import now
from netwatch.app.targets import chosen_targets, open_target_list_store
from netwatch.app.vantage import open_spool
from netwatch.app.vantage_files import membership_of, open_consent
from netwatch.config import Config


def vantage_status(config: Config) -> dict[str, object]:
    """Return what there is to tell about this vantage, by name; moments as ISO 8601.

    Raises:
        ConfigError: a file of the vantage cannot be used.
        StoreError: the spool cannot be read.
    """
    with open_spool(config) as spool:
        state, seen, today = spool.state(), spool.get_meta("seen"), spool.get_meta("today")
        uplink, metrics = spool.get_meta(STATUS_KEY), spool.get_meta("metrics")
    enrolled = membership_of(config)
    return {
        "vantage": config.vantage.id,
        "observatory": None if enrolled is None else enrolled.url,
        "last_measured": seen.decode() if seen else None,
        "waiting_batches": state.pending,
        "refused_batches": state.refused,
        "spool_bytes": state.used_bytes,
        "spool_limit_bytes": state.limit_bytes,
        "thinned_batches": sum(state.levels[2:]),
        **(msgspec.json.decode(metrics) if metrics else {}),
        **_uplink_status(uplink),
        **_day_status(config, today),
        **_consent_status(config),
        **_list_status(config),
    }


def _uplink_status(written: bytes | None) -> dict[str, object]:
    """Return the transport in use, and how each transport that was tried ended."""
    status = msgspec.json.decode(written) if written else {"transport": None, "transports": []}
    return {
        "transport": status["transport"],
        "transports": [
            f"{one['transport']}: {one['failure'] or 'works'}" for one in status["transports"]
        ],
    }


def _day_status(config: Config, written: bytes | None) -> dict[str, object]:
    """Return what probing took today, and what it leaves out to stay within its budget."""
    budget = DailyBudget(BUDGETS[config.agent.budget])
    budget.restore(written)
    level = budget.level(now())
    return {
        "probed_bytes_today": budget.spent,
        "probe_bytes_a_day": budget.limit,
        "left_out_to_save": describe_level(level),
        "change_probes_today": budget.change_probes,
    }


def _consent_status(config: Config) -> dict[str, object]:
    """Return what was agreed to, and whether somebody wants a pause."""
    consent, present = open_consent(config), now()
    agreement = consent.scope()
    paused = consent.paused_until(present)
    listed = open_target_list_store(config).current()
    theirs = None if listed is None else listed.pause_until
    if theirs is not None and theirs <= present:
        theirs = None
    tiers = ["A"] if consent.granted_at() is not None else []
    tiers += ["B"] if agreement.popular else []
    tiers += [f"C:{category}" for category in sorted(agreement.categories)]
    return {
        "consent_since": _text(consent.granted_at()),
        "consent_tiers": tiers,
        "paused_until": _text(paused),
        "observatory_pauses_until": _text(theirs),
        "observatory_pause_reason": listed.pause_reason if listed and theirs else "",
    }


def _list_status(config: Config) -> dict[str, object]:
    """Return which list is in use, and what was refused since."""
    chosen, refusal = chosen_targets(config), open_target_list_store(config).rejection()
    listed = chosen.listed
    return {
        "targets": len(chosen.targets),
        "list_version": None if listed is None else listed.version,
        "list_expires": None if listed is None else _text(listed.expires),
        "list_expired": listed is not None and listed.expires <= now(),
        "list_left_out": len(chosen.left),
        "list_refused": None if refusal is None else refusal.reason,
        "list_refused_at": None if refusal is None else _text(refusal.at),
    }


def _text(value: datetime | None) -> str | None:
    """Return a moment as text, None for none."""
    return None if value is None else value.isoformat()
