"""How rows come to be: who may get some, what time they bear, where they are listed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Literal, TypeAlias

from living_api import PRODUCTS, Account, LivingApi, Row

if TYPE_CHECKING:
    from datetime import datetime

Place: TypeAlias = Literal["first", "middle", "last"]

ASKED = -1
"""Picks the account of the request that is about to be answered."""

AT_MOST_LATE = timedelta(minutes=2)
"""How long after they are written rows may show up in an account at rest."""


def pick_account(api: LivingApi, number: int) -> Account | None:
    """Return an account that is listed, None if there is none."""
    accounts = api.listed_accounts
    if number == ASKED:
        return next((account for account in accounts if account.row.id == api.asked), None)
    return accounts[number % len(accounts)] if accounts else None


def pick_owner(api: LivingApi, stream: str, number: int) -> str | None:
    """Return whose rows may change: "" for no account's, None for nobody's."""
    if stream not in PRODUCTS:
        return ""
    account = pick_account(api, number)
    return account.row.id if account and is_fetched(account, stream) else None


def is_fetched(account: Account, stream: str) -> bool:
    """Return whether the service fetches rows of an account."""
    product = account.products[stream]
    return account.status == "CONNECTED" and product.status != "NOT_SUPPORTED"


def stamp_of(api: LivingApi, stream: str, owner: str, late: int) -> datetime:
    """Return when rows that show up now may have been written at the earliest, or a bit later."""
    now = api.database_now
    wanted = now - timedelta(seconds=late)
    if not owner or not api.quirks.allows_late_rows:
        return max(wanted, now - AT_MOST_LATE)
    product = api.accounts[owner].products[stream]
    if product.was_at_rest:
        return max(wanted, min(now - AT_MOST_LATE, product.opened_at or now))
    return wanted


def told_at(api: LivingApi, stream: str, owner: str) -> datetime | None:
    """Return when an account has told of a sync that its rows may still come after, else None."""
    product = api.accounts[owner].products[stream] if owner else None
    if product is None or product.opened_at is not None or product.last_sync_at is None:
        return None
    is_fresh = api.database_now - product.last_sync_at <= AT_MOST_LATE
    return product.last_sync_at if is_fresh else None


def finish(api: LivingApi, stream: str, owner: str) -> None:
    """Let the service be done with an account, if it wasn't seen fetching anyway."""
    if not owner:
        return
    product = api.accounts[owner].products[stream]
    if product.opened_at is not None:
        return
    appear(api, stream, owner)
    if product.status is not None:
        product.status = "SYNCED"
        product.last_sync_at = api.database_now
    product.was_at_rest |= bool(api.rows_of(stream, owner))


def appear(api: LivingApi, stream: str, owner: str) -> None:
    """Let the rows of an account be listed, if they weren't as it lacked the product."""
    if api.accounts[owner].lacks(stream) and not api.quirks.allows_late_rows:
        for row in api.rows_of(stream, owner):
            write(api, stream, row, api.database_now)


def write(api: LivingApi, stream: str, row: Row, stamp: datetime) -> None:
    """Write a row anew. Its time never goes back."""
    api.elapse(0.001)
    row.revision += 1
    row.stamp = max(stamp, row.stamp + timedelta(microseconds=1))
    api.note(stream, row)


def insert(
    api: LivingApi,
    stream: str,
    owner: str,
    count: int,
    stamp: datetime,
    place: Place,
    days: int = 0,
    *,
    is_hidden: bool = False,
) -> None:
    """Add rows."""
    rows = api.rows_of(stream, owner)
    for _ in range(count):
        number = next(api.names)
        row = Row(f"{stream}-{number}", stamp, number, api.now, is_hidden)
        order = api.in_order(stream, owner or None)
        at = {"first": 0, "middle": len(order) // 2, "last": len(order)}[place]
        if order:
            before = order[at - 1] if at else None
            after = order[at] if at < len(order) else None
            row.place, row.day = between(before, after)
        if days or not order:
            row.day = api.now + timedelta(days=days, minutes=number % 60)
        rows.append(row)
        api.note(stream, row)
    account = api.accounts.get(owner)
    if account and rows and account.products[stream].opened_at is None:
        account.products[stream].was_at_rest |= not account.lacks(stream)


def between(before: Row | None, after: Row | None) -> tuple[float, datetime]:
    """Return the place and the day of a row between two, of which one may be missing."""
    step = timedelta(hours=1)
    if before is not None and after is not None:
        return (before.place + after.place) / 2, after.day + (before.day - after.day) / 2
    if before is not None:
        return before.place + 1, before.day - step
    assert after is not None
    return after.place - 1, after.day + step
