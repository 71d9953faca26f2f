"""Whether a server ignores `offset` is asked, not guessed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_analytics.exceptions import OffsetIgnoredError
from tap_analytics.listing.seen import id_of

if TYPE_CHECKING:
    from tap_analytics.listing.seen import SeenVersions

FAR_OFFSET = 1_000_000
"""An offset past the end of any listing. A server that answers it with known records ignores it."""

MAX_KNOWN_PAGES = 1_000
"""How many pages in a row may hold nothing new. More than these no inserted records explain."""


class OffsetProbe:
    """Notices pages that a server may have given for every offset, and reads the answer.

    A page that repeats the one before may also mean that rows have been inserted on top. So the
    server is asked, once per listing.
    """

    def __init__(self) -> None:
        """Start before the first page."""
        self._farthest = -1
        self._ends: tuple[str, str] | None = None
        self._known_pages = 0
        self._is_answered = False

    def is_needed(self, offset: int, records: list[Any], *, has_new: bool) -> bool:
        """Note a page, and return whether the server should be asked.

        Args:
            offset: The offset of the page.
            records: The page's records, at least one.
            has_new: Whether some of them are new.

        Returns:
            True if the page lies farther than any before and adds nothing, or begins and ends as
            the page before.

        Raises:
            OffsetIgnoredError: If page after page adds nothing, whatever the server has answered.
        """
        self._known_pages = 0 if has_new else self._known_pages + 1
        if self._known_pages > MAX_KNOWN_PAGES:
            message = (
                f"the server seems to ignore `offset`: {MAX_KNOWN_PAGES:,} pages in a row, up to "
                f"offset {offset:,}, hold nothing new"
            )
            raise OffsetIgnoredError(message)
        is_forward = offset > self._farthest
        self._farthest = max(self._farthest, offset)
        is_repeated = self.is_repeated(records)
        self._ends = _ends_of(records)
        return is_forward and (not has_new or is_repeated) and not self._is_answered

    def is_repeated(self, records: list[Any]) -> bool:
        """Return whether a page begins and ends as the one before, and that is not explained yet.

        Args:
            records: The page's records.
        """
        return bool(records) and _ends_of(records) == self._ends and not self._is_answered

    def is_ignored(self, records: list[Any], versions: list[int], seen: SeenVersions) -> bool:
        """Read the answer for `FAR_OFFSET`.

        Args:
            records: The records in it.
            versions: The version of each.
            seen: The versions seen in the listing.

        Returns:
            True if the server ignores offsets: the records are known ones.
        """
        self._is_answered = True
        is_same = bool(records) and self._ends is not None and id_of(records[0]) == self._ends[0]
        return is_same or seen.is_any_of_this_pass(versions)


def check_ignored_offsets(count: int, limit: int) -> None:
    """Accept that a server ignores offsets if it gives all of its records.

    Args:
        count: How many records it gives.
        limit: How many it was asked for.

    Raises:
        OffsetIgnoredError: If it may hold more records than it gives.
    """
    if count == limit:
        message = (
            f"the server ignores `offset`: it answers offset {FAR_OFFSET:,} with the same records "
            f"as the offsets before, so only {limit} can be read"
        )
        raise OffsetIgnoredError(message)


def _ends_of(records: list[Any]) -> tuple[str, str]:
    return id_of(records[0]), id_of(records[-1])
