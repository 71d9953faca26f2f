"""The waits of the tap, and how a test does without them.

Whatever a test has to know of how the tap waits is here.
"""

from __future__ import annotations

from array import array
from contextlib import contextmanager
from fcntl import ioctl
from termios import FIONREAD
from threading import Condition, Event
from types import SimpleNamespace
from typing import IO, TYPE_CHECKING

from tap_analytics.http import pause
from tap_analytics.http.retries import retry_after
from tap_analytics.http.session import PrefetchingSession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

    from tap_analytics.sandbox import Reply, Request, Sandbox

DEADLINE = 30.0
"""Seconds after which a test stops waiting for what should have happened."""

QUIET = 0.05
"""Seconds without a new request after which a client waits for answers."""

MOST_OF_A_PIPE = 60_000
"""What a pipe nobody reads from holds at least. On Linux it takes 65,536 bytes, or a page less."""


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


def unread_bytes(pipe: IO[bytes] | None) -> int:
    """Return how much a pipe holds.

    Args:
        pipe: The end to read from.
    """
    assert pipe
    count = array("i", [0])
    ioctl(pipe.fileno(), FIONREAD, count)
    return count[0]


@contextmanager
def answers_held_back(sandbox: Sandbox) -> Iterator[list[int]]:
    """Answer only when no further request comes.

    Args:
        sandbox: The server.

    Yields:
        How many requests were in flight as each arrived. It grows.
    """
    changed, in_flight, counts = Condition(), [0], list[int]()
    answer = sandbox.intercept

    def hold(request: Request) -> Reply | None:
        with changed:
            in_flight[0] += 1
            counts.append(in_flight[0])
            changed.notify_all()
            while changed.wait(QUIET):
                pass
        reply = answer(request) if answer else None
        with changed:
            in_flight[0] -= 1
        return reply

    sandbox.intercept = hold
    yield counts
    sandbox.intercept = answer
