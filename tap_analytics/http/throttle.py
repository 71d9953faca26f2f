"""How fast requests to an API may be sent: what it says, and what it shows."""

from __future__ import annotations

import logging
from time import monotonic
from typing import TYPE_CHECKING

import requests

from tap_analytics.http.pause import Pause
from tap_analytics.http.quota import Quota
from tap_analytics.http.retries import (
    MAX_RETRY_AFTER,
    RETRIED_ERRORS,
    RETRIED_STATUSES,
    THROTTLED_STATUSES,
    retry_after,
)
from tap_analytics.http.round_trips import RoundTrips
from tap_analytics.http.window import Ticket, Window

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

NOTICEABLE = 0.002
"""The time to an answer, in seconds, from which on a request is worth sending ahead. To hand over a
response from thread to thread takes about half a millisecond of the interpreter's time."""

FIRST_PAUSE = 1.0
"""The first pause, in seconds, after a throttled request that doesn't say how long to wait."""

LONG_WAIT = 10.0
"""The wait for the reset of a rate limit, in seconds, from which on it is worth a line."""


class Throttle:
    """How fast requests to one API may be sent. Not safe for threads: its user holds a lock."""

    def __init__(
        self,
        limit: int,
        *,
        first_pause: float = FIRST_PAUSE,
        clock: Callable[[], float] = monotonic,
        warn: Callable[..., None] = logger.warning,
    ) -> None:
        """Start slowly.

        Args:
            limit: The most requests in flight.
            first_pause: The first pause, in seconds, if the API doesn't say how long to wait.
            clock: Returns seconds.
            warn: Called with a format and its values when all requests have to wait.
        """
        self._clock = clock
        self._warn = warn
        self._told_until = 0.0
        self._window = Window(limit)
        self._pause = Pause(first_pause)
        self._quota = Quota()
        self._round_trips = RoundTrips()
        self._in_flight = 0
        self._last_sent = -1

    @property
    def window(self) -> int:
        """The most requests in flight."""
        return self._window.size

    def is_noticeable_at(self, url: str | None) -> bool:
        """Return whether it is worth sending a request ahead.

        Args:
            url: The URL of the request.

        Returns:
            True if answers from there take long enough, or none has come.
        """
        return self._round_trips.at(url) >= NOTICEABLE

    def delay(self) -> float | None:
        """Return when the next request may be sent.

        Returns:
            Seconds from now, or None if a request in flight must be answered first.
        """
        now = self._clock()
        # After a pause, one request finds out whether it is over.
        window = self._window.size if self._pause.is_over else 1
        quota = self._quota.left(now)
        if self._in_flight >= min(window, max(quota, 1)):
            return None
        reset = self._quota.resets_at if quota < 1 else 0.0
        self._tell(now, reset)
        return max(0.0, self._pause.ends_at() - now, reset - now)

    def _tell(self, now: float, reset: float) -> None:
        """Say once that all requests wait for a reset, if that takes long."""
        if reset - now >= LONG_WAIT and now >= self._told_until:
            self._told_until = reset
            self._warn("the rate limit is used up; all wait %.0f s, until it is reset", reset - now)

    def sent(self) -> Ticket:
        """Note that a request is being sent.

        Returns:
            What `came_back` asks for.
        """
        self._in_flight += 1
        self._last_sent += 1
        self._pause.sent(self._clock())
        return Ticket(self._last_sent, self._in_flight)

    def came_back(self, ticket: Ticket, outcome: requests.Response | BaseException) -> None:
        """Note the outcome of a request.

        Args:
            ticket: What `sent` has returned.
            outcome: The response, or why there is none.
        """
        self._in_flight -= 1
        if isinstance(outcome, requests.Response):
            self._quota.read(outcome, self._clock())
            if outcome.ok:
                self._window.grow(ticket)
                if self._pause.answered(ticket.number, self._clock()):
                    self._window.forgive()
                self._round_trips.add(outcome)
                return
            if outcome.status_code in THROTTLED_STATUSES:
                self._hold_back(ticket, retry_after(outcome))
            if outcome.status_code not in RETRIED_STATUSES:
                return
        elif not isinstance(outcome, RETRIED_ERRORS):
            return
        self._window.shrink(ticket, self._in_flight, self._last_sent)

    def _hold_back(self, ticket: Ticket, asked: float) -> None:
        # The reader fails with this answer. Other requests don't wait that long.
        if asked > MAX_RETRY_AFTER:
            return
        pause = self._pause.throttled(
            ticket.number,
            self._clock(),
            asked=asked,
            in_flight=self._in_flight,
            last_sent=self._last_sent,
        )
        if pause:
            self._warn("the API answers that there are too many requests; all wait %g s", pause)
