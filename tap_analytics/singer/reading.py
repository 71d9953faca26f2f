"""The reading of a listing: its pages, and what can go wrong."""

from __future__ import annotations

import logging
from abc import ABC
from typing import TYPE_CHECKING, Any

import requests
from singer_sdk.exceptions import RetriableAPIError

from tap_analytics._compat import override
from tap_analytics.exceptions import (
    OffsetIgnoredError,
    RejectedError,
    UnsafeRedirectError,
    UnsteadyListingError,
)
from tap_analytics.singer.answers import find_problem, is_about_the_request
from tap_analytics.singer.retrying import RetryingStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context

    from tap_analytics.listing.paginator import Paginator
    from tap_analytics.singer.connection import Connection

_UNSTEADY = (
    "%s still changed when its beginning had been read again five times; the next sync reads the "
    "rest"
)
_OFFSET_IGNORED = (
    "%s ignores `offset`: it answers every one with the same records, which are taken for the "
    "whole listing"
)


class ListingStream(RetryingStream, ABC):
    """A listing that is read page by page."""

    def __init__(self, tap: Tap, connection: Connection) -> None:
        """Create the stream, see `ApiStream`."""
        super().__init__(tap, connection)
        self._paginator: Paginator = self.paging.paginator(rereads=False)
        # The identities of records of this page with text that was not valid Unicode.
        self._mended: frozenset[int] = frozenset()

    @override
    def validate_response(self, response: requests.Response) -> None:
        """Accept a response if it holds a page of a listing.

        Args:
            response: A response with its body read.

        Raises:
            RetriableAPIError: If the next try may succeed.
            FatalAPIError: If it will not, see `tap_analytics.exceptions`.
        """
        if self._paginator.is_probe and is_about_the_request(response):
            # An offset past the end is an error to some servers. So the offset counts.
            return
        problem = find_problem(
            response,
            self.connection.access,
            self.line,
            self.paging.page_in,
            is_of_account=self.context is not None,
        )
        if problem:
            raise problem

    @override
    def get_new_paginator(self) -> Paginator:
        self._paginator = self.paging.paginator(rereads=self.needs_rereads)
        return self._paginator

    @property
    def needs_rereads(self) -> bool:
        """Whether a record that moves to the front while the listing is read must be met."""
        return False

    @override
    def request_records(self, context: Context | None) -> Iterable[dict[str, Any]]:
        """Read the listing.

        Args:
            context: The stream's context: the account, where it is listed once per account.

        Yields:
            The records as the API sent them.

        Raises:
            FatalAPIError: If the listing can't be read to its end.
        """
        try:
            yield from self._read_pages(context)
        except (requests.RequestException, RetriableAPIError) as error:
            raise self.final_error(error) from error
        except (OffsetIgnoredError, UnsafeRedirectError, UnsteadyListingError) as error:
            raise RejectedError(self.line(str(error))) from error
        finally:
            self.look_ahead.end_listing(context)

    def _read_pages(self, context: Context | None) -> Iterator[dict[str, Any]]:
        """Read page after page. Unlike the SDK's loop, it logs nothing per listing."""
        paginator = self.get_new_paginator()
        while not paginator.finished:
            request = self.page_request(context, paginator.current_value)
            response = self.request_with_retries(request, context)
            yield from self.parse_response(response)

    @override
    def parse_response(self, response: requests.Response) -> Iterable[Any]:
        paginator = self._paginator
        page, is_probe = paginator.current_value, paginator.is_probe
        is_first_pass = paginator.is_first_pass
        is_sent_ahead = self.requests_session.is_sent_ahead(response)
        records = paginator.read(response, is_sent_ahead=is_sent_ahead)
        if is_first_pass:
            self.statistics.listed += len(records)
        if paginator.has_shifted:
            # The pages sent for ahead are from elsewhere in the listing.
            self.look_ahead.end_listing(self.context)
        elif paginator.is_first_pass and not is_probe:
            self.look_ahead.page_read(self.context, page, response)
        if records:
            listed = self.paging.page_in(response)
            self._mended = frozenset(id(listed.records[position]) for position in listed.mended)
        return records

    def warn_of_paging(self) -> None:
        """Warn of what was odd in the way that the listing came."""
        if self._paginator.is_unsteady:
            self.log(_UNSTEADY, self.line("the listing"), level=logging.WARNING)
        if self._paginator.is_offset_ignored:
            self.log(_OFFSET_IGNORED, self.line("the server"), level=logging.WARNING)
