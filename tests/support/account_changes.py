"""What can happen to accounts, and to what the service knows of them."""

from __future__ import annotations

from dataclasses import dataclass

from living_api import ABSENT, OPEN, PRODUCTS, Account, LivingApi, Product, Row
from living_writing import appear, insert, is_fetched, pick_account, stamp_of, write
from plain import Plain


@dataclass(frozen=True, repr=False)
class Connect(Plain):
    """An account is connected, with rows that may be much older.

    Attributes:
        contents: How many content items it has.
        incomes: How many transactions it has.
        days: How many days ago its rows were last written.
        status: Status of its products: of "ABSENT" nothing is told, of "UNTOLD" not when they were
            synced; of "NOT_SUPPORTED" and "NOT_SYNCED" nothing is listed.
    """

    contents: int = 0
    incomes: int = 0
    days: int = 0
    status: str = "SYNCED"

    def apply(self, api: LivingApi) -> None:
        """Let it happen."""
        api.elapse(0.001)
        now = api.database_now
        number = len(api.accounts)
        row = Row(f"account-{number}", now, 0, now)
        status = {"ABSENT": None, "UNTOLD": "SYNCED"}.get(self.status, self.status)
        opened_at = now if self.status in OPEN else None
        account = Account(
            row,
            number,
            {
                stream: Product(
                    status,
                    now if status in {"SYNCED", "PARTIAL_SYNCED"} else None,
                    opened_at,
                    tells_sync=self.status != "UNTOLD",
                )
                for stream in PRODUCTS
            },
        )
        api.accounts[row.id] = account
        api.note("accounts", row)
        insert(api, "profiles", "", 1, now, "last")
        for stream, count in zip(PRODUCTS, (self.contents, self.incomes), strict=True):
            written_at = stamp_of(api, stream, row.id, self.days * 86_400)
            insert(api, stream, row.id, count, written_at, "last", days=-3 * self.days)


@dataclass(frozen=True, repr=False)
class Touch(Plain):
    """An account changes, and so comes first among the accounts."""

    account: int = 0
    status: str = "CONNECTED"

    def apply(self, api: LivingApi) -> None:
        """Let it happen."""
        if account := pick_account(api, self.account):
            account.status = self.status
            write(api, "accounts", account.row, api.database_now)


@dataclass(frozen=True, repr=False)
class Remove(Plain):
    """An account is deleted, with all that it has."""

    account: int = 0

    def apply(self, api: LivingApi) -> None:
        """Let it happen."""
        if account := pick_account(api, self.account):
            api.note("accounts", account.row, is_removed=True)
            for stream in PRODUCTS:
                for row in api.rows_of(stream, account.row.id):
                    api.note(stream, row, is_removed=True)
            account.is_listed = False


@dataclass(frozen=True, repr=False)
class Return(Plain):
    """An account that was deleted comes back, as it was but for its own time."""

    account: int = 0

    def apply(self, api: LivingApi) -> None:
        """Let it happen."""
        gone = [account for account in api.accounts.values() if not account.is_listed]
        if gone:
            account = gone[self.account % len(gone)]
            account.is_listed = True
            write(api, "accounts", account.row, api.database_now)
            for stream in () if api.quirks.allows_late_rows else PRODUCTS:
                for row in api.rows_of(stream, account.row.id):
                    write(api, stream, row, api.database_now)


@dataclass(frozen=True, repr=False)
class Synchronise(Plain):
    """The service begins to fetch an account's rows, or is done (for now).

    Attributes:
        account: Which account.
        stream: Which rows.
        status: IN_PROGRESS begins; SYNCED and PARTIAL_SYNCED tell a new `last_sync_at`.
    """

    account: int = 0
    stream: str = "content_items"
    status: str = "SYNCED"

    def apply(self, api: LivingApi) -> None:
        """Let it happen."""
        account = pick_account(api, self.account)
        if account is None or not is_fetched(account, self.stream):
            return
        product = account.products[self.stream]
        appear(api, self.stream, account.row.id)
        product.status = self.status
        if self.status != "IN_PROGRESS":
            product.last_sync_at = api.database_now
        if self.status not in OPEN:
            product.opened_at = None
            product.was_at_rest |= bool(api.rows_of(self.stream, account.row.id))
        elif product.opened_at is None:
            product.opened_at = api.database_now


@dataclass(frozen=True, repr=False)
class Tell(Plain):
    """An account loses a product with all that is listed of it, or gets it with all that it has.

    Attributes:
        account: Which account.
        stream: Which rows.
        status: NOT_SUPPORTED and NOT_SYNCED lose it, SYNCED gets it.
    """

    account: int = 0
    stream: str = "content_items"
    status: str = "NOT_SYNCED"

    def apply(self, api: LivingApi) -> None:
        """Let it happen."""
        account = pick_account(api, self.account)
        if account is None:
            return
        api.elapse(0.001)
        product, rows = account.products[self.stream], api.rows_of(self.stream, account.row.id)
        if self.status in ABSENT:
            for row in () if account.lacks(self.stream) else rows:
                api.note(self.stream, row, is_removed=True)
        elif account.lacks(self.stream):
            appear(api, self.stream, account.row.id)
            product.last_sync_at = api.database_now
            product.was_at_rest |= bool(rows)
        else:
            return
        product.status, product.opened_at = self.status, None
