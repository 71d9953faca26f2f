"""What a sync has come to: a table in the log at its end, and a line on a terminal meanwhile."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import astuple, dataclass, fields
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, TextIO

from tap_analytics.prefetch import start_without_signals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from typing import Self

    from tap_analytics.replication import AnalyticsStream

INTERVAL = 0.2
"""Seconds between two looks of the line on a terminal."""

PATIENCE = 0.1
"""Seconds that the end of a sync waits for a terminal that takes nothing."""


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


class StatusLine:
    """A line on a terminal below the log, in place of which the next line of the log is written.

    Neither escape sequences nor a capable terminal are needed for it.
    """

    def __init__(self, terminal: TextIO, text: Callable[[], str]) -> None:
        """Create the line; nothing is shown yet.

        Args:
            terminal: Where the log is written.
            text: What the line is to say; called from another thread.
        """
        self._terminal = terminal
        self._text = text
        self._handlers: list[logging.StreamHandler[Any]] = []
        # A signal may come while the thread that handles it holds the lock.
        self._lock = threading.RLock()
        self._shown = ""
        self._is_over = False

    def __enter__(self) -> Self:
        """Show the line from now on."""
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is self._terminal:
                handler.setStream(self)
                self._handlers.append(handler)
        with suppress(RuntimeError):  # No thread is to be had, so there is no line.
            start_without_signals(threading.Thread(target=self._show, name="status", daemon=True))
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the terminal as if nothing had been there."""
        self.end()
        for handler in self._handlers:
            handler.setStream(self._terminal)

    def end(self) -> None:
        """Clear the line for good. For signal handlers, too."""
        self._is_over = True
        # A terminal that is held back (Ctrl-S) may have the other thread wait, with the lock.
        if self._lock.acquire(timeout=PATIENCE):
            try:
                self._put("")
            finally:
                self._lock.release()

    def write(self, text: str) -> int:
        """Write what the log says.

        Args:
            text: Whole lines.

        Returns:
            How many characters there were.
        """
        with self._lock:
            self._put("")
            return self._terminal.write(text)

    def flush(self) -> None:
        """Flush what the log says."""
        self._terminal.flush()

    def _show(self) -> None:
        while True:
            with self._lock:
                if self._is_over:
                    return
                self._put(self._text())
            sleep(INTERVAL)

    def _put(self, text: str) -> None:
        # A terminal that has gone is no reason to stop.
        with suppress(OSError):
            number = self._terminal.fileno()
            # A full line would go on in the next one.
            text = text[: (os.get_terminal_size(number).columns or 80) - 1]
            if text != self._shown:
                # Past the terminal's buffer, which a signal may have interrupted. With the cursor
                # at its beginning, whatever else is written there begins there: by a target, or by
                # a shell.
                os.write(number, f"\r{text:<{len(self._shown)}}\r".encode())
                self._shown = text


def live(progress: Progress, output: TextIO | None) -> AbstractContextManager[StatusLine | None]:
    """Show how far a sync has come, where there is a terminal.

    Args:
        progress: The progress of the sync.
        output: Standard error, None if it is closed.

    Returns:
        The context in which it is shown.
    """
    if output is None or not output.isatty() or os.environ.get("TERM") == "dumb":
        return nullcontext()
    return StatusLine(output, progress.line)
