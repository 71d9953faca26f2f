"""The rows below the log on a terminal.

`rich` draws them, and nothing else: its own display holds a lock while it writes, so on a terminal
that is held back (Ctrl-S) its end waits without end, and a tap that is killed leaves no cursor.
"""

from __future__ import annotations

import logging
import os
import threading
from contextlib import suppress
from itertools import count
from time import sleep
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from tap_analytics.threads import start_without_signals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self

    from tap_analytics.log.row import Row

TICK = 0.1
"""Seconds until rows that a line of the log has replaced are back."""

TICKS = 5
"""After how many ticks the rows are drawn anew."""

PATIENCE = 0.1
"""Seconds that the end of a sync waits for a terminal that is held back (Ctrl-S)."""

# The cursor rests at the beginning of the first row. So this needs to know neither how many rows
# there are nor how a terminal that has become narrower wraps them, and whatever a target or a shell
# writes replaces the rows.
_CLEAR = b"\r\x1b[J"
_CLEAR_REST_OF_LINE = "\x1b[K"

_NO_TERMINALS = {"", "dumb", "unknown"}


class Drawing(Protocol):
    """What stands below the log."""

    def draw(self, width: int, height: int) -> Sequence[str]:
        """Return lines of at most `width` characters, and at most `height` of them."""


class RowsBelow:
    """Rows below the log on a terminal. The next line of the log replaces them for a moment."""

    def __init__(self, terminal: TextIO, drawing: Drawing) -> None:
        """Create the rows; they are not shown yet.

        Args:
            terminal: The stream that the log is written to.
            drawing: Draws the rows; called from another thread.
        """
        self._terminal = terminal
        self._drawing = drawing
        self._handlers: list[logging.StreamHandler[Any]] = []
        # A signal handler runs in a thread that may hold the lock already.
        self._lock = threading.RLock()
        self._shown = b""
        self._is_over = False

    def __enter__(self) -> Self:
        """Show the rows from now on."""
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is self._terminal:
                handler.setStream(self)
                self._handlers.append(handler)
        with suppress(RuntimeError):  # The system has no more threads; the rows are not shown.
            start_without_signals(threading.Thread(target=self._show, name="rows", daemon=True))
        return self

    def __exit__(self, *_: object) -> None:
        """Clear the rows and give the terminal back to the log."""
        self.end()
        for handler in self._handlers:
            handler.setStream(self._terminal)

    def end(self) -> None:
        """Clear the rows for good. Signal handlers may call this."""
        self._is_over = True
        # While a terminal is held back, the other thread waits for it with the lock.
        if self._lock.acquire(timeout=PATIENCE):
            try:
                self._put(b"")
            finally:
                self._lock.release()

    def write(self, text: str) -> int:
        """Write lines of the log in place of the rows.

        Args:
            text: Whole lines.

        Returns:
            The number of characters.
        """
        with self._lock:
            self._put(b"")
            return self._terminal.write(text)

    def flush(self) -> None:
        """Flush the log."""
        self._terminal.flush()

    def _show(self) -> None:
        rows = b""
        for tick in count():
            if tick % TICKS == 0:
                # Not with the lock: a signal handler may wait for it.
                rows = self._draw()
            with self._lock:
                if self._is_over:
                    return
                self._put(rows)
            sleep(TICK)

    def _draw(self) -> bytes:
        """Draw the rows in the size that the terminal has now."""
        # The terminal may be closed after the end. That is a ValueError.
        with suppress(OSError, ValueError):
            size = os.get_terminal_size(self._terminal.fileno())
            # A full line would wrap, and a full screen scroll.
            width, height = (size.columns or 80) - 1, (size.lines or 24) - 1
            lines = self._drawing.draw(max(1, width), max(1, height))
            back = f"\x1b[{len(lines) - 1}A" if len(lines) > 1 else ""
            text = f"{_CLEAR_REST_OF_LINE}\r\n".join(lines)
            text = f"\r{text}\x1b[J\r{back}" if lines else ""
            return text.encode(self._terminal.encoding or "utf-8", errors="replace")
        return b""

    def _put(self, rows: bytes) -> None:
        if rows == self._shown:
            return
        # The sync goes on without a terminal.
        with suppress(OSError):
            number = self._terminal.fileno()
            if _is_in_background(number):
                # The terminal is the shell's now, and may even stop what writes to it.
                self._shown = b""
                return
            # `os.write` bypasses the buffer of the stream, which a signal may have interrupted.
            rest = rows or _CLEAR
            while rest:
                rest = rest[os.write(number, rest) :]
            self._shown = rows


def _is_in_background(terminal: int) -> bool:
    try:
        foreground = os.tcgetpgrp(terminal)
    except OSError:  # Nobody has this terminal for the one that signals come from.
        return False
    # In a container the foreground may be unknown, which is 0.
    return foreground not in {0, os.getpgrp()}


def rows_below(output: TextIO | None, rows: Callable[[], Sequence[Row]]) -> RowsBelow | None:
    """Return rows below the log if the log is on a terminal that can show them.

    Args:
        output: Standard error, or None if it is closed.
        rows: Returns the rows; called from another thread.

    Returns:
        The rows, which are not shown yet, or None.
    """
    if output is None or not output.isatty() or os.environ.get("TERM", "") in _NO_TERMINALS:
        return None
    # Only a terminal needs it, and it takes long to import.
    from tap_analytics.log.rows import Rows  # noqa: PLC0415

    return RowsBelow(output, Rows(output, rows))
