"""Streams of the creator API: creators' accounts, their content and their income."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk.mapper import SameRecordTransform

from tap_analytics._compat import override
from tap_analytics.config.settings import CREATOR_API
from tap_analytics.http.hints import Hint
from tap_analytics.listing.pages import page_of
from tap_analytics.listing.pagination import LimitOffsetPaginator
from tap_analytics.singer.stream import AnalyticsStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import requests
    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context, Record

    from tap_analytics.http.session import PrefetchingSession

NEXT = range(1, 2)
"""Of the pages after a page, just the first."""


class CreatorStream(AnalyticsStream):
    """A listing of the creator API, read with `limit` and `offset`."""

    api = CREATOR_API
    first_page: ClassVar[int] = 0

    def __init__(self, tap: Tap, session: PrefetchingSession) -> None:
        """Create the stream, see `AnalyticsStream`."""
        super().__init__(tap, session)
        self._paginator = self._new_paginator()
        self._farthest = 0

    def _new_paginator(self, longest: int = 0) -> LimitOffsetPaginator:
        return LimitOffsetPaginator(
            self.config["page_size"],
            longest=longest,
            detect_shifts=self.config["detect_shifts"],
        )

    @override
    def get_new_paginator(self) -> LimitOffsetPaginator:
        self._paginator = self._new_paginator(self._paginator.longest)
        self._farthest = 0
        return self._paginator

    @override
    def get_url_params(
        self, context: Context | None, next_page_token: int | None
    ) -> dict[str, Any]:
        return {"limit": self.config["page_size"], "offset": next_page_token}

    @override
    def parse_response(self, response: requests.Response) -> Iterable[Any]:
        super().parse_response(response)
        records = self._paginator.new_records(response)
        if self._paginator.is_lost:
            # What has been sent for ahead is from elsewhere in the listing.
            self._session.forget(self.listing(self.context))
            self._farthest = 0
        else:
            self._look_ahead(response)
        return records

    def _look_ahead(self, response: requests.Response) -> None:
        offset = self._paginator.current_value
        size = self.config["page_size"]
        step = size - self._paginator.overlap_of(size)
        # Twice as far with each page: a listing of three pages is not asked for eight more.
        ahead = min(self._session.throttle.window, 2**self._paginator.count)
        if self.has_selected_descendents:
            ahead = 1
        hinted = max(0, self._farthest - offset) // step
        if hinted < ahead:
            self._farthest = offset + ahead * step
            # What is needed for the listing being read comes first, a child's before its parent's.
            place = (-2 if self.parent_stream_type else -1, offset)
            pages = range(hinted + 1, ahead + 1)
            self._session.hint(self.next_pages(self.context, place, pages, response))

    @override
    def request_records(self, context: Context | None) -> Iterable[dict[str, Any]]:
        try:
            yield from super().request_records(context)
        finally:
            self._session.forget(self.listing(context))

    def listing(self, context: Context | None) -> tuple[object, ...]:
        """Name a listing, as the group of the hints that it gives rise to.

        Args:
            context: The context that the stream is listed in.

        Returns:
            What tells the listing from all others.
        """
        return (self.name, *(context or {}).values())

    def next_pages(
        self,
        context: Context | None,
        place: tuple[int, ...],
        pages: range,
        response: requests.Response,
    ) -> Iterator[Hint]:
        """Guess what will be asked for after a page.

        Args:
            context: The context of the listing.
            place: The place of the page in the order of reading, of which the last is its offset.
            pages: Which pages after it are meant, 1 being the next. If it is just that one, it
                leads on to the one after it.
            response: The response that holds the page.

        Yields:
            Hints at the pages after it, and at the first page of each child of its records.
        """
        try:
            page = page_of(response)
        except ValueError:
            return
        count = len(page.records)
        *listing_place, offset = place
        is_noticeable_at = self._session.throttle.is_noticeable_at
        is_full = count and count >= (page.limit or self.config["page_size"])
        if is_full and is_noticeable_at(self.get_url(context)):
            step = count - self._paginator.overlap_of(count)
            for number in pages:
                following = offset + number * step
                if page.total is not None and following >= page.total:
                    break
                lead_on = partial(self.next_pages, context, (*listing_place, following), NEXT)
                yield Hint(
                    # Before the children of this page, as it leads on to more of them.
                    (*place, number - pages.stop),
                    self.page_request(context, following),
                    self.listing(context),
                    lead_on if pages == NEXT else None,
                )
        children = [
            (rank, child)
            for rank, child in enumerate(self.child_streams)
            if isinstance(child, CreatorStream) and child.selected and not child.has_given_up
            if is_noticeable_at(child.get_url(context))
        ]
        if not isinstance(self.stream_maps[0], SameRecordTransform):
            # A map may leave the record out. To evaluate it takes the record as it will be, and
            # the thread on which the others are evaluated.
            children = []
        for number, record in enumerate(page.records if children else ()):
            if isinstance(record, dict):
                child_context = self.get_child_context(record, context) or {}
                for rank, child in children:
                    yield child.first_page_of(child_context, (*place, number, rank))

    def first_page_of(self, context: Context, place: tuple[int, ...]) -> Hint:
        """Guess that a listing will be read.

        Args:
            context: The context of the listing.
            place: The place of the listing in the order of reading.

        Returns:
            A hint at its first page, which leads on to the next if it is full.
        """
        place = (*place, self.first_page)
        lead_on = partial(self.next_pages, context, place, NEXT)
        request = self.page_request(context, self.first_page)
        return Hint(place, request, self.listing(context), lead_on)


class WorkPlatformsStream(CreatorStream):
    """Platforms that creators work on."""

    name = "work_platforms"
    path = "/v1/work-platforms"


class UsersStream(CreatorStream):
    """Creators, as the customer of the API knows them."""

    name = "users"
    path = "/v1/users"


class AccountsStream(CreatorStream):
    """Creators' accounts on work platforms."""

    name = "accounts"
    path = "/v1/accounts"

    @override
    def get_child_context(self, record: Record, context: Context | None) -> dict[str, Any]:
        return {"account_id": record.get("id")}


