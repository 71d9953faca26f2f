"""What can happen to what the services hold.

Numbers such as `account` pick one of those that there are; where there is none, nothing happens.
Each change keeps to the facts: rows are stamped when they are written and show up at once or, at
most two minutes, later. They show up later than that only in an account of which the service says
that rows are still coming (then stamped since it began to come), or that had none so far.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from account_changes import Connect, Remove, Return, Synchronise, Tell, Touch
from living_api import EXPERIENCE, LivingApi
from living_writing import Place, finish, insert, pick_owner, stamp_of, told_at, write
from plain import Plain


@dataclass(frozen=True, repr=False)
class Update(Plain):
    """Rows are written anew.

    Attributes:
        stream: Which listing.
        account: Whose listing.
        row: Which is the first of them.
        count: How many.
        late: Seconds between writing and showing up, where the facts allow it.
        trails: Whether they show up shortly after the account has told of the sync.
    """

    stream: str = "content_items"
    account: int = 0
    row: int = 0
    count: int = 1
    late: int = 0
    trails: bool = False

    def apply(self, api: LivingApi) -> None:
        """Let it happen."""
        api.elapse(0.001)
        owner = pick_owner(api, self.stream, self.account)
        if owner is None:
            return
        rows = api.in_order(self.stream, owner or None)
        stamp = stamp_of(api, self.stream, owner, self.late)
        told = told_at(api, self.stream, owner) if self.trails else None
        if told is not None:
            stamp = min(stamp, told)
        for number in range(min(self.count, len(rows))):
            write(api, self.stream, rows[(self.row + number) % len(rows)], stamp)
        if told is None:
            finish(api, self.stream, owner)


@dataclass(frozen=True, repr=False)
class Insert(Plain):
    """Rows are added.

    Attributes:
        stream: Which listing.
        account: Whose listing.
        count: How many.
        place: Where in the listing.
        late: Seconds between writing and showing up, where the facts allow it.
        days: Days from now to when they were published, or their transaction took place.
        is_hidden: Whether they never show up, but take up room on their page.
        trails: Whether they show up shortly after the account has told of the sync.
    """

    stream: str = "content_items"
    account: int = 0
    count: int = 1
    place: Place = "first"
    late: int = 0
    days: int = 0
    is_hidden: bool = False
    trails: bool = False

    def apply(self, api: LivingApi) -> None:
        """Let it happen."""
        api.elapse(0.001)
        owner = pick_owner(api, self.stream, self.account)
        if owner is None:
            return
        stamp = stamp_of(api, self.stream, owner, self.late)
        told = told_at(api, self.stream, owner) if self.trails else None
        if told is not None:
            stamp = min(stamp, told)
        count = self.count
        if self.is_hidden:
            # Two rows of each page are shown: else there is no telling the end from such a page.
            hidden = sum(row.is_hidden for row in api.in_order(self.stream))
            smallest = min(api.quirks.caps)
            count = 0 if self.stream in EXPERIENCE else max(0, min(count, smallest - 2 - hidden))
        insert(
            api, self.stream, owner, count, stamp, self.place, self.days, is_hidden=self.is_hidden
        )
        if told is None:
            finish(api, self.stream, owner)


@dataclass(frozen=True, repr=False)
class Misdate(Plain):
    """A row is added that says it is from the year 2999."""

    stream: str = "content_items"
    account: int = 0

    def apply(self, api: LivingApi) -> None:
        """Let it happen."""
        owner = pick_owner(api, self.stream, self.account)
        if owner is not None:
            insert(api, self.stream, owner, 1, datetime(2999, 1, 1, tzinfo=UTC), "middle")
            finish(api, self.stream, owner)


@dataclass(frozen=True, repr=False)
class Delete(Plain):
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


@dataclass(frozen=True, repr=False)
class Pass(Plain):
    """Time passes."""

    seconds: float = 1

    def apply(self, api: LivingApi) -> None:
        """Let it happen."""
        api.elapse(self.seconds)


Change: TypeAlias = (
    Connect
    | Touch
    | Remove
    | Return
    | Synchronise
    | Tell
    | Update
    | Insert
    | Misdate
    | Delete
    | Pass
)
