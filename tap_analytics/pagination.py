"""Paging by limit and offset, without losing a record to what a server leaves unsaid."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from singer_sdk.pagination import BaseAPIPaginator

from tap_analytics._compat import override
from tap_analytics.pages import page_of

if TYPE_CHECKING:
    import requests

logger = logging.getLogger(__name__)


class OffsetIgnoredError(RuntimeError):
    """The server answers every offset with the same records, so the rest can't be had."""


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

    A page with the same records as the one before is not given out again. The second in a row
    means that the server ignores `offset` (a single one also happens when as many records as a
    page holds were added while paging).
    """

    def __init__(self, limit: int, *, longest: int = 0) -> None:
        """Start at the first record.

        Args:
            limit: The page size that is asked for.
            longest: The most records that this endpoint is known to give at once.
        """
        super().__init__(0)
        self.limit = limit
        self.longest = longest
        self._previous: list[Any] = []
        self._repetitions = 0

    def new_records(self, response: requests.Response) -> list[Any]:
        """Tell which records of a response are to be given out.

        Args:
            response: The response for the current offset.

        Returns:
            Its records in order, or none if they are those of the page before.
        """
        records = page_of(response).records
        # Numbers, dates and nested values may be brought into another form by who gets the
        # records; what identifies them stays.
        keys = [record.get("id") if isinstance(record, dict) else record for record in records]
        if keys and keys == self._previous:
            self._repetitions += 1
            return []
        self._previous = keys
        self._repetitions = 0
        return records

    @override
    def continue_if_empty(self, response: requests.Response) -> bool:
        """Tell whether paging goes on after a response that gave out nothing.

        Args:
            response: The response.

        Returns:
            True if it held records, but only repeated ones.
        """
        return bool(page_of(response).records)

    @override
    def get_next(self, response: requests.Response) -> int | None:
        """Find the next offset.

        Args:
            response: The response for the current offset, with at least one record.

        Returns:
            The number of records received so far, or None at the end of the listing.

        Raises:
            OffsetIgnoredError: If the server ignores `offset` and may hold more records.
        """
        page = page_of(response)
        count = len(page.records)
        is_short = page.limit is not None and count < page.limit
        received = self.current_value + count
        if self._repetitions == 1:
            return received
        if self._repetitions:
            if not (count > self.limit or (is_short and count < self.limit)):
                message = (
                    f"the server ignores `offset`: it answers offset {self.current_value} with "
                    f"the same {count} records as the offsets before, so any further ones can't "
                    "be had"
                )
                raise OffsetIgnoredError(message)
            logger.warning(
                "The server does not page: it gave %d records for a limit of %d and the same ones "
                "for every offset. They are taken for the whole listing.",
                count,
                self.limit,
            )
            return None
        if page.total is not None and received >= page.total:
            return None
        if is_short and count < self.longest:
            return None
        self.longest = max(self.longest, count)
        return received
