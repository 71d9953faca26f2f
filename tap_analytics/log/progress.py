"""How far a sync is, in the log, where no terminal shows it."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from tap_analytics.threads import start_without_signals

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

INTERVAL = 10.0
"""Seconds between two lines."""

logger = logging.getLogger(__name__)


class ProgressLog:
    """A line in the log every ten seconds, also while the sync waits for an answer."""

    def __init__(
        self, text: Callable[[], str], wait: Callable[[float], bool] | None = None
    ) -> None:
        """Create the log; nothing is written yet.

        Args:
            text: Returns the line, or nothing; called from another thread.
            wait: Waits for a number of seconds, and returns whether the sync has ended meanwhile.
        """
        self._text = text
        self._wait = wait or self._wait_for_end
        self._is_over = False
        # An event has a lock, which a signal handler might wait for without end. This has none.
        self._ended: SimpleQueue[None] = SimpleQueue()

    def __enter__(self) -> Self:
        """Write a line every ten seconds from now on."""
        # A daemon: the end of the process does not wait for it.
        thread = threading.Thread(target=self._write, name="progress", daemon=True)
        with suppress(RuntimeError):  # The system has no more threads; there are no lines.
            start_without_signals(thread)
        return self

    def __exit__(self, *_: object) -> None:
        """Write no more."""
        self.end()

    def end(self) -> None:
        """Write no more. Signal handlers may call this."""
        self._is_over = True
        self._ended.put(None)

    def _wait_for_end(self, seconds: float) -> bool:
        with suppress(Empty):
            self._ended.get(timeout=seconds)
        return self._is_over

    def _write(self) -> None:
        while not self._wait(INTERVAL):
            if text := self._text():
                logger.info("%s", text)
