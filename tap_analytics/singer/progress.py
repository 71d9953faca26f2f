"""How far a sync is while it runs."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from tap_analytics.log.row import Row

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tap_analytics.singer.statistics import StreamStatistics


class SyncProgress:
    """The progress of a sync over all of its streams.

    Attributes:
        streams: The statistics of the streams that are synced.
    """

    def __init__(
        self, streams: Sequence[StreamStatistics] = (), parents: Mapping[str, str] | None = None
    ) -> None:
        """Start the clock.

        Args:
            streams: The statistics of the streams that are synced.
            parents: The name of the parent stream, by the name of each child stream.
        """
        self.streams = streams
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
        rows = [self._row(stream, path, now) for stream in self.streams]
        records = sum(row.records for row in rows)
        requests = sum(row.requests for row in rows)
        name = f"{len(self._done)}/{len(self.streams)} streams"
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
                for stream in self.streams
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
            done, count = len(self._done), len(self.streams)
            is_of_account = stream.name in self._parents
            account = f" of account {self._listings[stream.name]:,}" if is_of_account else ""
            records = sum(each.records for each in self.streams)
            requests = sum(each.requests for each in self.streams)
            return (
                f"After {minutes}:{seconds:02}: {records:,} records, {requests:,} requests, "
                f"{done} of {count} streams done; now {stream.name}{account}, "
                f"{stream.records:,} records"
            )
        return ""

    def _charge(self) -> None:
        now = monotonic()
        for stream in self._path[-1:]:
            stream.seconds += now - self._changed
        self._changed = now

    def _root(self, name: str) -> str:
        while name in self._parents:
            name = self._parents[name]
        return name
