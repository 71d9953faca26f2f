"""What can happen to what the services hold.

Numbers such as `account` pick one of those that there are; where there is none, nothing happens.
Each change keeps to the facts: rows are stamped when they are written and show up at once or, at
most two minutes, later. They show up later than that only in an account of which the service says
that rows are still coming (then stamped since it began to come), or that had none so far.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias

from living_api import EXPERIENCE, OPEN, PRODUCTS, Account, LivingApi, Product, Row

AT_MOST_LATE = timedelta(minutes=2)
SIMPLE = ("work_platforms", "users", "profiles", *EXPERIENCE)

Place = Literal["first", "middle", "last"]


@dataclass(frozen=True)
class Connect:
    """An account is connected, with rows that may be much older.

    Attributes:
        contents: How many content items it has.
        incomes: How many transactions it has.
        days: How many days ago its rows were last written.
        status: Status of its products: of "ABSENT" nothing is told, "NOT_SUPPORTED" is a 4xx.
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
        is_told = self.status != "ABSENT"
        opened_at = now if self.status in OPEN else None
        account = Account(
            row,
            number,
            {
                stream: Product(
                    self.status if is_told else None,
                    now if self.status in {"SYNCED", "PARTIAL_SYNCED"} else None,
                    opened_at,
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


@dataclass(frozen=True)
class Touch:
    """An account changes, and so comes first among the accounts."""

    account: int = 0
    status: str = "CONNECTED"

    def apply(self, api: LivingApi) -> None:
        """Let it happen."""
        if account := pick_account(api, self.account):
            account.status = self.status
            write(api, "accounts", account.row, api.database_now)


@dataclass(frozen=True)
class Remove:
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


@dataclass(frozen=True)
class Return:
    """An account that was deleted comes back, as it was but for its own time."""

    account: int = 0

    def apply(self, api: LivingApi) -> None:
        """Let it happen."""
        gone = [account for account in api.accounts.values() if not account.is_listed]
        if gone:
            account = gone[self.account % len(gone)]
            account.is_listed = True
            write(api, "accounts", account.row, api.database_now)


@dataclass(frozen=True)
class Synchronise:
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
        product.status = self.status
        if self.status != "IN_PROGRESS":
            product.last_sync_at = api.database_now
        if self.status not in OPEN:
            product.opened_at = None
            product.was_at_rest |= bool(api.rows_of(self.stream, account.row.id))
        elif product.opened_at is None:
            product.opened_at = api.database_now


@dataclass(frozen=True)
class Update:
    """Rows are written anew.

    Attributes:
        stream: Which listing, or 0, 1, … for one of those that have nothing to do with accounts.
        account: Whose listing.
        row: Which is the first of them.
        count: How many.
        late: Seconds between writing and showing up, where the facts allow it.
    """

    stream: str = "content_items"
    account: int = 0
    row: int = 0
    count: int = 1
    late: int = 0

    def apply(self, api: LivingApi) -> None:
        """Let it happen."""
        api.elapse(0.001)
        owner = pick_owner(api, self.stream, self.account)
        if owner is None:
            return
        rows = api.in_order(self.stream, owner or None)
        stamp = stamp_of(api, self.stream, owner, self.late)
        for number in range(min(self.count, len(rows))):
            write(api, self.stream, rows[(self.row + number) % len(rows)], stamp)
        finish(api, self.stream, owner)


@dataclass(frozen=True)
class Insert:
    """Rows are added.

    Attributes:
        stream: Which listing.
        account: Whose listing.
        count: How many.
        place: Where in the listing.
        late: Seconds between writing and showing up, where the facts allow it.
        days: Days from now to when they were published, or their transaction took place.
        is_hidden: Whether they never show up, but take up room on their page.
    """

    stream: str = "content_items"
    account: int = 0
    count: int = 1
    place: Place = "first"
    late: int = 0
    days: int = 0
    is_hidden: bool = False

    def apply(self, api: LivingApi) -> None:
        """Let it happen."""
        api.elapse(0.001)
        owner = pick_owner(api, self.stream, self.account)
        if owner is None:
            return
        stamp = stamp_of(api, self.stream, owner, self.late)
        count = self.count
        if self.is_hidden:
            # Two rows of each page are shown: else there is no telling the end from such a page.
            hidden = sum(row.is_hidden for row in api.in_order(self.stream))
            smallest = min(api.quirks.caps)
            count = 0 if self.stream in EXPERIENCE else max(0, min(count, smallest - 2 - hidden))
        insert(
            api, self.stream, owner, count, stamp, self.place, self.days, is_hidden=self.is_hidden
        )
        finish(api, self.stream, owner)


@dataclass(frozen=True)
class Misdate:
    """A row is added that says it is from the year 2999."""

    stream: str = "content_items"
    account: int = 0

    def apply(self, api: LivingApi) -> None:
        """Let it happen."""
        owner = pick_owner(api, self.stream, self.account)
        if owner is not None:
            insert(api, self.stream, owner, 1, datetime(2999, 1, 1, tzinfo=UTC), "middle")
            finish(api, self.stream, owner)


@dataclass(frozen=True)
class Delete:
    """Rows are deleted."""

    stream: str = "content_items"
    account: int = 0
    row: int = 0
    count: int = 1

    def apply(self, api: LivingApi) -> None:
        """Let it happen."""
        owner = pick_owner(api, self.stream, self.account)
        if owner is None:
            return
        for _ in range(self.count):
            if rows := api.in_order(self.stream, owner or None):
                row = rows[self.row % len(rows)]
                api.rows_of(self.stream, owner).remove(row)
                api.note(self.stream, row, is_removed=True)


@dataclass(frozen=True)
class Pass:
    """Time passes."""

    seconds: int = 1

    def apply(self, api: LivingApi) -> None:
        """Let it happen."""
        api.elapse(self.seconds)


Change: TypeAlias = (
    Connect | Touch | Remove | Return | Synchronise | Update | Insert | Misdate | Delete | Pass
)


def pick_account(api: LivingApi, number: int) -> Account | None:
    """Return an account that is listed, None if there is none."""
    accounts = api.listed_accounts
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


def finish(api: LivingApi, stream: str, owner: str) -> None:
    """Let the service be done with an account, if it wasn't seen fetching anyway."""
    if not owner:
        return
    product = api.accounts[owner].products[stream]
    if product.opened_at is not None:
        return
    if product.status is not None:
        product.status = "SYNCED"
        product.last_sync_at = api.database_now
    product.was_at_rest |= bool(api.rows_of(stream, owner))


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
    if owner and rows and api.accounts[owner].products[stream].opened_at is None:
        api.accounts[owner].products[stream].was_at_rest = True


def between(before: Row | None, after: Row | None) -> tuple[float, datetime]:
    """Return the place and the day of a row between two, of which one may be missing."""
    step = timedelta(hours=1)
    if before is not None and after is not None:
        return (before.place + after.place) / 2, after.day + (before.day - after.day) / 2
    if before is not None:
        return before.place + 1, before.day - step
    assert after is not None
    return after.place - 1, after.day + step
