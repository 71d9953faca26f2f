"""The rate limit that an API announces before it throttles."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from math import inf
from typing import TYPE_CHECKING

from tap_analytics.http.retries import MAX_RETRY_AFTER

if TYPE_CHECKING:
    import requests

_EPOCH = 1e9
"""A `Reset` that is larger is a moment, in seconds since 1970. A smaller one is a duration."""

_ROUNDING = 2.0
"""The most seconds by which responses may differ about the moment of the reset."""


class Quota:
    """How many requests are left until the API's rate limit is reset.

    The headers are `X-RateLimit-Remaining` and `X-RateLimit-Reset`. Without both of them there is
    no limit.

    Attributes:
        resets_at: When the limit is reset, by the throttle's clock.
    """

    def __init__(self) -> None:
        """Begin without a limit."""
        self.resets_at = 0.0
        self._left = inf

    def left(self, now: float) -> float:
        """Return how many requests may still be in flight until the reset.

        Args:
            now: The present, by the throttle's clock.
        """
        return self._left if now < self.resets_at else inf

    def read(self, response: requests.Response, now: float) -> None:
        """Note the headers of a response.

        Args:
            response: The response, of any status.
            now: The present, by the throttle's clock.
        """
        headers = response.headers
        remaining = _number(headers.get("X-RateLimit-Remaining"))
        reset = _number(headers.get("X-RateLimit-Reset"))
        if remaining is None or reset is None:
            return
        wait = reset - _date(response) if reset > _EPOCH else reset
        # Longer waits are ignored.
        if 0 < wait <= MAX_RETRY_AFTER:
            resets_at = now + wait
            # Responses may overtake each other: the fewest that are left count until the reset.
            is_same = now < self.resets_at and resets_at < self.resets_at + _ROUNDING
            self._left = min(remaining, self._left) if is_same else remaining
            self.resets_at = resets_at


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if 0 <= number < inf else None


def _date(response: requests.Response) -> float:
    """Return when a response was made, in seconds since 1970, by the clock that made it."""
    try:
        return parsedate_to_datetime(response.headers.get("Date", "")).timestamp()
    except (ValueError, OverflowError):
        return time.time()
