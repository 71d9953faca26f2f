"""How far a sync has come, and what to."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import requests

    from tap_analytics.singer.stream import AnalyticsStream


@dataclass(slots=True)
class Tally:
    """What a stream has come to.

    Attributes:
        records: Records emitted, after stream maps.
        requests: Requests sent, also those that were sent ahead and turned out not to be needed.
        retries: Requests repeated because the one before has failed.
        refusals: Answers that say that the API is asked for too much: status 429 or 503.
        seconds: Time spent on the stream, without that on its children.
    """

    records: int = 0
    requests: int = 0
    retries: int = 0
    refusals: int = 0
    seconds: float = 0.0


class TallyObserver:
    """Counts requests and answers in the tally of the stream whose URL they have."""

    def __init__(self) -> None:
        """Begin without tallies."""
        self.tallies: dict[str, Tally] = {}

    def request_sent(self, url: str) -> None:
        """Count a request, see `RequestObserver`."""
        if tally := self.tallies.get(url):
            tally.requests += 1

    def answer_received(self, url: str, response: requests.Response) -> None:
        """Count an answer, see `RequestObserver`."""
        if tally := self.tallies.get(url):
            tally.requests += len(response.history)
            tally.refusals += response.status_code in {429, 503}


class Progress:
    """How far a sync has come."""

    def __init__(self, streams: Sequence[AnalyticsStream] = ()) -> None:
        """Begin with nothing.

        Args:
            streams: The streams that are read.
        """
        self._streams = streams
        self._done = 0
        # The one being read, and before it those that it is read for.
        self._path: list[AnalyticsStream] = []
        self._began = self._changed = monotonic()

    @contextmanager
    def on(self, stream: AnalyticsStream) -> Iterator[None]:
        """Take note that a stream is being read; within it, others may be.

        Args:
            stream: The stream.

        Yields:
            Nothing.
        """
        self._charge()
        self._path.append(stream)
        try:
            yield
        finally:
            self._charge()
            self._path.pop()
            if not self._path:
                self._done += sum(
                    read in {stream, *stream.descendent_streams} for read in self._streams
                )

    def _charge(self) -> None:
        now = monotonic()
        for stream in self._path[-1:]:
            stream.tally.seconds += now - self._changed
        self._changed = now

    def line(self) -> str:
        """Say how far it has come.

        Returns:
            A line about the stream that is being read, or nothing if none is.
        """
        # A slice, as this is called from another thread.
        for stream in self._path[-1:]:
            minutes, seconds = divmod(int(monotonic() - self._began), 60)
            return (
                f"{stream.name}: {stream.tally.records:,} records, {stream.tally.requests:,} "
                f"requests; {self._done}/{len(self._streams)} streams, {minutes}:{seconds:02}"
            )
        return ""

    def table(self) -> str:
        """Say what it has come to.

        Returns:
            A table with a line for each stream and one for all of them.
        """
        tallies = [(stream.name, stream.tally) for stream in self._streams]
        columns = zip(*(astuple(tally) for _, tally in tallies), strict=True)
        lines = [f"{'stream':<26}" + "".join(f"{field.name:>10}" for field in fields(Tally))]
        for name, tally in [*tallies, ("total", Tally(*map(sum, columns)))]:
            *counts, seconds = astuple(tally)
            lines.append(f"{name:<26}{''.join(f'{n:>10}' for n in counts)}{seconds:>10.2f}")
        return "\n".join(lines)
