"""The waits of the tap, and how a test does without them.

Whatever a test has to know of how the tap waits is here.
"""

from __future__ import annotations

from threading import Event
from types import SimpleNamespace
from typing import TYPE_CHECKING

from tap_analytics.http import pause
from tap_analytics.http.retries import retry_after
from tap_analytics.http.session import PrefetchingSession

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

DEADLINE = 30.0
"""Seconds after which a test stops waiting for what should have happened."""


def skip_waits_between_tries(patch: pytest.MonkeyPatch) -> list[float]:
    """Let retries come at once.

    Args:
        patch: Undoes it.

    Returns:
        The waits that are skipped, in seconds. It grows.
    """
    seconds: list[float] = []
    patch.setattr("backoff._sync.time", SimpleNamespace(sleep=seconds.append))
    return seconds


def shorten_pauses(patch: pytest.MonkeyPatch, factor: float) -> None:
    """Shorten the time for which a throttled API holds back all requests.

    Args:
        patch: Undoes it.
        factor: What is left of it.
    """
    patch.setattr(
        "tap_analytics.http.throttle.retry_after", lambda reply: retry_after(reply) * factor
    )
    longest = pause.LONGEST_PAUSE
    patch.setattr(pause, "LONGEST_PAUSE", longest * factor)


def send_nothing_ahead(patch: pytest.MonkeyPatch) -> None:
    """Let each request be sent only when its answer is needed.

    Args:
        patch: Undoes it.
    """
    patch.setattr(PrefetchingSession, "hint", lambda *_: None)


def send_ahead_on_loopback(patch: pytest.MonkeyPatch) -> None:
    """Let requests be sent ahead although answers come at once.

    Args:
        patch: Undoes it.
    """
    patch.setattr("tap_analytics.http.throttle.NOTICEABLE", 0.0)


def shorten_request_timeout(patch: pytest.MonkeyPatch, seconds: float) -> None:
    """Set the timeout of a request to less than the setting allows.

    Args:
        patch: Undoes it.
        seconds: The timeout.
    """
    patch.setattr("tap_analytics.singer.client.ApiStream.timeout", seconds)


def look_at_the_clock_every(patch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let each look at the clock of a response be that much later than the last one.

    Args:
        patch: Undoes it.
        seconds: The time between two looks.
    """
    now = 0.0

    def tick() -> float:
        nonlocal now
        now += seconds
        return now

    patch.setattr("tap_analytics.http.transport.monotonic", tick)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what nobody announces.

    Args:
        condition: Whether it has happened. It is asked a thousand times a second.
    """
    never = Event()
    for _ in range(round(1000 * DEADLINE)):
        if condition():
            return
        never.wait(0.001)
    message = "what was waited for has not happened"
    raise AssertionError(message)
