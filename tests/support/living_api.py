"""An independent picture of the two live services: what they hold, and how they list it.

Nothing here knows the tap. What the services do is taken from what is publicly known of them;
`Quirks` adds what services have been seen to do besides. Time is virtual: it passes when the
picture says so.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from plain import Plain

if TYPE_CHECKING:
    from collections.abc import Iterator

PRODUCTS = {"content_items": "engagement", "social_income_transactions": "income"}
"""The streams that are listed per account, and the product that each belongs to."""

PATHS = {
    "/v1/work-platforms": "work_platforms",
    "/v1/users": "users",
    "/v1/accounts": "accounts",
    "/v1/profiles": "profiles",
    "/v1/social/contents": "content_items",
    "/v1/social/income/transactions": "social_income_transactions",
}
CREATOR = tuple(PATHS.values())
EXPERIENCE = ("launchpads", "flows", "banners", "checklists", "pins", "tags", "segments")

OPEN = ("IN_PROGRESS", "PARTIAL_SYNCED")
"""The statuses of a product of which rows may still come."""

ABSENT = ("NOT_SUPPORTED", "NOT_SYNCED")
"""The statuses of a product that an account does not have: its rows, if any, are not listed."""


@dataclass(slots=True)
class Row:
    """A record, as far as it matters which one, when it changed, and where it is listed.

    Attributes:
        id: Its key, unique in its stream.
        stamp: Its `updated_at`, by the clock of the database.
        place: Where it is in a listing of a fixed order.
        day: When it was published, or its transaction took place.
        is_hidden: Whether it is left out of a page after the limit was applied.
        revision: How often it has been written.
    """

    id: str
    stamp: datetime
    place: float
    day: datetime
    is_hidden: bool = False
    revision: int = 1


@dataclass(slots=True)
class Product:
    """What the service knows of an account's content, or of its income.

    Attributes:
        status: As an account tells it, None if it doesn't.
        last_sync_at: When they were last fetched, None if they never were.
        opened_at: Since when, by the database, rows have been coming.
        was_at_rest: Whether a row has ever been listed while no more were coming.
        tells_sync: Whether an account tells when it was last synced.
    """

    status: str | None
    last_sync_at: datetime | None
    opened_at: datetime | None = None
    was_at_rest: bool = False
    tells_sync: bool = True

    @property
    def told(self) -> tuple[str, datetime | None] | None:
        """What an account tells: the status, and when it was last synced; None if nothing."""
        if self.status is None:
            return None
        return self.status, self.last_sync_at if self.tells_sync else None


@dataclass(slots=True)
class Account:
    """A creator's account.

    Attributes:
        row: What the listing of accounts shows.
        number: How many there were before it.
        products: What the service knows, by stream.
        status: CONNECTED, NOT_CONNECTED or SESSION_EXPIRED.
        is_listed: Whether it is there, and not deleted.
    """

    row: Row
    number: int
    products: dict[str, Product]
    status: str = "CONNECTED"
    is_listed: bool = True

    def lacks(self, stream: str) -> bool:
        """Return whether the account tells that there is nothing of a stream to list."""
        return stream in self.products and self.products[stream].status in ABSENT


@dataclass(frozen=True, repr=False)
class Quirks(Plain):
    """What a service may do that its documents don't tell.

    Attributes:
        caps: The most records that a page holds: of account 0, account 1, … in turn.
        total: What the answer says of the size of a listing: nothing, truth, or too little.
        echoes_asked_limit: Whether `metadata.limit` is what was asked for, also where it is capped.
        database_skew: Seconds that the clock of the database is ahead.
        front_skew: Seconds that the clock behind the `Date` header is ahead.
        has_date: Whether there is a `Date` header.
        lists_all_content: Whether content and income are listed without an account.
        allows_late_rows: Whether rows may show up long after their time, where the facts allow it.
        refuses_the_gone: Whether the content of a deleted account is a 404, not an empty list.
    """

    caps: tuple[int, ...] = (100,)
    total: str = "none"
    echoes_asked_limit: bool = True
    database_skew: int = 0
    front_skew: int = 0
    has_date: bool = True
    lists_all_content: bool = False
    allows_late_rows: bool = True
    refuses_the_gone: bool = False


@dataclass(frozen=True, slots=True)
class Version:
    """A record as it is at a moment."""

    revision: int
    stamp: datetime


Snapshot = dict[str, dict[str, Version]]


@dataclass
class LivingApi:
    """What both services hold.

    Attributes:
        now: What time it is, truly.
        quirks: What the services do besides.
        accounts: All that there have been, by key.
        rows: All other rows, by stream and account ("" if it is listed for all).
        changed: Stream and key of what has been written or taken away lately.
        removed: Stream and key of what has been taken away lately.
        changes: How many changes there have been lately, by stream.
        known: Stream and key of all that has ever been written.
        asked: The account of the request that is about to be answered.
    """

    now: datetime
    quirks: Quirks = field(default_factory=Quirks)
    accounts: dict[str, Account] = field(default_factory=dict)
    rows: dict[tuple[str, str], list[Row]] = field(default_factory=dict)
    changed: set[tuple[str, str]] = field(default_factory=set)
    removed: set[tuple[str, str]] = field(default_factory=set)
    changes: Counter[str] = field(default_factory=Counter)
    known: set[tuple[str, str]] = field(default_factory=set)
    asked: str | None = None
    names: Iterator[int] = field(default_factory=lambda: iter(range(1_000_000)))

    def elapse(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)

    def forget_changes(self) -> None:
        """Begin to note what changes from now on."""
        self.changed.clear()
        self.removed.clear()
        self.changes.clear()

    def note(self, stream: str, row: Row, *, is_removed: bool = False) -> None:
        """Note that a row was written, or taken away."""
        self.known.add((stream, row.id))
        self.changed.add((stream, row.id))
        self.changes[stream] += 1
        if is_removed:
            self.removed.add((stream, row.id))

    @property
    def database_now(self) -> datetime:
        """What time the database stamps rows with."""
        return self.now + timedelta(seconds=self.quirks.database_skew)

    @property
    def front_now(self) -> datetime:
        """What time the front end dates answers with."""
        return self.now + timedelta(seconds=self.quirks.front_skew)

    @property
    def listed_accounts(self) -> list[Account]:
        """The accounts that are there, oldest first."""
        return [account for account in self.accounts.values() if account.is_listed]

    def rows_of(self, stream: str, account: str = "") -> list[Row]:
        """Return the rows of a listing as they are stored, to be changed."""
        return self.rows.setdefault((stream, account), [])

    def in_order(self, stream: str, account: str | None = None) -> list[Row]:
        """Return the rows of a listing, also hidden ones, in its order."""
        if stream == "accounts":
            rows = [account.row for account in self.listed_accounts]
            return sorted(rows, key=lambda row: (-row.stamp.timestamp(), row.id))
        if stream not in PRODUCTS:
            rows = self.rows_of(stream)
        elif account is not None:
            is_there = account in self.accounts and self.accounts[account].is_listed
            rows = self.rows_of(stream, account) if is_there else []
        else:
            names = [account.row.id for account in self.listed_accounts]
            rows = [row for name in names for row in self.rows_of(stream, name)]
        if stream == "content_items":
            return sorted(rows, key=lambda row: (-row.day.timestamp(), row.id))
        return sorted(rows, key=lambda row: (row.place, row.id))

    def listed(self, stream: str, account: str | None = None) -> list[Row]:
        """Return the rows of a listing without those of accounts that lack the product."""
        rows = self.in_order(stream, account)
        lacking = [a.row.id for a in self.accounts.values() if a.lacks(stream)]
        absent = {row.id for name in lacking for row in self.rows_of(stream, name)}
        return [row for row in rows if row.id not in absent] if absent else rows

    def cap_of(self, stream: str, account: str | None) -> int:
        """Return the most records that a page of a listing holds."""
        known = self.accounts.get(account or "")
        number = known.number if known else CREATOR.index(stream)
        return self.quirks.caps[number % len(self.quirks.caps)]

    def versions(self) -> Snapshot:
        """Return all that is listed now, by stream and key."""
        return {
            stream: {
                row.id: Version(row.revision, row.stamp)
                for row in self.listed(stream)
                if not row.is_hidden
            }
            for stream in (*CREATOR, *EXPERIENCE)
        }
