"""What a stream asks of a paginator beyond what the SDK does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from singer_sdk.pagination import BaseAPIPaginator

from tap_analytics._compat import override
from tap_analytics.listing.pages import page_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import requests

    from tap_analytics.listing.pages import Page


class Paginator(BaseAPIPaginator[Any], ABC):
    """A paginator that reads pages, so that it can tell what is new in them.

    Attributes:
        has_shifted: Whether the last page did not count, because the listing has shifted.
        is_probe: Whether the current request only asks how the server behaves.
        is_first_pass: Whether the listing is read for the first time, not its beginning again.
        is_unsteady: Whether the listing still changed when its beginning was last read.
        is_offset_ignored: Whether the server answers every offset with the same records.
        is_empty: Whether nothing was listed at the end, even if there were records before.
    """

    has_shifted: bool = False
    is_probe: bool = False
    is_first_pass: bool = True
    is_unsteady: bool = False
    is_offset_ignored: bool = False
    is_empty: bool = False

    def __init__(self, first_page: Any) -> None:  # noqa: ANN401 - as the API pages
        """Start at the first page.

        Args:
            first_page: What asks for the first page.
        """
        super().__init__(first_page)
        self._page = first_page
        self._is_finished = False

    @abstractmethod
    def read(self, response: requests.Response, *, is_sent_ahead: bool = False) -> list[Any]:
        """Return the records that a response adds, and move on to the next page.

        Args:
            response: The response for the current page, a success unless it `is_probe`.
            is_sent_ahead: Whether the response may be older than the page before it.

        Returns:
            The new records in the listing's order, which may be none.

        Raises:
            OffsetIgnoredError: If the server ignores `offset` and may hold more records.
            UnsteadyListingError: If pages never overlap.
        """

    # The SDK's properties return what its own `advance` has found. Here `read` finds it.

    @property
    @override
    def current_value(self) -> Any:
        return self._page

    @property
    @override
    def finished(self) -> bool:
        return self._is_finished

    @override
    def advance(self, response: requests.Response) -> None:
        """Do nothing: `read` has found the next page.

        Args:
            response: The response for the current page.
        """

    @override
    def get_next(self, response: requests.Response) -> Any:
        return None if self.finished else self.current_value

    @override
    def continue_if_empty(self, response: requests.Response) -> bool:
        # The SDK's loop looks at `finished` next.
        return True


class SinglePagePaginator(Paginator):
    """Reads a listing that is one response."""

    def __init__(self, page_in: Callable[[requests.Response], Page] = page_of) -> None:
        """Start with the only page.

        Args:
            page_in: Reads the response.
        """
        super().__init__(None)
        self._page_in = page_in

    @override
    def read(self, response: requests.Response, *, is_sent_ahead: bool = False) -> list[Any]:
        self._is_finished = True
        records = self._page_in(response).records
        self.is_empty = not records
        return records
