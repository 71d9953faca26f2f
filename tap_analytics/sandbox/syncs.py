"""The syncs with which the live creator API keeps its records up to date."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tap_analytics.sandbox.data import make_record
from tap_analytics.sandbox.days import as_listed
from tap_analytics.sandbox.live_fields import signed
from tap_analytics.sandbox.products import (
    IN_PROGRESS,
    NOT_SUPPORTED,
    PRODUCT_OF,
    SYNCED,
    last_sync_of,
    status_of,
    with_status,
    with_sync,
)
from tap_analytics.sandbox.rows import stamp
from tap_analytics.sandbox.store import owner_id

if TYPE_CHECKING:
    from tap_analytics.sandbox.living import LivingStore
    from tap_analytics.sandbox.rows import Record

_LONG = timedelta(days=400)
_UNDER_WAY = frozenset({IN_PROGRESS, "PARTIAL_SYNCED"})


class Syncs:
    """The syncs of accounts' products. Each step of one happens as a whole, and now.

    A step that changes records moves the product's `last_sync_at`, so no record is ever listed
    with a later `updated_at`.
    """

    def __init__(self, store: LivingStore) -> None:
        """Begin.

        Args:
            store: The records.
        """
        self._store = store
        self._begun: dict[tuple[str, str], datetime] = {}
        self._emptied: set[tuple[str, str]] = set()

    def begin(self, account_id: str, product: str) -> None:
        """Begin to sync a product of an account.

        Args:
            account_id: The account.
            product: The product.

        Raises:
            LookupError: No such account is listed.
            ValueError: The account does not support the product.
        """
        with self._store.lock:
            account = self._store.find("accounts", account_id)
            status = status_of(account, product)
            if status == NOT_SUPPORTED:
                message = f"Account {account_id} does not support {product}"
                raise ValueError(message)
            if status not in _UNDER_WAY or (account_id, product) not in self._begun:
                self._begun[account_id, product] = self._store.clock.now()
            self._store.put("accounts", with_status(account, product, IN_PROGRESS))

    def finish(self, account_id: str, product: str) -> None:
        """Finish a sync. `last_sync_at` moves, also if nothing has changed.

        The files of content get new addresses.

        Args:
            account_id: The account.
            product: The product.

        Raises:
            LookupError: No such account is listed.
        """
        with self._store.lock:
            self._note(account_id, product, SYNCED)
            if product == PRODUCT_OF["content_items"]:
                now = self._store.clock.now()
                items = self._store.listing("content_items", account_id)
                self._store.put("content_items", *(signed(item, now) for item in items))

    def change(self, resource: str, record_id: str) -> None:
        """Change a record, as a sync does.

        Args:
            resource: One that belongs to accounts.
            record_id: The record.

        Raises:
            LookupError: No such record is listed.
        """
        with self._store.lock:
            record = self._store.find(resource, record_id)
            self._store.put(resource, _next_version(record, stamp(self._store.clock.now())))
            self._note(owner_id(record), PRODUCT_OF[resource])

    def add(self, resource: str, account_id: str, age: timedelta = timedelta()) -> str:
        """Add a record, as a sync does.

        Args:
            resource: `content_items` or `social_income_transactions`.
            account_id: The account that owns the record.
            age: How long ago the record changed, by its `updated_at`.

        Returns:
            The record's ID.

        Raises:
            LookupError: The account is none of the sandbox's own.
        """
        with self._store.lock:
            now = self._store.clock.now()
            row = self._store.new_row(resource, now - age, account_id)
            self._store.put(resource, as_listed(resource, make_record(row), now))
            self._note(account_id, PRODUCT_OF[resource])
            return row.id

    def delete(self, resource: str, record_id: str) -> None:
        """Delete a record, as a sync does.

        Args:
            resource: `content_items` or `social_income_transactions`.
            record_id: The record.

        Raises:
            LookupError: No such record is listed.
        """
        with self._store.lock:
            account_id = owner_id(self._store.find(resource, record_id))
            self._store.remove(resource, record_id)
            self._note(account_id, PRODUCT_OF[resource])
            self._emptied.add((account_id or "", PRODUCT_OF[resource]))

    def oldest(self, account_id: str, resource: str) -> datetime:
        """Return how old a record may be that a sync under way adds.

        Records are stamped when the service fetches them, and listed before the sync is over. So
        a record is not older than the sync, unless the account had no records before.

        Args:
            account_id: The account.
            resource: `content_items` or `social_income_transactions`.

        Returns:
            The earliest `updated_at`, in UTC.
        """
        key = (account_id, PRODUCT_OF[resource])
        now = self._store.clock.now()
        if key not in self._emptied and not self._store.listing(resource, account_id):
            return now - _LONG
        last = last_sync_of(self._store.find("accounts", account_id), key[1]) or stamp(now)
        return self._begun.get(key) or datetime.fromisoformat(last).replace(tzinfo=UTC)

    def _note(self, account_id: str | None, product: str, status: str | None = None) -> None:
        account = self._store.find("accounts", account_id or "")
        now = stamp(self._store.clock.now())
        whole = product.partition(".")[0]
        self._store.put("accounts", with_sync(account, whole, now, status))


def _next_version(record: Record, now: str) -> Record:
    version = {**record, "updated_at": now}
    for group, count in (("engagement", "view_count"), ("reputation", "follower_count")):
        if counts := record.get(group):
            version[group] = {**counts, count: (counts.get(count) or 0) + 1}
    if "amount" in record:
        version["amount"] = record["amount"] + 1
    return version
