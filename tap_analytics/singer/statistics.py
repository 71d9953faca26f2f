"""Statistics of a sync: how far it is while it runs, and the table at its end."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from tap_analytics.http.retries import THROTTLED_STATUSES
from tap_analytics.log.row import Row

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import requests


@dataclass(slots=True, eq=False)
class StreamStatistics:
    """Counts of one stream.

    Attributes:
        name: The name of the stream.
        records: Records emitted, after stream maps.
        requests: Requests sent, including those sent ahead that turned out not to be needed.
        retries: Requests repeated because the one before has failed.
        throttled: Answers that say that there are too many requests: status 429 or 503.
        skipped: Listings that were not asked for: the account lacks the product, or they can't have
            changed.
        seconds: Time spent on the stream, without the time spent on its children.
        listed: Records that the listing has brought.
        expected: Accounts that it was listed for in the last sync, as far as the state tells.
        passed: Records of which all children are done.
    """

    name: str
    records: int = 0
    requests: int = 0
    retries: int = 0
    throttled: int = 0
    skipped: int = 0
    seconds: float = 0.0
    listed: int = 0
    expected: int = 0
    passed: int = 0


_COLUMNS = ("records", "requests", "retries", "throttled", "skipped", "seconds")


class RequestStatistics:
    """Counts the requests of a session for the streams that they belong to.

    A request belongs to the stream that has registered its URL. Calls may come from any thread, but
    must not overlap.
    """

    def __init__(self) -> None:
        """Start without streams."""
        self._streams: dict[str, StreamStatistics] = {}

    def register(self, url: str, stream: StreamStatistics) -> None:
        """Count requests to a URL from now on.

        Args:
            url: The URL without its query.
            stream: The statistics of the stream that sends them.
        """
        self._streams[url] = stream

    def request_sent(self, url: str) -> None:
        """Count a request.

        Args:
            url: The URL without its query.
        """
        if stream := self._streams.get(url):
            stream.requests += 1

    def answer_received(self, url: str, response: requests.Response) -> None:
        """Count the redirects that led to an answer, and an answer that says "too many requests".

        Args:
            url: The URL of the first request, without its query.
            response: The last answer.
        """
        if stream := self._streams.get(url):
            stream.requests += len(response.history)
            stream.throttled += response.status_code in THROTTLED_STATUSES


class SyncProgress:
    """The progress of a sync over all of its streams."""

    def __init__(
        self, streams: Sequence[StreamStatistics] = (), parents: Mapping[str, str] | None = None
    ) -> None:
        """Start the clock.

        Args:
            streams: The statistics of the streams that are synced.
            parents: The name of the parent stream, by the name of each child stream.
        """
        self._streams = streams
        self._parents = parents or {}
        self._by_name = {stream.name: stream for stream in streams}
        self._done: set[str] = set()
        # The stream that is being read, preceded by its parents.
        self._path: list[StreamStatistics] = []
        self._began = self._changed = monotonic()
        # How many listings have been begun, by stream.
        self._listings: Counter[str] = Counter()

    @contextmanager
    def reading(self, stream: StreamStatistics) -> Iterator[None]:
        """Charge the time within this context to a stream.

        Args:
            stream: Its statistics. Contexts of its children may be opened within this one; their
                time is charged to them alone.

        Yields:
            Nothing.
        """
        self._charge()
        self._path.append(stream)
        self._listings[stream.name] += 1
        try:
            yield
        finally:
            self._charge()
            self._path.pop()
            if not self._path:
                # Children are done when their parent is.
                self._done |= {name for name in self._by_name if self._root(name) == stream.name}

    def rows(self) -> list[Row]:
        """Return how far each stream is, and at the end all of them, for a terminal."""
        # This runs in another thread, so the path may change at any time.
        path, now = [stream.name for stream in self._path], monotonic()
        rows = [self._row(stream, path, now) for stream in self._streams]
        records = sum(row.records for row in rows)
        requests = sum(row.requests for row in rows)
        name = f"{len(self._done)}/{len(self._streams)} streams"
        return [*rows, Row(name, records, requests, now - self._began)]

    def _row(self, stream: StreamStatistics, path: Sequence[str], now: float) -> Row:
        name, seconds = stream.name, stream.seconds
        if is_current := path[-1:] == [name]:
            seconds += now - self._changed
        has_begun = name in self._done or self._listings[name] > 0
        accounts = None
        if has_begun and (parent := self._by_name.get(self._parents.get(name, ""))):
            accounts = parent.passed, self._known(parent)
        return Row(
            name,
            stream.records,
            stream.requests,
            seconds if has_begun else None,
            accounts,
            is_current,
        )

    def _known(self, parent: StreamStatistics) -> int:
        expected = [0]
        if parent.name not in self._done:
            expected += [
                stream.expected
                for stream in self._streams
                if self._parents.get(stream.name) == parent.name
            ]
        return max(parent.listed, parent.passed, *expected)

    def report(self) -> str:
        """Return a line of the log that says how far the sync is.

        Returns:
            A line, or nothing if no stream is being read.
        """
        # This runs in another thread, so the path may become empty at any time.
        for stream in self._path[-1:]:
            minutes, seconds = divmod(int(monotonic() - self._began), 60)
            done, count = len(self._done), len(self._streams)
            is_of_account = stream.name in self._parents
            account = f" of account {self._listings[stream.name]:,}" if is_of_account else ""
            records = sum(each.records for each in self._streams)
            requests = sum(each.requests for each in self._streams)
            return (
                f"After {minutes}:{seconds:02}: {records:,} records, {requests:,} requests, "
                f"{done} of {count} streams done; now {stream.name}{account}, "
                f"{stream.records:,} records"
            )
        return ""

    def table(self) -> str:
        """Return the table at the end of the log.

        Returns:
            A header, a line per stream, and a line with the totals.
        """
        totals = (sum(getattr(stream, name) for stream in self._streams) for name in _COLUMNS)
        rows = [("stream", *_COLUMNS)]
        for stream in [*self._streams, StreamStatistics("total", *totals)]:
            *counts, seconds = (getattr(stream, name) for name in _COLUMNS)
            rows.append((stream.name, *counts, f"{seconds:.2f}"))
        # A terminal is 80 wide, and there may be ten million records.
        widths = [10, *(len(name) + 1 for name in _COLUMNS[1:])]
        width_of_names = max(26, *(len(row[0]) for row in rows))
        return "\n".join(
            f"{name:<{width_of_names}}"
            + "".join(f"{n:>{width}}" for n, width in zip(row, widths, strict=True))
            for name, *row in rows
        )

    def _charge(self) -> None:
        now = monotonic()
        for stream in self._path[-1:]:
            stream.seconds += now - self._changed
        self._changed = now

    def _root(self, name: str) -> str:
        while name in self._parents:
            name = self._parents[name]
        return name
