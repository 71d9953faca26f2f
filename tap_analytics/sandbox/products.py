"""What the live service knows of an account: whether it is connected, and how far it is synced.

An account's `data` has an entry for each product, with its status and when the service last synced
it. Connected accounts are synced daily. Disconnected accounts stay listed, and stay as they are.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tap_analytics.sandbox.rows import stamp

if TYPE_CHECKING:
    from tap_analytics.sandbox.rows import Record

PRODUCTS = ("identity", "engagement", "income", "activity", "publish")
PRODUCT_OF = {
    "profiles": "identity",
    "content_items": "engagement",
    "social_income_transactions": "income",
    "content_groups": "engagement",
    "audience": "identity.audience",
    "publication_contents": "engagement",
    "activity_contents": "activity",
    "activity_artists": "activity",
    "social_income_payouts": "income",
    "commerce_income_transactions": "income",
    "commerce_income_payouts": "income",
    "commerce_income_balances": "income",
}
"""The product that each resource belongs to, or the part of a product."""

REFRESHED = timedelta(days=90)
"""Older content is not refreshed."""

CONNECTED = "CONNECTED"
NOT_CONNECTED = "NOT_CONNECTED"
SESSION_EXPIRED = "SESSION_EXPIRED"

SYNCED = "SYNCED"
IN_PROGRESS = "IN_PROGRESS"
PARTIAL_SYNCED = "PARTIAL_SYNCED"
NOT_SYNCED = "NOT_SYNCED"
NOT_SUPPORTED = "NOT_SUPPORTED"

# One customer has 25 disconnected accounts of 46. The two numbers share no factor, so each run of
# 46 accounts has every remainder once.
_ACCOUNTS, _DISCONNECTED = 46, 25


def is_connected(account: Record) -> bool:
    """Return whether an account is connected.

    Args:
        account: The account's record.

    Returns:
        Whether its status says so.
    """
    return account.get("status") == CONNECTED


def status_of(account: Record, product: str) -> str | None:
    """Return the status of a product.

    Args:
        account: The account's record.
        product: One of `PRODUCTS`, or a part of one.

    Returns:
        The status, or `None` if the account has no entry for the product.
    """
    return _entry(account, product).get("status")


def last_sync_of(account: Record, product: str) -> str | None:
    """Return when the service last synced a product.

    Args:
        account: The account's record.
        product: One of `PRODUCTS`, or a part of one.

    Returns:
        The time as it is listed, or `None` if the product has never been synced.
    """
    return _entry(account, product).get("last_sync_at")


def is_available(account: Record, product: str) -> bool:
    """Return whether an account's listing of a product can be read.

    Args:
        account: The account's record.
        product: One of `PRODUCTS`, or a part of one.

    Returns:
        False if the account does not have the product, or not yet.
    """
    return status_of(account, product) not in {NOT_SUPPORTED, NOT_SYNCED}


def with_status(account: Record, product: str, status: str) -> Record:
    """Return an account with another status of a product.

    Args:
        account: The account's record. It stays as it is.
        product: One of `PRODUCTS`.
        status: The new status.

    Returns:
        A new record.
    """
    return _with_entry(account, product, {**_entry(account, product), "status": status})


def with_sync(account: Record, product: str, moment: str, status: str | None = None) -> Record:
    """Return an account whose product the service has synced.

    `updated_at` of the account does not move.

    Args:
        account: The account's record. It stays as it is.
        product: One of `PRODUCTS`.
        moment: The time of the sync, as the creator API writes it.
        status: The product's status after it. Without one, the status stays.

    Returns:
        A new record.
    """
    status = status or status_of(account, product)
    since = stamp(datetime.fromisoformat(moment) - REFRESHED)
    times = {"last_sync_at": moment, "refresh_since": since}
    audience = _entry(account, f"{product}.audience")
    if audience.get("status") != NOT_SUPPORTED:
        audience = {"status": status, "last_sync_at": moment}
    entry = {**_entry(account, product), **times, "status": status, "audience": audience}
    return _with_entry(account, product, entry)


def with_connection(account: Record, status: str, moment: str) -> Record:
    """Return an account that has been connected or disconnected.

    A sync that is under way when an account is disconnected ends with a part of the data.

    Args:
        account: The account's record. It stays as it is.
        status: The account's new status.
        moment: The new `updated_at`.

    Returns:
        A new record.
    """
    changed = {**account, "status": status, "updated_at": moment}
    source = {CONNECTED: None, NOT_CONNECTED: "USER", SESSION_EXPIRED: "PLATFORM"}[status]
    changed["data"] = {**(account.get("data") or {}), "disconnection_source": source}
    if status != CONNECTED:
        for product in PRODUCTS:
            if status_of(changed, product) == IN_PROGRESS:
                changed = with_status(changed, product, PARTIAL_SYNCED)
    return changed


def first_seen(account: Record, index: int) -> Record:
    """Return an account as the live service lists it, before its first sync.

    Args:
        account: The account's record, in the seeds' form.
        index: The account's position.

    Returns:
        A new record.
    """
    connected = index * _DISCONNECTED % _ACCOUNTS < _ACCOUNTS - _DISCONNECTED
    status = CONNECTED if connected else (NOT_CONNECTED, SESSION_EXPIRED)[index // 2 % 2]
    data = {product: _first_entry(account, product, index) for product in PRODUCTS}
    seen = with_connection({**account, "data": data}, status, account["updated_at"])
    if connected and index % 23 == 17:  # noqa: PLR2004 - one in 23
        seen = with_status(seen, "engagement", IN_PROGRESS)
    return seen


def _first_entry(account: Record, product: str, index: int) -> Record:
    status = _first_status(product, index)
    has_audience = product != "identity" or index % 7 != 3  # noqa: PLR2004 - one in 7
    return {
        "status": status,
        "last_sync_at": None,
        "refresh_since": None,
        "monitor_type": ("STANDARD", "ADVANCED")[index % 2],
        "data_available_from": account.get("created_at"),
        "audience": {"status": status if has_audience else NOT_SUPPORTED, "last_sync_at": None},
    }


def _first_status(product: str, index: int) -> str:
    """Spread the statuses over the accounts; the first accounts, which own most, have most."""
    match product, index % 11, index % 4, index % 29:
        case ("engagement", 5, _, _) | ("income", _, 2, _) | ("activity", _, 1 | 2 | 3, _):
            return NOT_SUPPORTED
        case ("engagement", 8, _, _) | ("income", 7, _, _) | ("publish", _, 0 | 1, _):
            return NOT_SYNCED
        case ("engagement" | "income", _, _, 15):
            return PARTIAL_SYNCED
    return SYNCED


def _entry(account: Record, product: str) -> dict[str, Any]:
    entry: dict[str, Any] = account.get("data") or {}
    for part in product.split("."):
        entry = entry.get(part) or {}
    return entry


def _with_entry(account: Record, product: str, entry: dict[str, Any]) -> Record:
    return {**account, "data": {**(account.get("data") or {}), product: entry}}
