"""Threads that leave signals to the main thread."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading

_SIGNALS = {signal.SIGINT, signal.SIGTERM}


def start_without_signals(thread: threading.Thread) -> None:
    """Start a thread that receives no signals, so that each one wakes the main thread.

    Args:
        thread: The thread.

    Raises:
        RuntimeError: If the system has no more threads.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        thread.start()
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        thread.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
