"""Paging by limit and offset, without losing a record to what a server leaves unsaid."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from tap_analytics._compat import override
from tap_analytics.exceptions import UnsteadyListingError
from tap_analytics.listing.overlap import Overlap
from tap_analytics.listing.pages import page_of
from tap_analytics.listing.paginator import Paginator
from tap_analytics.listing.probe import FAR_OFFSET, OffsetProbe, check_ignored_offsets
from tap_analytics.listing.seen import MEMORY, SeenVersions, id_of, version_of
from tap_analytics.listing.step import Step

if TYPE_CHECKING:
    import requests

logger = logging.getLogger(__name__)

MAX_LIMIT = 100
"""The most records that the creator API gives at once."""

MAX_REREADS = 5
"""How often the head of a listing is read again, until it stands still."""


MAX_SHIFTS = 10
"""How often in a row paging goes back without finding anything new, before that is an error."""


class Slice(NamedTuple):
    """The part of a listing that a request asks for."""

    offset: int
    limit: int


_END = Slice(-1, 0)
"""Stands for the end of the listing, where the next page is expected."""


class LimitOffsetPaginator(Paginator):
    """Reads listings with `limit` and `offset`.

    A response looks like this; `metadata` and `total` may be absent, and are not believed:

        {"data": [{"id": "…"}, …], "metadata": {"offset": 0, "limit": 10}, "total": 25}

    Pages overlap by one record: offsets 0, 9, 18 … for a limit of 10. A page without a known record
    means that records before it were deleted: paging goes back until pages overlap.

    The listing ends on an empty page and on nothing else: servers hide records after the limit was
    applied, and cap it without saying so. After a short page the largest limit is asked for, so
    that many hidden records in a row don't end a listing.

    An account that changes meanwhile jumps to the front. With `rereads` the head of the listing is
    read again, down to a page of known records, until that is the first page.
    """

    def __init__(self, limit: int, *, rereads: bool = False) -> None:
        """Start at the first record.

        Args:
            limit: The page size, 2 to 100.
            rereads: Whether to read the head again, up to five times.
        """
        super().__init__(Slice(0, limit))
        self._limit = limit
        self._rereads = rereads
        self._seen = SeenVersions(None if rereads else MEMORY)
        self._overlap = Overlap(self._seen)
        self._probe = OffsetProbe()
        self._shifts = 0
        self._step: Step | None = None
        # Whether the last page was short, and whether a short page was followed by new records.
        self._was_short = self._is_capped = False
        # Where to go on once it is known that the server honours offsets, or the step is confirmed.
        self._after_probe: Slice | None = None
        self._after_step: Slice | None = None

    @override
    def read(self, response: requests.Response, *, is_sent_ahead: bool = False) -> list[Any]:
        records = page_of(response).records if response.ok else []
        versions = [version_of(record) for record in records]
        if self._after_probe is not None:
            return self._read_probe(self._after_probe, records, versions)
        if self._step and self._after_step:
            self._confirm_step(self._step, self._after_step, records)
            return []
        self.has_shifted = not self._overlap.is_continued_by(
            records, versions, is_sent_ahead=is_sent_ahead
        )
        if self.has_shifted:
            self._go_back(records, is_sent_ahead=is_sent_ahead)
        elif records:
            return self._read_page(records, versions)
        elif self._step and self._is_capped:
            self._ask_back(self._step, _END)
        else:
            self._end_or_widen()
        return []

    def _read_page(self, records: list[Any], versions: list[int]) -> list[Any]:
        offset, limit = self._page
        is_lone = len(records) == 1 and (self._overlap.is_due or offset == 0)
        new = self._seen.add(records, versions)
        self._shifts = 0 if new else self._shifts
        self._is_capped |= bool(new) and self._was_short
        self._was_short = len(records) < limit
        is_probe_needed = self._probe.is_needed(offset, records, has_new=bool(new))
        self._overlap.end_page(records, is_known=self._shifts > 0)
        next_limit = MAX_LIMIT if self._was_short else self._limit
        following = Slice(offset + len(records) - 1, next_limit)
        if self._seen.passes and self._seen.are_all_older(versions):
            self._end_pass()
        elif is_lone and limit == MAX_LIMIT:
            self._step = Step(offset, id_of(records[0]))
            self._overlap.reset()
            self._page = Slice(offset + 1, MAX_LIMIT)
        elif is_probe_needed and not (is_lone or self._seen.passes):
            self._step = None
            self._ask_far(following)
        elif self._step:
            self._is_capped = True
            self._ask_back(self._step, following)
        else:
            self._page = following
        return new

    def _ask_back(self, step: Step, following: Slice) -> None:
        self._after_step, self.is_probe = following, True
        self._page = Slice(step.offset, MAX_LIMIT)

    def _confirm_step(self, step: Step, following: Slice, records: list[Any]) -> None:
        self._step, self._after_step, self.is_probe = None, None, False
        self.has_shifted = not step.is_confirmed_by(records)
        if self.has_shifted:
            self._go_back(records, is_sent_ahead=False)
        elif following == _END:
            self._page = Slice(step.offset + 1, MAX_LIMIT)
            self._end_pass()
        else:
            self._page = following

    def _ask_far(self, following: Slice) -> None:
        self._after_probe, self.is_probe = following, True
        self._page = Slice(FAR_OFFSET, MAX_LIMIT)

    def _go_back(self, records: list[Any], *, is_sent_ahead: bool) -> None:
        if is_sent_ahead:
            # The same page again, this time in its turn.
            return
        self._shifts += 1
        if self._shifts > MAX_SHIFTS:
            raise UnsteadyListingError(_unsteady(self._page))
        logger.debug("The listing has shifted at offset %d: going back", self._page.offset)
        offset = max(0, self._page.offset - MAX_LIMIT + 1)
        self._overlap.go_back(offset)
        self._page = Slice(offset, MAX_LIMIT)
        if self._probe.is_repeated(records) and not self._seen.passes:
            self._ask_far(self._page)

    def _end_or_widen(self) -> None:
        if self._page.limit < MAX_LIMIT:
            self._page = self._page._replace(limit=MAX_LIMIT)
        else:
            self.is_empty = self._page.offset == 0
            self._end_pass()

    def _end_pass(self) -> None:
        self._step = None
        is_still = self._seen.passes > 0 and self._page.offset == 0
        if not self._rereads or is_still:
            self._is_finished = True
        elif self._seen.passes == MAX_REREADS:
            self.is_unsteady = self._is_finished = True
        else:
            self._seen.begin_pass()
            self.is_first_pass = False
            self._overlap.reset()
            self._page = Slice(0, self._limit)

    def _read_probe(self, following: Slice, records: list[Any], versions: list[int]) -> list[Any]:
        self._after_probe, self.is_probe, self._page = None, False, following
        if not self._probe.is_ignored(records, versions, self._seen):
            return []
        new = self._seen.add(records, versions)
        check_ignored_offsets(len(records), MAX_LIMIT)
        self.is_offset_ignored = self._is_finished = True
        return new


def _unsteady(page: Slice) -> str:
    return (
        f"offset {page.offset:,} held no record that had been read before, {MAX_SHIFTS} times in a "
        "row: the listing changes too fast, or contradicts itself"
    )
