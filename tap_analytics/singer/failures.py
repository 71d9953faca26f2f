"""What could not be read: lines and counts, never exceptions with their tracebacks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from tap_analytics.exceptions import UnauthorizedError, UnavailableError, UnreachableError
from tap_analytics.log.wording import listed

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_IN_A_ROW = 3
"""How many listings in a row may use up their retries before an API is given up."""

MAX_NAMED = 10
"""How many failed accounts of a stream are named."""


class ApiFailures:
    """Decides when an API is given up.

    Attributes:
        reason: Why it is given up, in one line, or None.
        stream: The name of the stream that could not be read then, or None.
    """

    def __init__(self) -> None:
        """Start with an API that is fine."""
        self.reason: str | None = None
        self.stream: str | None = None
        self._in_a_row = 0
        self._unread: dict[str, None] = {}

    def listing_read(self) -> None:
        """Note a listing that was read to its end."""
        self._in_a_row = 0

    def listing_failed(self, stream: str, error: Exception) -> None:
        """Note a listing that can't be read.

        Args:
            stream: The name of its stream.
            error: Why. Its text is the line that is shown if the API is given up.
        """
        self._in_a_row = self._in_a_row + 1 if isinstance(error, UnavailableError) else 0
        is_hopeless = isinstance(error, UnauthorizedError | UnreachableError)
        if self.reason is None and (is_hopeless or self._in_a_row >= MAX_IN_A_ROW):
            self.reason, self.stream = str(error), stream
            if not is_hopeless:
                self.reason += f"; {MAX_IN_A_ROW} listings in a row have failed"

    def stream_unread(self, stream: str) -> None:
        """Note a stream that is not, or not wholly, read as the API is given up.

        Args:
            stream: The name of the stream.
        """
        self._unread[stream] = None

    @property
    def line(self) -> str | None:
        """One line about an API that is given up, which names the streams that are incomplete."""
        if self.reason is None:
            return None
        others = [stream for stream in self._unread if stream != self.stream]
        return f"{self.reason}; also not read: {listed(others)}" if others else self.reason


class StreamFailures:
    """What could not be read of one stream."""

    def __init__(self, stream: str, api: ApiFailures, log: Callable[..., None]) -> None:
        """Start with nothing.

        Args:
            stream: The name of the stream.
            api: What could not be read of its API.
            log: Logs a message of the stream, as `Stream.log` does.
        """
        self._is_cut_short = False
        self._stream = stream
        self._api = api
        self._log = log
        self._lines: list[str] = []
        self._count = 0
        self._in_a_row = 0

    def __bool__(self) -> bool:
        """Return whether something could not be read."""
        return self._count > 0 or self._is_cut_short

    @property
    def is_down(self) -> bool:
        """Whether the last listings have used up their retries, so that more would only cost time.

        An endpoint may be down while others answer. Each of its accounts would take all retries.
        """
        return self._in_a_row >= MAX_IN_A_ROW

    def listing_read(self) -> None:
        """Note a listing that was read to its end."""
        self._in_a_row = 0
        self._api.listing_read()

    def add(self, error: Exception, line: str) -> None:
        """Note a listing that could not be read.

        Args:
            error: Why.
            line: Which listing it is and why, in one line.
        """
        self._in_a_row = self._in_a_row + 1 if isinstance(error, UnavailableError) else 0
        self._api.listing_failed(self._stream, error)
        if self._api.reason is not None:
            self.cut_short()
            self._log("%s; nothing more is asked of this API", line, level=logging.WARNING)
        else:
            self.add_line(line)
            self._log("%s; everything else goes on", line, level=logging.WARNING)
        self._log("This is where it happened", level=logging.DEBUG, exc_info=error)

    def add_line(self, line: str) -> None:
        """Add a line to show at the end.

        Args:
            line: What could not be read, and why.
        """
        self._count += 1
        if len(self._lines) < MAX_NAMED:
            self._lines.append(line)

    def cut_short(self) -> None:
        """Note that the rest is not asked for, as the API is given up."""
        self._is_cut_short = True
        self._api.stream_unread(self._stream)

    @property
    def lines(self) -> list[str]:
        """A line for each of the first failures, and one that counts the others."""
        more = self._count - len(self._lines)
        rest = [f"{self._stream}: and {more:,} more of its listings"] if more else []
        return [*self._lines, *rest]
