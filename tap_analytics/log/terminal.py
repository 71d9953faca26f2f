"""The progress line below the log on a terminal."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import suppress
from time import sleep
from typing import TYPE_CHECKING, Any, TextIO

from tap_analytics.threads import start_without_signals

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

INTERVAL = 0.2
"""Seconds between two updates of the line."""

PATIENCE = 0.1
"""Seconds that the end of a sync waits for a terminal that is held back (Ctrl-S)."""


class StatusLine:
    """A line below the log on a terminal. The next line of the log replaces it.

    It uses no escape sequences, so any terminal will do.
    """

    def __init__(self, terminal: TextIO, text: Callable[[], str]) -> None:
        """Create the line; it is not shown yet.

        Args:
            terminal: The stream that the log is written to.
            text: Returns the text of the line; called from another thread.
        """
        self._terminal = terminal
        self._text = text
        self._handlers: list[logging.StreamHandler[Any]] = []
        # A signal handler runs in a thread that may hold the lock already.
        self._lock = threading.RLock()
        self._shown = ""
        self._is_over = False

    def __enter__(self) -> Self:
        """Show the line from now on."""
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is self._terminal:
                handler.setStream(self)
                self._handlers.append(handler)
        with suppress(RuntimeError):  # The system has no more threads; the line is not shown.
            start_without_signals(threading.Thread(target=self._show, name="status", daemon=True))
        return self

    def __exit__(self, *_: object) -> None:
        """Clear the line and give the terminal back to the log."""
        self.end()
        for handler in self._handlers:
            handler.setStream(self._terminal)

    def end(self) -> None:
        """Clear the line for good. Signal handlers may call this."""
        self._is_over = True
        # While a terminal is held back, the other thread waits for it with the lock.
        if self._lock.acquire(timeout=PATIENCE):
            try:
                self._put("")
            finally:
                self._lock.release()

    def write(self, text: str) -> int:
        """Write lines of the log in place of the line.

        Args:
            text: Whole lines.

        Returns:
            The number of characters.
        """
        with self._lock:
            self._put("")
            return self._terminal.write(text)

    def flush(self) -> None:
        """Flush the log."""
        self._terminal.flush()

    def _show(self) -> None:
        while True:
            with self._lock:
                if self._is_over:
                    return
                self._put(self._text())
            sleep(INTERVAL)

    def _put(self, text: str) -> None:
        # The sync goes on without a terminal.
        with suppress(OSError):
            number = self._terminal.fileno()
            # A full line would wrap.
            text = text[: (os.get_terminal_size(number).columns or 80) - 1]
            if text != self._shown:
                # `os.write` bypasses the buffer of the stream, which a signal may have interrupted.
                # The cursor returns to the beginning, so that whatever a target or a shell writes
                # replaces the line.
                os.write(number, f"\r{text:<{len(self._shown)}}\r".encode())
                self._shown = text


def status_line(output: TextIO | None, text: Callable[[], str]) -> StatusLine | None:
    """Return a line below the log if the log is on a terminal.

    Args:
        output: Standard error, or None if it is closed.
        text: Returns the text of the line; called from another thread.

    Returns:
        The line, which is not shown yet, or None.
    """
    if output is None or not output.isatty() or os.environ.get("TERM") == "dumb":
        return None
    return StatusLine(output, text)
