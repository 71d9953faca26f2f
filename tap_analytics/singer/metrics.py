"""The METRIC lines of a stream: one of each kind per sync, however many accounts it has."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from singer_sdk.metrics import Counter, Metric, Status, Tag

from tap_analytics._compat import override

if TYPE_CHECKING:
    from types import TracebackType

    from singer_sdk.helpers.types import Context
    from singer_sdk.metrics import Timer
    from singer_sdk.streams import RESTStream


class RequestCounter(Counter):
    """Counts the requests of all listings of a stream. The SDK opens it once for each."""

    @override
    def with_context(self, value: Context | None) -> None:
        """Name no account.

        Args:
            value: The account whose listing begins.
        """

    @override
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        """Go on counting: the stream may have more listings.

        Args:
            exc_type: The type of an exception that has ended the listing.
            exc_val: The exception.
            exc_tb: Its traceback.
        """


class StreamMetrics:
    """The METRIC lines of one stream.

    Attributes:
        requests: Counts the requests.
    """

    def __init__(self, stream: RESTStream[object]) -> None:
        """Count nothing yet.

        Args:
            stream: The stream.
        """
        tags = {Tag.STREAM: stream.name, Tag.ENDPOINT: stream.path}
        self.requests = RequestCounter(Metric.HTTP_REQUEST_COUNT, tags)
        self._stream = stream
        self._timer: Timer | None = None
        self._open = ExitStack()

    def begin(self) -> Counter:
        """Begin to measure the time.

        Returns:
            What counts the records.
        """
        counter = self._open.enter_context(self._stream.get_record_counter())
        self._timer = self._open.enter_context(self._stream.get_sync_timer())
        return counter

    def end(self, *, has_failed: bool) -> None:
        """Log what has been measured, once.

        Args:
            has_failed: Whether the stream is not, or not wholly, synced.
        """
        if self.requests.value:
            self.requests.exit()
        if self._timer and has_failed:
            self._timer.tags[Tag.STATUS] = Status.FAILED
        self._open.close()
