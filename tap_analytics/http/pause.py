"""When the next request may be sent: the pauses that an API asks for, and the gaps they teach."""

from __future__ import annotations

LONGEST_PAUSE = 60.0
"""The longest pause, in seconds, after answers that don't say how long to wait."""

TOLERATED = 0.05
"""How many requests may be throttled per answer before requests keep a gap."""

LONGEST_GAP = 5.0
"""The longest gap between requests, in seconds."""

SHORTEST_GAP = 0.001
"""The gap, in seconds, below which none is kept."""

RECOVERY = 0.985
"""What each answer leaves of the gap."""


class Pause:
    """The pauses of all requests to an API, and the gap between two requests.

    A throttled request begins a pause. When it is over, one request is sent, alone. If that is
    throttled too, the next pause is twice as long, unless the API says how long it is to be. If it
    is answered, the pauses have ended. If the API has answered only a few requests since the last
    pauses, it has a limit per time: requests keep the gap at which it would have answered all. Each
    answer shortens the gap a little, to find out whether the limit still holds.

    Attributes:
        is_over: False from a throttled request until one that is sent after it is answered.
    """

    def __init__(self, first_pause: float) -> None:
        """Begin without a pause.

        Args:
            first_pause: The first pause, in seconds, if the API doesn't say how long it is to be.
        """
        self.is_over = True
        self._first = self._next = first_pause
        self._last_before = -1
        self._until = self._sent_at = 0.0
        self._total = self._gap = 0.0
        self._is_liftable = False
        self._since: float | None = None
        self._answers = self._failures = 0

    def ends_at(self) -> float:
        """Return when the next request may be sent."""
        return max(self._until, self._sent_at + self._gap if self._gap else 0.0)

    def sent(self, now: float) -> None:
        """Note that a request is sent."""
        self._sent_at = now

    def throttled(
        self, number: int, now: float, *, asked: float, in_flight: int, last_sent: int
    ) -> float:
        """Begin a pause, or extend it.

        Args:
            number: The number of the throttled request in the order of sending.
            now: The present.
            asked: How long the API asks to wait, in seconds. 0 if it doesn't say.
            in_flight: The number of requests that are still in flight.
            last_sent: The number of the last request sent.

        Returns:
            The new pause in seconds, 0 if the request was in flight with one that began a pause.
        """
        self._failures += 1
        if number <= self._last_before:
            self._extend(now + asked, now)
            return 0.0
        pause = asked or min(self._next, LONGEST_PAUSE)
        # The first time, answers to requests in flight show that there were only too many of them.
        self._is_liftable = self.is_over and not asked and in_flight > 0
        self._next = 2 * self._next
        self._last_before = last_sent
        self.is_over = False
        self._extend(now + pause, now)
        return pause

    def _extend(self, until: float, now: float) -> None:
        if until > self._until:
            self._total += until - max(now, self._until)
            self._until = until

    def answered(self, number: int, now: float) -> bool:
        """End the pauses if the request was sent after them, and shorten the gap.

        Args:
            number: The number of the request in the order of sending.
            now: The present.
        """
        self._answers += 1
        self._gap = self._gap * RECOVERY if self._gap > SHORTEST_GAP else 0.0
        if self.is_over:
            return False
        if number > self._last_before:
            self._learn(now)
            self.is_over = True
            self._next = self._first
            return True
        if self._is_liftable:
            self.is_over = True
            self._until = now
        return False

    def _learn(self, now: float) -> None:
        if self._since is not None and self._failures > TOLERATED * self._answers:
            gap = (now - self._since) / self._answers
            self._gap = min(gap, self._total, LONGEST_GAP)
        self._since = now
        self._answers = self._failures = 0
        self._total = 0.0
