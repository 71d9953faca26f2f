"""Which requests a stream will probably make next."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

from tap_analytics.http.hints import Hint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import requests
    from singer_sdk import Stream
    from singer_sdk.helpers.types import Context, Record

    from tap_analytics.http.session import PrefetchingSession
    from tap_analytics.listing.pagination import Slice
    from tap_analytics.listing.paging import Paging

# What is being read comes first: a child's pages before its parent's, both before what children
# that are not reached yet will ask for.
_CHILD, _PARENT = -2, -1

# Pages come before the children of the page before: they lead on to more children.
_BEFORE_CHILDREN = -64


class HintedStream(Protocol):
    """A stream whose next requests can be foreseen."""

    name: str
    paging: Paging
    look_ahead: LookAhead
    parent_stream_type: type[Stream] | None

    @property
    def requests_session(self) -> PrefetchingSession:
        """The session that sends its requests."""

    @property
    def has_selected_descendents(self) -> bool:
        """Whether the stream is read for its children."""

    @property
    def children_to_hint(self) -> Sequence[HintedChild]:
        """The child streams whose first pages are known from a page of this stream."""

    def get_child_context(self, record: Record, context: Context | None) -> Context | None:
        """Return the context of the children of a record."""

    def get_url(self, context: Context | None) -> str:
        """Return the URL of a listing."""

    def page_request(self, context: Context | None, page: Slice | None) -> requests.PreparedRequest:
        """Return the request that the stream will make for a page."""


class HintedChild(HintedStream, Protocol):
    """A stream that is listed for each record of another."""

    def is_skipped(self, context: Context | None, parent_record: Record) -> bool:
        """Return whether a listing will not be asked for. The record is as the API sent it."""


class LookAhead:
    """Hints at the next pages of a stream's listings.

    A hint may be wrong. It then costs a request, and changes nothing in what is read.
    """

    def __init__(self, stream: HintedStream) -> None:
        """Prepare to hint.

        Args:
            stream: The stream.
        """
        self._stream = stream
        self._pages_read = 0
        self._hinted: set[Slice] = set()

    def first_page(self, place: tuple[int, ...], context: Context | None = None) -> Hint:
        """Return a hint at the first page of a listing.

        Args:
            place: The place of the listing in the order of reading.
            context: The stream's context.

        Returns:
            The hint. Its response leads on to the next page.
        """
        page = self._stream.paging.first
        follow = partial(self._next, context, place, page)
        request = self._stream.page_request(context, page)
        return Hint(place, request, self._group(context), follow)

    def page_read(
        self, context: Context | None, page: Slice | None, response: requests.Response
    ) -> None:
        """Hint at what follows a page that has been read in its turn.

        Args:
            context: The stream's context.
            page: The page.
            response: The response that holds it.
        """
        self._pages_read += 1
        self._stream.requests_session.hint(self._after(context, page, response))

    def end_listing(self, context: Context | None) -> None:
        """Forget the hints of a listing that has been read, or has shifted.

        Args:
            context: The stream's context.
        """
        self._pages_read = 0
        self._hinted.clear()
        self._stream.requests_session.forget(self._group(context))

    def _group(self, context: Context | None) -> tuple[object, ...]:
        return (self._stream.name, *map(str, (context or {}).values()))

    def _after(
        self, context: Context | None, page: Slice | None, response: requests.Response
    ) -> Iterator[Hint]:
        stream = self._stream
        # Twice as far with each page: a listing of three pages is not asked for eight more.
        ahead = min(stream.requests_session.throttle.window, 2 ** (self._pages_read - 1))
        if stream.has_selected_descendents:
            # More accounts are not needed before the content of these.
            ahead = 1
        offset = page.offset if page else 0
        place = (_CHILD if stream.parent_stream_type else _PARENT, offset)
        self._hinted = {hinted for hinted in self._hinted if hinted.offset > offset}
        for number, ahead_page in enumerate(self._following(page, response, ahead)):
            if ahead_page not in self._hinted:
                self._hinted.add(ahead_page)
                position = (*place, number + _BEFORE_CHILDREN)
                yield self._page_hint(context, position, ahead_page, is_leading=ahead == 1)
        yield from self._children(context, place, response)

    def _next(
        self,
        context: Context | None,
        place: tuple[int, ...],
        page: Slice | None,
        response: requests.Response,
    ) -> Iterator[Hint]:
        """Yield hints at what follows a page that has come ahead of its turn. Runs on threads."""
        try:
            self._stream.paging.page_in(response)
        except ValueError:
            return
        place = (*place, page.offset if page else 0)
        for number, next_page in enumerate(self._following(page, response, 1)):
            position = (*place, number + _BEFORE_CHILDREN)
            yield self._page_hint(context, position, next_page, is_leading=True)
        yield from self._children(context, place, response)

    def _following(
        self, page: Slice | None, response: requests.Response, count: int
    ) -> Sequence[Slice]:
        if not self._stream.requests_session.throttle.is_noticeable_at(response.url):
            # A hint takes longer to make than the answer.
            return ()
        return self._stream.paging.following(page, response, count)

    def _page_hint(
        self, context: Context | None, position: tuple[int, ...], page: Slice, *, is_leading: bool
    ) -> Hint:
        follow = partial(self._next, context, position[:-1], page) if is_leading else None
        request = self._stream.page_request(context, page)
        return Hint(position, request, self._group(context), follow)

    def _children(
        self, context: Context | None, place: tuple[int, ...], response: requests.Response
    ) -> Iterator[Hint]:
        children = [*enumerate(self._stream.children_to_hint)]
        throttle = self._stream.requests_session.throttle
        # A page that is not the first begins with the last record of the page before.
        overlap = 1 if place[-1] else 0
        records = self._stream.paging.page_in(response).records[overlap:] if children else ()
        for number, record in enumerate(records):
            if isinstance(record, dict) and record.get("id") is not None:
                child_context = self._stream.get_child_context(record, context)
                for rank, child in children:
                    if child.is_skipped(child_context, record):
                        continue
                    if throttle.is_noticeable_at(child.get_url(child_context)):
                        yield child.look_ahead.first_page((*place, number, rank), child_context)
