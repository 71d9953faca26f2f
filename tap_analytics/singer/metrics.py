"""The METRIC lines of a stream: one of each kind per sync, however many accounts it has."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from singer_sdk.metrics import Status, Tag

if TYPE_CHECKING:
    from singer_sdk.metrics import Counter, Timer
    from singer_sdk.streams import RESTStream

    from tap_analytics.singer.statistics import StreamStatistics


class StreamMetrics:
    """The METRIC lines of one stream."""

    def __init__(self, stream: RESTStream[object], statistics: StreamStatistics) -> None:
        """Measure nothing yet.

        Args:
            stream: The stream.
            statistics: Its counts.
        """
        self._stream = stream
        self._statistics = statistics
        self._open = ExitStack()
        self._measured: tuple[Counter, Timer] | None = None
        self._has_ended = False

    def begin(self) -> None:
        """Begin to measure the time."""
        records = self._open.enter_context(self._stream.get_record_counter())
        self._measured = records, self._open.enter_context(self._stream.get_sync_timer())

    def end(self, *, has_failed: bool) -> None:
        """Log what has been measured, and note whether the stream has failed. Only once.

        Args:
            has_failed: Whether the stream is not, or not wholly, synced.
        """
        if self._has_ended:
            return
        self._has_ended = True
        self._statistics.has_failed = has_failed
        # Counters look at the clock each time, so they are told the sums only.
        has_been_read = self._statistics.seconds > 0
        if has_been_read:
            with self._stream.get_http_request_counter() as requests:
                requests.increment(self._statistics.requests)
        if self._measured:
            records, timer = self._measured
            records.increment(self._statistics.records)
            if has_failed:
                timer.tags[Tag.STATUS] = Status.FAILED
        self._open.close()
