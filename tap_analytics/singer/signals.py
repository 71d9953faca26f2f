"""How a signal ends the tap."""

from __future__ import annotations

import logging
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

logger = logging.getLogger(__name__)

_FIRST_STATUS = 128
"""What a shell adds to the number of a signal that has ended a command."""


def end_on_signals(end: Callable[[int], None]) -> None:
    """Let SIGINT and SIGTERM end the process with the status that a scheduler expects.

    The SDK's handler ends with status 0, which is taken for success, and writes a state though it
    may have interrupted a write.

    Args:
        end: Called with the exit status; raises `SystemExit` at once or when a message is whole.
    """

    def handle(number: int, _: FrameType | None) -> None:
        # What is interrupted before it is whole can't be closed, which no longer matters.
        sys.unraisablehook = lambda _: None
        end(_FIRST_STATUS + number)

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, handle)
    except ValueError:
        logger.debug("Only the main thread handles signals")