class ProfilesStream(CreatorStream):
    """Public profiles of accounts, with their reach."""

    name = "profiles"
    path = "/v1/profiles"


class ContentItemsStream(CreatorStream):
    """What creators have published, with its engagement."""

    name = "content_items"
    path = "/v1/social/contents"


class SocialIncomeTransactionsStream(CreatorStream):
    """What creators have earned on platforms."""

    name = "social_income_transactions"
    path = "/v1/social/income/transactions"


class PerAccount(CreatorStream):
    """A listing that is read once per account, with one bookmark for all of them."""

    parent_stream_type = AccountsStream
    state_partitioning_keys = ()

    @override
    def get_url_params(
        self, context: Context | None, next_page_token: int | None
    ) -> dict[str, Any]:
        return {**super().get_url_params(context, next_page_token), **(context or {})}


class ContentItemsPerAccountStream(PerAccount, ContentItemsStream):
    """Content, as the live service lists it."""


class SocialIncomeTransactionsPerAccountStream(PerAccount, SocialIncomeTransactionsStream):
    """Income, as the live service lists it: with both ends of the period required."""

    @override
    def get_url_params(
        self, context: Context | None, next_page_token: int | None
    ) -> dict[str, Any]:
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        return {
            **super().get_url_params(context, next_page_token),
            "transaction_from_date": (self.config.get("start_date") or "2000-01-01")[:10],
            "transaction_to_date": f"{tomorrow:%Y-%m-%d}",
        }


STREAMS = (
    WorkPlatformsStream,
    UsersStream,
    AccountsStream,
    ProfilesStream,
    ContentItemsStream,
    SocialIncomeTransactionsStream,
)

STREAMS_PER_ACCOUNT = (
    WorkPlatformsStream,
    UsersStream,
    AccountsStream,
    ProfilesStream,
    ContentItemsPerAccountStream,
    SocialIncomeTransactionsPerAccountStream,
)
