"""Paging by limit and offset, without losing a record to what a server leaves unsaid."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from singer_sdk.pagination import BaseAPIPaginator

from tap_analytics._compat import override
from tap_analytics.exceptions import OffsetIgnoredError
from tap_analytics.listing.pages import page_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import requests

logger = logging.getLogger(__name__)


MEMORY = 10_000
"""How many records of a listing are remembered, to find out whether it has shifted. If it has by
more than that, it is read again from its beginning."""


ENOUGH_REPETITIONS = 2
"""How often in a row a page has to be repeated if by its size it is the whole listing."""

MOST_REPETITIONS = 10
"""How often in a row a page may be repeated."""


class LimitOffsetPaginator(BaseAPIPaginator[int]):
    """Paginator for listings read with `limit` and `offset`.

    A response looks like this; `total` (here or in `metadata`) and `metadata` may be absent:

        {"data": [{"id": "…"}, …], "metadata": {"offset": 0, "limit": 10}, "total": 25}

    The next offset is the number of records received so far, so a server that gives fewer than it
    was asked for costs requests, but no records. The listing ends

    - on an empty page,
    - when as many records have come as `total` says,
    - on a page shorter than the limit that the response declares, once this endpoint has been seen
      to give a longer one: the creator API's `metadata` repeats the `limit` that was asked for,
      also where the server gives less, so on its own it proves nothing.

    A page with the same records as the one before is not given out again. It also happens when as
    many records as a page holds were added while paging, so it takes several in a row to mean that
    the server ignores `offset`.

    A record deleted while paging moves all later ones up, and one of them is never seen. With
    `detect_shifts` pages overlap by one record. A page is only given out if it holds a record that
    has been: the records between two of which one was given out are on the same page, whenever
    each page was read, and in whichever order. Else paging goes back until it does.
    """

    def __init__(self, limit: int, *, longest: int = 0, detect_shifts: bool = False) -> None:
        """Start at the first record.

        Args:
            limit: The page size that is asked for.
            longest: The most records that this endpoint is known to give at once.
            detect_shifts: Whether to find and read records that others have moved to where pages
                have been read.
        """
        super().__init__(0)
        self.limit = limit
        self.longest = longest
        self._offset = 0
        self._pages = 0
        self._is_at_end = False
        self._previous: list[str] = []
        self._repetitions = 0
        self._known = _LatestKeys(MEMORY) if detect_shifts else None
        self._overlap = 0
        self._is_lost = False

    # The SDK's takes offset 0 for the end, which here may be where to go back to.

    @property
    @override
    def current_value(self) -> int:
        return self._offset

    @property
    @override
    def finished(self) -> bool:
        return self._is_at_end

    @property
    @override
    def count(self) -> int:
        return self._pages

    @override
    def advance(self, response: requests.Response) -> None:
        """Go on to the next page.

        Args:
            response: The response for the current offset.

        Raises:
            OffsetIgnoredError: If the server ignores `offset` and may hold more records.
        """
        self._pages += 1
        following = self.get_next(response)
        if following is None:
            self._is_at_end = True
        else:
            self._offset = following

    @property
    def is_lost(self) -> bool:
        """Whether the listing has shifted, so that paging goes back."""
        return self._is_lost

    def overlap_of(self, count: int) -> int:
        """Tell how many records of a page the next one begins with.

        Args:
            count: The number of records of the page.

        Returns:
            At most 1. A page of one record could not be told from the one after it.
        """
        return 1 if self._known is not None and count > 1 else 0

    def new_records(self, response: requests.Response) -> list[Any]:
        """Tell which records of a response are to be given out.

        Args:
            response: The response for the current offset.

        Returns:
            Its records in order, or none if they are those of the page before; with
            `detect_shifts` those that have not been given out, or none if paging goes back.
        """
        records = page_of(response).records
        # Numbers, dates and nested values may be brought into another form by who gets the
        # records; what identifies them stays. The number 1 is not the text "1".
        keys = [
            repr(record.get("id") if isinstance(record, dict) else record) for record in records
        ]
        known = self._known
        if known is None:
            has_shifted = False
        else:
            has_shifted = self._overlap > 0 and keys[:1] != self._previous[-1:]
            # Nothing comes before the first record.
            is_lost = has_shifted and self._offset > 0 and known.isdisjoint(keys)
            if is_lost and not self._is_lost:
                logger.info("The listing has shifted at offset %d: going back", self._offset)
            self._is_lost = is_lost
            if is_lost:
                return []
        if keys and keys == self._previous:
            self._repetitions += 1
            return []
        self._previous = keys
        self._repetitions = 0
        if known is None:
            return records
        new = records[self._overlap :]
        if has_shifted:
            new = [record for record, key in zip(records, keys, strict=True) if key not in known]
        known.update(keys)
        return new

    @override
    def continue_if_empty(self, response: requests.Response) -> bool:
        """Tell whether paging goes on after a response that gave out nothing.

        Args:
            response: The response.

        Returns:
            True if it held records, but only repeated ones, or if paging goes back.
        """
        return self._is_lost or bool(page_of(response).records)

    @override
    def get_next(self, response: requests.Response) -> int | None:
        """Find the next offset.

        Args:
            response: The response for the current offset, of which `new_records` knows.

        Returns:
            The number of records received so far, less those that pages overlap by; an earlier one
            if the listing has shifted; None at the end of the listing.

        Raises:
            OffsetIgnoredError: If the server ignores `offset` and may hold more records.
        """
        if self._is_lost:
            return max(0, self.current_value - self.longest + 1)
        page = page_of(response)
        count = len(page.records)
        is_short = page.limit is not None and count < page.limit
        received = self.current_value + count
        if self._repetitions >= MOST_REPETITIONS:
            message = (
                f"the server ignores `offset`: it answers offset {self.current_value} with "
                f"the same {count} records as the offsets before, so any further ones can't "
                "be had"
            )
            raise OffsetIgnoredError(message)
        if self._repetitions >= ENOUGH_REPETITIONS and (
            count > self.limit or (is_short and count < self.limit)
        ):
            logger.warning(
                "The server does not page: it gave %d records for a limit of %d and the same ones "
                "for every offset. They are taken for the whole listing.",
                count,
                self.limit,
            )
            return None
        if self._repetitions:
            return received - self._overlap
        if page.total is not None and received >= page.total:
            return None
        if is_short and count < self.longest:
            return None
        self.longest = max(self.longest, count)
        self._overlap = self.overlap_of(count)
        return received - self._overlap


class _LatestKeys:
    """The last so many keys that have been added."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._keys: dict[str, None] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def isdisjoint(self, keys: Iterable[str]) -> bool:
        return self._keys.keys().isdisjoint(keys)

    def update(self, keys: Iterable[str]) -> None:
        for key in keys:
            # The order of a dictionary is that of insertion.
            self._keys.pop(key, None)
            self._keys[key] = None
        while len(self._keys) > self._capacity:
            del self._keys[next(iter(self._keys))]
