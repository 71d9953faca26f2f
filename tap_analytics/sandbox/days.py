"""What the live creator API lists on a day.

Every day some accounts are connected or disconnected, and the service syncs those that are
connected: it changes and adds records, and notes the time of the sync. The data of disconnected
accounts stays as it is, and so does content older than 90 days.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from tap_analytics.sandbox.data import DAY_ZERO, records
from tap_analytics.sandbox.listings import in_order, merged
from tap_analytics.sandbox.live_fields import signed, with_live_fields
from tap_analytics.sandbox.products import (
    CONNECTED,
    IN_PROGRESS,
    PRODUCT_OF,
    PRODUCTS,
    REFRESHED,
    SESSION_EXPIRED,
    SYNCED,
    first_seen,
    is_available,
    is_connected,
    last_sync_of,
    status_of,
    with_connection,
    with_sync,
)
from tap_analytics.sandbox.rows import make_random, stamp
from tap_analytics.sandbox.store import owner_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tap_analytics.sandbox.rows import Record

    Listings = dict[str, list[Record]]

_DAY = timedelta(days=1)


def end_of(day: int) -> datetime:
    """Return the midnight after a day.

    Args:
        day: How many days after day 0 it is.

    Returns:
        The moment, in UTC.
    """
    return DAY_ZERO + (day + 1) * _DAY


def first_day(rows: int) -> Listings:
    """Return what is listed at the end of day 0.

    Args:
        rows: How many accounts there are. Of the rest there is less, because some accounts lack
            a product.

    Returns:
        The accounts, and what belongs to them.
    """
    accounts = [first_seen(account, i) for i, account in enumerate(records("accounts", rows))]
    by_id = {account["id"]: account for account in accounts}
    listings = {"accounts": accounts}
    for resource, product in PRODUCT_OF.items():
        found = [r for r in records(resource, rows) if _is_synced(r, by_id, product)]
        listings[resource] = [as_listed(resource, record, end_of(0)) for record in found]
    listings["accounts"] = _synced(listings, by_id, end_of(0), finish=False)
    return {resource: in_order(resource, found) for resource, found in listings.items()}


def later_day(listings: Listings, rows: int, before: int, day: int, since: datetime) -> Listings:
    """Return what is listed at the end of a later day.

    Args:
        listings: What was listed before. It stays as it is.
        rows: How many accounts there were on day 0.
        before: The day of `listings`.
        day: The later day.
        since: What the days bring before this moment is left out: a service does not show a
            change long after it.

    Returns:
        The listings of the same resources.
    """
    end = end_of(day)
    accounts = _later_accounts(listings["accounts"], rows, before, day, since)
    connected = {account["id"]: account for account in accounts if is_connected(account)}
    later = {"accounts": accounts}
    for resource, product in PRODUCT_OF.items():
        listed = {record.get("id") for record in listings[resource]}
        changed = [
            as_listed(resource, record, end)
            for _, record, is_new in _news(resource, rows, before, day, since)
            if is_new or (record["id"] in listed and is_refreshed(record, end))
            if _is_synced(record, connected, product)
        ]
        later[resource] = merged(resource, listings[resource], changed)
    synced = _synced(later, connected, end, finish=True)
    return later | {"accounts": merged("accounts", accounts, synced)}


def later_users(users: list[Record], rows: int, before: int, day: int) -> list[Record]:
    """Return the users of a later day.

    Args:
        users: The users so far.
        rows: How many there were on day 0.
        before: The day of `users`.
        day: The later day.

    Returns:
        A new list.
    """
    news = _news("users", rows, before, day, DAY_ZERO)
    return merged("users", users, [user for _, user, _ in news])


def is_refreshed(record: Record, moment: datetime) -> bool:
    """Return whether the service still refreshes a record.

    Args:
        record: A record of any resource.
        moment: The time of the sync, in UTC.

    Returns:
        False for content that was published more than 90 days before.
    """
    published = record.get("published_at")
    return not published or published >= stamp(moment - REFRESHED)


def as_listed(resource: str, record: Record, moment: datetime) -> Record:
    """Return a record as the live service lists it.

    Args:
        resource: The record's resource.
        record: The record, in the seeds' form. It stays as it is.
        moment: The time of the sync that brought it, in UTC.

    Returns:
        A new record, or the same one if the live service adds nothing.
    """
    listed = with_live_fields(resource, record)
    return signed(listed, moment) if resource == "content_items" else listed


def _news(
    resource: str, rows: int, before: int, day: int, since: datetime
) -> Iterator[tuple[int, Record, bool]]:
    """Yield what has changed or is new, with its position."""
    old = records(resource, rows, before)
    for index, record in enumerate(records(resource, rows, day)):
        is_new = index >= len(old)
        is_changed = is_new or record["updated_at"] != old[index]["updated_at"]
        if is_changed and record["updated_at"] > stamp(since):
            yield index, record, is_new


def _later_accounts(
    listed: list[Record], rows: int, before: int, day: int, since: datetime
) -> list[Record]:
    current = {account.get("id"): account for account in listed}
    changed = []
    for index, account, is_new in _news("accounts", rows, before, day, since):
        if is_new:
            changed.append(first_seen(account, index))
        elif old := current.get(account["id"]):
            status = SESSION_EXPIRED if is_connected(old) else CONNECTED
            changed.append(with_connection(old, status, account["updated_at"]))
    return merged("accounts", listed, changed)


def _is_synced(record: Record, accounts: Mapping[str, Record], product: str) -> bool:
    account = accounts.get(owner_id(record) or "")
    return account is not None and is_available(account, product)


def _synced(
    listings: Listings, accounts: Mapping[str, Record], end: datetime, *, finish: bool
) -> list[Record]:
    """Return accounts after their last sync, which is not before a record of theirs changed."""
    latest: dict[tuple[str | None, str], str] = {}
    for resource, product in PRODUCT_OF.items():
        for record in listings[resource]:
            owned = (owner_id(record), product.partition(".")[0])
            latest[owned] = max(latest.get(owned, ""), str(record.get("updated_at") or ""))
    synced = []
    for key, account in accounts.items():
        random = make_random("syncs", int(key[:8], 16))
        # The service syncs connected accounts about daily. The others have been left long ago.
        moment = stamp(end - _DAY * random.random() * (1 if is_connected(account) else 300))
        changed = account
        for product in filter(partial(is_available, account), PRODUCTS):
            last = max(latest.get((key, product), ""), last_sync_of(account, product) or "", moment)
            is_over = finish and status_of(account, product) == IN_PROGRESS
            changed = with_sync(changed, product, last, SYNCED if is_over else None)
        synced.append(changed)
    return synced
