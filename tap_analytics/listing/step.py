"""A step past a record: to a page that does not overlap with the one before."""

from __future__ import annotations

from typing import Any, NamedTuple

from tap_analytics.listing.seen import id_of


class Step(NamedTuple):
    """A step from a page that held nothing but its overlap.

    That is how listings end. But some servers give one record at a time. Then the step may pass a
    record that has moved up meanwhile. So the record before is asked for again.

    Attributes:
        offset: The offset of the record that is stepped past.
        record: What identifies it.
    """

    offset: int
    record: str

    def is_confirmed_by(self, records: list[Any]) -> bool:
        """Return whether the record is still where it was.

        Args:
            records: The page at the offset of the step, read after the page stepped to.
        """
        return bool(records) and id_of(records[0]) == self.record
