"""How many requests may be in flight."""

from __future__ import annotations

from typing import NamedTuple

PATIENCE = 20
"""How many answers it takes before a number of requests in flight that has failed is tried again.
If it fails again, it takes twice as many, and so on; if it does not, half as many."""

LONGEST_PATIENCE = 16 * PATIENCE


class Ticket(NamedTuple):
    """What is noted of a request when it is sent.

    Attributes:
        number: Its number in the order of sending.
        level: How many requests are in flight, this one included.
    """

    number: int
    level: int


class Window:
    """The most requests in flight.

    It starts at 1 and doubles with each answer. The first failure ends that: it halves the window,
    which then grows by one per window of answers.

    Attributes:
        size: The most requests in flight.
    """

    def __init__(self, limit: int) -> None:
        """Start with one request.

        Args:
            limit: The largest size.
        """
        self.size = 1
        self._limit = limit
        self._is_starting = True
        # A number of requests in flight at which one has failed, and how many answers it takes
        # and has taken before it is tried again.
        self._ceiling = limit + 1
        self._patience = PATIENCE
        self._answers = 0
        self._answers_to_size = 0
        self._last_before_cut = -1

    def grow(self, ticket: Ticket) -> None:
        """Note an answer.

        Args:
            ticket: The request.
        """
        if self._is_starting:
            self.size = min(2 * self.size, self._limit)
            return
        if ticket.number <= self._last_before_cut:
            return
        self._answers += 1
        if ticket.level >= self._ceiling:
            self._ceiling = ticket.level + 1
            self._patience = max(1, self._patience // 2)
            self._answers = 0
        is_patient = self._answers >= self._patience
        top = min(self._limit, self._ceiling if is_patient else self._ceiling - 1)
        self._answers_to_size += 1
        if self.size < top and self._answers_to_size >= self.size:
            self.size += 1
            self._answers_to_size = 0

    def shrink(self, ticket: Ticket, in_flight: int, last_sent: int) -> None:
        """Note a failure that too many requests may be the reason for.

        Args:
            ticket: The request.
            in_flight: The number of requests that are still in flight.
            last_sent: The number of the last request sent.
        """
        # A request that fails alone does not fail because of others.
        level = ticket.level if ticket.level > 1 else self._limit + 1
        if ticket.number <= self._last_before_cut:
            # It was in flight together with one that has failed. The rest shows what works.
            self._ceiling = min(self._ceiling, level)
            self.size = min(self.size, max(1, in_flight))
            return
        is_repeated = self._answers >= self._patience
        self._patience = min(2 * self._patience, LONGEST_PATIENCE) if is_repeated else PATIENCE
        self._ceiling = level if self._is_starting or level > 1 else self._ceiling
        self._answers = 0
        self.size = max(1, self.size // 2)
        self._answers_to_size = 0
        self._is_starting = False
        self._last_before_cut = last_sent

    def forgive(self) -> None:
        """Note that not the number of requests in flight was the reason for a failure."""
        self._ceiling = self._limit + 1
