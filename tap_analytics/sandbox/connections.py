"""The accounts of the live creator API, and how they come and go."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tap_analytics.sandbox.data import make_record
from tap_analytics.sandbox.days import as_listed
from tap_analytics.sandbox.products import (
    CONNECTED,
    IN_PROGRESS,
    NOT_CONNECTED,
    PRODUCT_OF,
    PRODUCTS,
    SYNCED,
    first_seen,
    is_available,
    with_connection,
    with_status,
    with_sync,
)
from tap_analytics.sandbox.rows import stamp

if TYPE_CHECKING:
    from tap_analytics.sandbox.living import LivingStore
    from tap_analytics.sandbox.rows import Record, Row


class Connections:
    """The connections of accounts. Each change of one happens as a whole, and now."""

    def __init__(self, store: LivingStore) -> None:
        """Begin.

        Args:
            store: The records.
        """
        self._store = store

    def touch(self, account_id: str) -> None:
        """Change an account. It moves to the front of the accounts.

        Args:
            account_id: The account.

        Raises:
            LookupError: No such account is listed.
        """
        with self._store.lock:
            account = self._store.find("accounts", account_id)
            now = stamp(self._store.clock.now())
            self._store.put("accounts", {**account, "updated_at": now})

    def connect(self) -> str:
        """Connect a new account of a new user.

        Its profile and its audience are there at once. The first sync of its content and its income
        is under way.

        Returns:
            The account's ID.
        """
        with self._store.lock:
            moment = self._store.clock.now()
            row = self._store.new_row("accounts", moment)
            user = replace(row, resource="users", index=row.index // 2)
            self._store.put("users", make_record(user))
            account = _new_account(row)
            for resource in ("profiles", "audience"):
                record = make_record(self._store.new_row(resource, moment))
                if is_available(account, PRODUCT_OF[resource]):
                    self._store.put(resource, as_listed(resource, record, moment))
            self._store.put("accounts", account)
            return row.id

    def disconnect(self, account_id: str, status: str = NOT_CONNECTED) -> None:
        """Disconnect an account. A sync under way ends with a part of the data.

        Args:
            account_id: The account.
            status: `NOT_CONNECTED` or `SESSION_EXPIRED`.

        Raises:
            LookupError: No such account is listed.
        """
        self._set(account_id, status)

    def reconnect(self, account_id: str) -> None:
        """Connect an account again.

        Args:
            account_id: The account.

        Raises:
            LookupError: No such account is listed.
        """
        self._set(account_id, CONNECTED)

    def _set(self, account_id: str, status: str) -> None:
        with self._store.lock:
            account = self._store.find("accounts", account_id)
            now = stamp(self._store.clock.now())
            self._store.put("accounts", with_connection(account, status, now))


def _new_account(row: Row) -> Record:
    now = stamp(row.created)
    account = with_connection(first_seen(make_record(row), row.index), CONNECTED, now)
    for product in PRODUCTS:
        if product in {"engagement", "income"} and is_available(account, product):
            account = with_status(account, product, IN_PROGRESS)
        elif is_available(account, product):
            account = with_sync(account, product, now, SYNCED)
    return account
