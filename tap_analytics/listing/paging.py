"""How an API divides its listings into pages: which requests there are, and who reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from tap_analytics._compat import override
from tap_analytics.listing.pages import page_of
from tap_analytics.listing.pagination import MAX_LIMIT, LimitOffsetPaginator, Slice
from tap_analytics.listing.paginator import SinglePagePaginator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import requests

    from tap_analytics.listing.pages import Page
    from tap_analytics.listing.paginator import Paginator


class Paging(Protocol):
    """A way of paging."""

    @property
    def first(self) -> Slice | None:
        """The first page."""

    def parameters(self, page: Slice | None) -> dict[str, Any]:
        """Return the query parameters that ask for a page."""

    def page_in(self, response: requests.Response) -> Page:
        """Read a response, see `pages.page_of`."""

    def paginator(self, *, rereads: bool) -> Paginator:
        """Return a paginator for one listing."""

    def following(
        self, page: Slice | None, response: requests.Response, count: int
    ) -> Sequence[Slice]:
        """Return the pages that are probably asked for after a response, nearest first."""


class SinglePage:
    """One response holds the whole listing."""

    first = None

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        """Need no setting."""

    def parameters(self, page: Slice | None) -> dict[str, Any]:
        """Ask for everything."""
        del page
        return {}

    def page_in(self, response: requests.Response) -> Page:
        """Return the records of a response.

        Args:
            response: A success.
        """
        return page_of(response)

    def paginator(self, *, rereads: bool) -> SinglePagePaginator:
        """Return a paginator for one listing: a single response can't change while it is read."""
        del rereads
        return SinglePagePaginator(self.page_in)

    def following(
        self, page: Slice | None, response: requests.Response, count: int
    ) -> Sequence[Slice]:
        """Return nothing."""
        del page, response, count
        return ()


class SingleObject(SinglePage):
    """One response is the only record, a bare object such as `{"id": "…", "countries": […]}`."""

    @override
    def page_in(self, response: requests.Response) -> Page:
        return page_of(response, is_object=True)


class LimitOffset:
    """Pages are asked for by `limit` and `offset`."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Read the setting `page_size`.

        Args:
            config: The settings.
        """
        self._limit = int(config["page_size"])
        self.first = Slice(0, self._limit)

    def parameters(self, page: Slice | None) -> dict[str, Any]:
        """Return the query parameters that ask for a page.

        Args:
            page: The page.

        Returns:
            `limit` and `offset`.
        """
        offset, limit = page or self.first
        return {"limit": limit, "offset": offset}

    def page_in(self, response: requests.Response) -> Page:
        """Return the records of a response.

        Args:
            response: A success.
        """
        return page_of(response)

    def paginator(self, *, rereads: bool) -> LimitOffsetPaginator:
        """Return a paginator for one listing.

        Args:
            rereads: Whether its head is read again.
        """
        return LimitOffsetPaginator(self._limit, rereads=rereads)

    def following(
        self, page: Slice | None, response: requests.Response, count: int
    ) -> Sequence[Slice]:
        """Return the pages that are probably asked for after a response.

        Args:
            page: The page that the response holds.
            response: The response.
            count: How many pages to return at most after a full page.

        Returns:
            After a full page the next ones. After a short page the two that prove that the listing
            has ended: one that overlaps with it, one that is empty.
        """
        offset, limit = page or self.first
        size = len(page_of(response).records)
        if size >= limit:
            step = self._limit - 1
            first = offset + size - 1
            return [Slice(first + number * step, self._limit) for number in range(count)]
        overlapping = Slice(offset + size - 1, MAX_LIMIT)
        # A page of a lone record is not asked for again.
        closing = [overlapping] if size and overlapping != page else []
        if size or limit < MAX_LIMIT:
            closing.append(Slice(offset + size, MAX_LIMIT))
        return closing
