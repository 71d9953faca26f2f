"""What somebody sees who watches the log on a terminal."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import nullcontext, suppress
from time import sleep
from typing import TYPE_CHECKING, Any, TextIO

from tap_analytics.threads import start_without_signals

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import Self

INTERVAL = 0.2
"""Seconds between two looks at what the line is to say."""

PATIENCE = 0.1
"""Seconds that the end of a sync waits for a terminal that takes nothing."""


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


def status_line(
    output: TextIO | None, text: Callable[[], str]
) -> AbstractContextManager[StatusLine | None]:
    """Show a line below the log, where there is a terminal.

    Args:
        output: Standard error, None if it is closed.
        text: What the line is to say; called from another thread.

    Returns:
        The context in which it is shown.
    """
    if output is None or not output.isatty() or os.environ.get("TERM") == "dumb":
        return nullcontext()
    return StatusLine(output, text)
