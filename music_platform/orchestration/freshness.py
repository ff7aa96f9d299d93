"""Freshness: how old the marts of each tier may be, and how old they are.

Live marts are built whenever RAW is updated; their policy, which the lake and RAW have too, is a backstop. Policy marts
are rebuilt when their policy requires it. A window has three marks: after half of it, what lacks no data is reported as
complete; after three quarters its state is WARN, and at its end FAIL.

Dagster judges by the last materialization alone, so completeness is reported as one: an asset check that says the same
would not keep an idle mart fresh.
"""

from collections.abc import Iterable
from datetime import timedelta

import dagster as dg

from music_platform.clock import seconds_since
from music_platform.settings import Settings

LIVE, POLICY = "live", "policy"
TIERS = (LIVE, POLICY)

#: Shares of the window.
_VERIFY, _WARN = 0.5, 0.75


def window(settings: Settings, tier: str) -> int:
    """Seconds within which a mart of the tier must be materialized or reported as complete."""
    return settings.live_window_seconds if tier == LIVE else settings.policy_window_seconds


def verify_after(settings: Settings, tier: str) -> float:
    """Age in seconds after which a mart that lacks no data is reported as complete."""
    return window(settings, tier) * _VERIFY


def warn_after(settings: Settings, tier: str) -> float:
    """Age in seconds after which a mart's state is WARN."""
    return window(settings, tier) * _WARN


def freshness_policy(settings: Settings, tier: str) -> dg.FreshnessPolicy:
    """The policy of the tier's marts."""
    return dg.FreshnessPolicy.time_window(
        fail_window=timedelta(seconds=window(settings, tier)),
        warn_window=timedelta(seconds=warn_after(settings, tier)),
    )


def ages(instance: dg.DagsterInstance, keys: Iterable[dg.AssetKey], now: float) -> dict[str, float]:
    """Seconds from the last materialization of each asset to `now`, by its key as text; infinite if there is none, or
    if it is of the future because the clock was set back."""
    found = {key.to_user_string(): float("inf") for key in keys}
    for record in instance.get_asset_records(list(keys)):
        if last := record.asset_entry.last_materialization_record:
            found[record.asset_entry.asset_key.to_user_string()] = seconds_since(last.timestamp, now)
    return found
