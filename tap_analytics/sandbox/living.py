"""The records of the live services, which change while they are read."""

from __future__ import annotations

import sys
from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING

from tap_analytics.sandbox.clock import Clock
from tap_analytics.sandbox.data import count
from tap_analytics.sandbox.days import end_of, first_day, later_day, later_users
from tap_analytics.sandbox.listings import in_order, merged
from tap_analytics.sandbox.live_fields import with_live_fields
from tap_analytics.sandbox.products import PRODUCT_OF
from tap_analytics.sandbox.rows import Row, make_id, make_random
from tap_analytics.sandbox.store import Records, Store

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from datetime import datetime

    from tap_analytics.sandbox.rows import Record

# These are made together, because an account tells when its records were last synced.
_LINKED = ("accounts", *PRODUCT_OF)

# No day brings a record with such a position.
_FIRST_ARRIVAL = 1_000_000


class LivingStore(Store):
    """Records that may change at any moment.

    No list and no record is changed in place. So what is looked up in `data` stays as it was at
    that moment.

    Attributes:
        clock: The time of the services. It starts at the midnight after the day.
    """

    def __init__(self, rows: int, day: int, customer: str = "") -> None:
        """Prepare the records.

        Args:
            rows: How many records each resource has on day 0. Of what belongs to accounts there
                is less, because some accounts lack a product.
            day: How many days after day 0 it is.
            customer: Whose records they are. No two customers have an ID in common.
        """
        super().__init__(rows, day, customer)
        self.clock = Clock(end_of(day))
        self._positions: dict[str, int] = {}
        self._arrived: Counter[str] = Counter()

    def find(self, resource: str, record_id: str) -> Record:
        """Return a record.

        Args:
            resource: The record's resource.
            record_id: The record's ID.

        Returns:
            The record, not to be changed.

        Raises:
            LookupError: No such record is listed.
        """
        for record in self.data[resource]:
            if record.get("id") == record_id:
                return record
        message = f"There is no record {record_id} in {resource}"
        raise LookupError(message)

    def new_row(self, resource: str, moment: datetime, account_id: str | None = None) -> Row:
        """Return what a new record is made from.

        Args:
            resource: The record's resource.
            moment: When the record was created and last changed.
            account_id: The account that owns it, if it is a content item or a transaction.

        Returns:
            The row.

        Raises:
            LookupError: The account is none of the sandbox's own.
        """
        index = _FIRST_ARRIVAL + self._arrived[resource]
        self._arrived[resource] += 1
        account = None if account_id is None else self._position_of(account_id)
        chance = make_random(resource, index)
        return Row(resource, index, max(self._rows, 1), 0, moment, moment, chance, account)

    def put(self, resource: str, *changed: Record) -> None:
        """Replace or add records.

        Args:
            resource: The records' resource.
            changed: Records. One with the ID of a listed record replaces it. The others are new.
        """
        self.data[resource] = merged(resource, self.data[resource], changed)

    def remove(self, resource: str, record_id: str) -> None:
        """Remove a record.

        Args:
            resource: The record's resource.
            record_id: The record's ID.
        """
        self.data[resource] = [r for r in self.data[resource] if r.get("id") != record_id]

    @override
    def listing(self, resource: str, account_id: str | None = None) -> list[Record]:
        """Return the records of a resource as they are listed.

        Args:
            resource: The resource.
            account_id: The account that owns the records. Without one, all records are returned.

        Returns:
            The records, in the live service's order.
        """
        return in_order(resource, super().listing(resource, account_id))

    @override
    def advance(self, days: int) -> None:
        """Let days pass: records change and are added, and every sync under way ends.

        Of the creator API, what has changed before is kept. The rest is made anew.

        Args:
            days: How many days pass.
        """
        with self.lock:
            linked: dict[str, list[Record]] = {}
            if not self.data.keys().isdisjoint(_LINKED):
                linked = {resource: self.data[resource] for resource in _LINKED}
            users = self.data.get("users")
            before, since = self._day, self.clock.now()
            self._day += days
            self.clock.reach(end_of(self._day))
            self.data = Records(self._make, self.lock)
            if linked:
                self.data |= later_day(linked, self._rows, before, self._day, since)
            if users is not None:
                self.data["users"] = later_users(users, self._rows, before, self._day)

    def _position_of(self, account_id: str) -> int:
        if account_id not in self._positions:
            arrived = range(_FIRST_ARRIVAL, _FIRST_ARRIVAL + self._arrived["accounts"])
            indexes = chain(range(count(self._rows, self._day)), arrived)
            self._positions = {make_id("accounts", index): index for index in indexes}
        if account_id not in self._positions:
            message = f"{account_id} is none of the sandbox's own accounts"
            raise LookupError(message)
        return self._positions[account_id]

    @override
    def _make(self, resource: str) -> dict[str, list[Record]]:
        if resource in _LINKED:
            made = first_day(self._rows)
            return later_day(made, self._rows, 0, self._day, end_of(0)) if self._day else made
        found = super()._make(resource)[resource]
        return {resource: [with_live_fields(resource, record) for record in found]}
