"""The streams of the sandbox, and settings that reach it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tap_analytics.sandbox import Sandbox

EXPERIENCE_STREAMS = ("launchpads", "flows", "banners", "checklists", "pins", "tags", "segments")
CREATOR_STREAMS = (
    "work_platforms",
    "users",
    "accounts",
    "profiles",
    "content_items",
    "social_income_transactions",
)
STREAMS = EXPERIENCE_STREAMS + CREATOR_STREAMS

# With `all_streams`. Those of the creator API need `content_by_account`, too.
FURTHER_EXPERIENCE_STREAMS = ("mobile", "embeds", "nps")
FURTHER_CREATOR_STREAMS = (
    "content_groups",
    "audience",
    "publication_contents",
    "activity_contents",
    "activity_artists",
    "social_income_payouts",
    "commerce_income_transactions",
    "commerce_income_payouts",
    "commerce_income_balances",
)
FURTHER_STREAMS = FURTHER_EXPERIENCE_STREAMS + FURTHER_CREATOR_STREAMS
ALL_STREAMS = STREAMS + FURTHER_STREAMS


def impatient(sandbox: Sandbox, **settings: object) -> dict[str, Any]:
    """Settings that reach the sandbox and wait for nothing."""
    return {**sandbox.settings, "backoff_factor": 0, **settings}


def only(api: str, sandbox: Sandbox, **settings: object) -> dict[str, Any]:
    """Settings for one of the APIs."""
    names = {
        "creator": ("client_id", "client_secret", "creator_api_url"),
        "experience": ("username", "password", "account_id", "experience_api_url"),
    }[api]
    every = impatient(sandbox, **settings)
    return {name: every[name] for name in (*names, "backoff_factor", *settings)}


def deselect(catalog: dict[str, Any], *breadcrumbs: tuple[str, ...]) -> None:
    """Deselect fields in all streams of a catalog."""
    for entry in catalog["streams"]:
        for item in entry["metadata"]:
            if tuple(item["breadcrumb"]) in breadcrumbs:
                item["metadata"]["selected"] = False
