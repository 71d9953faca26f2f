"""How many requests at a time, and how far apart: what a server shows that it likes."""

from __future__ import annotations

import logging
from http import HTTPStatus
from time import monotonic
from typing import TYPE_CHECKING

from tap_analytics.http.retries import MAX_RETRY_AFTER, retry_after

if TYPE_CHECKING:
    import requests

logger = logging.getLogger(__name__)

THROTTLED = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
"""What a server answers that is asked for too much."""

CALM = 100
"""How many answers after a refusal make the next one a first one again."""

LONGEST_GAP = 5.0
"""The largest distance between requests, in seconds."""

RECOVERY = 0.95
"""By how much each answer shortens the distance between requests that a refusal has put there."""

SHORTEST_GAP = 0.001
"""The distance, in seconds, from which on none is kept."""

NOTICEABLE = 0.002
"""The time to an answer, in seconds, from which on it is worth sending requests ahead: handing a
response from thread to thread takes about half a millisecond of the interpreter's time."""


class Throttle:
    """The pace of requests to one API. Not safe for threads: its user holds a lock.

    A window limits the requests in flight: it starts at 1, doubles with each page that is
    answered, up to a limit, and halves with each refusal. A `Retry-After` holds back all requests
    until then. If the server soon refuses again, requests keep the distance at which it has
    answered in between; each answer shortens it a little, to find out whether that still holds.

    Attributes:
        window: How many requests may be in flight.
    """

    def __init__(self, limit: int) -> None:
        """Start slowly.

        Args:
            limit: The largest window.
        """
        self.window = 1
        self._limit = limit
        self._in_flight = 0
        self._next_at = 0.0
        self._gap = 0.0
        self._since: float | None = None
        self._round_trip: float | None = None
        self._answered = 0

    @property
    def is_noticeable(self) -> bool:
        """Whether answers take long enough for requests to be sent ahead, as far as is known."""
        return self._round_trip is None or self._round_trip >= NOTICEABLE

    def delay(self) -> float | None:
        """Tell when the next request may be sent.

        Returns:
            Seconds from now, or None if one has to come back first.
        """
        if self._in_flight >= self.window:
            return None
        return max(0.0, self._next_at - monotonic())

    def sent(self) -> None:
        """Take note that a request is being sent."""
        self._in_flight += 1
        if self._gap:
            self._next_at = monotonic() + self._gap

    def came_back(self, outcome: requests.Response | BaseException) -> None:
        """Take note of what has become of a request.

        Args:
            outcome: The response, or why there is none.
        """
        self._in_flight -= 1
        if isinstance(outcome, BaseException):
            return
        if outcome.status_code in THROTTLED:
            self._slow_down(retry_after(outcome))
        elif outcome.ok:
            self._speed_up()
            # The shortest of late: others may have waited for the interpreter, not the server.
            self._round_trip = min(
                outcome.elapsed.total_seconds(), 1.1 * (self._round_trip or float("inf"))
            )

    def _speed_up(self) -> None:
        self.window = min(2 * self.window, self._limit)
        self._answered += 1
        self._gap = self._gap * RECOVERY if self._gap > SHORTEST_GAP else 0.0

    def _slow_down(self, pause: float) -> None:
        self.window = max(1, self.window // 2)
        now = monotonic()
        # Whoever asks for the page will be told that this is too long.
        if not 0 < pause <= MAX_RETRY_AFTER:
            return
        # Requests that were in flight with the one that was refused first are refused with it.
        if self._since is None or now >= self._since:
            logger.warning("The API refuses more requests; all to it wait for %g s", pause)
            if self._since is not None and 0 < self._answered < CALM:
                period = now - self._since + pause
                self._gap = min(period / self._answered, pause, LONGEST_GAP)
        self._next_at = max(self._next_at, now + pause)
        self._since = self._next_at
        self._answered = 0
