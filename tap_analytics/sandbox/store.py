"""The records of both APIs, as they stand on a day."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_analytics.sandbox.data import BUILDERS, records
from tap_analytics.sandbox.rows import Custody

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_analytics.sandbox.rows import Record


class Records(dict[str, "list[Record]"]):
    """The records by resource. A resource is made when it is first looked up."""

    def __init__(self, make: Callable[[str], dict[str, list[Record]]], lock: Custody) -> None:
        """Begin without records.

        Args:
            make: Returns the records of a resource, and of those that are made together with it.
            lock: Held while records are made.
        """
        super().__init__()
        self._make = make
        self._lock = lock

    def __missing__(self, resource: str) -> list[Record]:
        """Make a resource.

        Args:
            resource: A key of `BUILDERS`.

        Returns:
            Its records.

        Raises:
            KeyError: There is no such resource.
        """
        if resource not in BUILDERS:
            raise KeyError(resource)
        with self._lock:
            if resource not in self:
                for name, made in self._make(resource).items():
                    self.setdefault(name, made)
            return self[resource]


class Store:
    """Records that stay as they are until a day passes.

    Attributes:
        data: The records by resource, in the order in which they are listed. What is changed here
            is served.
        lock: Whoever holds it finds all records at one moment.
    """

    def __init__(self, rows: int, day: int, customer: str = "") -> None:
        """Prepare the records.

        Args:
            rows: How many records each resource has on day 0.
            day: How many days after day 0 it is.
            customer: Whose records they are. No two customers have an ID in common.
        """
        self.lock = Custody(customer)
        self._rows = rows
        self._day = day
        self.data: dict[str, list[Record]] = Records(self._make, self.lock)

    def advance(self, days: int) -> None:
        """Make the records anew, as they stand on a later day.

        Args:
            days: How many days pass.
        """
        with self.lock:
            self._day += days
            self.data = Records(self._make, self.lock)

    def listing(self, resource: str, account_id: str | None = None) -> list[Record]:
        """Return the records of a resource as they are listed.

        Args:
            resource: The resource.
            account_id: The account that owns the records. Without one, all records are returned.

        Returns:
            The records, in the API's order.
        """
        found = self.data[resource]
        if account_id is None:
            return found
        return [record for record in found if owner_id(record) == account_id]

    def _make(self, resource: str) -> dict[str, list[Record]]:
        return {resource: records(resource, self._rows, self._day)}


def owner_id(record: Record) -> str | None:
    """Return the account that owns a record.

    Args:
        record: A profile, a content item or a transaction.

    Returns:
        The account's ID, or `None` if the record names none.
    """
    return (record.get("account") or {}).get("id")
