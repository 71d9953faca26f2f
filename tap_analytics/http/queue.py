"""The hints that wait to be sent or to be asked for."""

from __future__ import annotations

import heapq
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

    import requests

    from tap_analytics.http.hints import Hint


@dataclass(eq=False, slots=True)
class Prefetch:
    """A hint in the queue.

    Attributes:
        hint: The hint.
        outcome: The response, or why there is none.
        is_forgotten: True if the hint is no longer needed.
    """

    hint: Hint
    outcome: Future[requests.Response] = field(default_factory=Future)
    is_forgotten: bool = False


class HintQueue:
    """Hints whose requests have not been made yet, one per URL.

    It sends nothing and is not thread-safe: its users hold a lock.
    """

    def __init__(self, capacity: int) -> None:
        """Create an empty queue.

        Args:
            capacity: The most responses that wait to be asked for, including those to come.
        """
        self._capacity = capacity
        self._prefetches: dict[str | None, Prefetch] = {}
        self._sent: set[Prefetch] = set()
        # The order of sending. It may hold hints that have left `_prefetches`.
        self._order: list[tuple[tuple[int, ...], int, Prefetch]] = []
        self._numbers = count()

    def add(self, hint: Hint) -> None:
        """Add a hint, unless there is one for the same URL.

        Args:
            hint: The hint.
        """
        url = hint.request.url
        if url not in self._prefetches:
            prefetch = self._prefetches[url] = Prefetch(hint)
            # The number makes hints with the same position leave in the order of their coming.
            heapq.heappush(self._order, (hint.position, next(self._numbers), prefetch))

    @property
    def has_next(self) -> bool:
        """True if there is a hint to send, and room for its response."""
        while self._order and not self._is_waiting(self._order[0][-1]):
            heapq.heappop(self._order)
        return bool(self._order) and len(self._sent) < self._capacity

    def pop(self) -> Prefetch:
        """Return the next hint to send. Only allowed if `has_next`.

        Returns:
            The hint, which stays in the queue until it is taken, dropped or forgotten.
        """
        prefetch = heapq.heappop(self._order)[-1]
        self._sent.add(prefetch)
        return prefetch

    def take(self, url: str | None) -> Future[requests.Response] | None:
        """Remove the hint for a request that is being made.

        Args:
            url: The URL of the request.

        Returns:
            The outcome if the hint has been sent, None if the request is still to be sent.
        """
        prefetch = self._prefetches.get(url)
        if prefetch is None:
            return None
        is_sent = prefetch in self._sent
        self.drop(prefetch)
        return prefetch.outcome if is_sent else None

    def drop(self, prefetch: Prefetch) -> None:
        """Remove a hint, if it is still there.

        Args:
            prefetch: The hint.
        """
        self._sent.discard(prefetch)
        if self._is_waiting(prefetch):
            del self._prefetches[prefetch.hint.request.url]

    def forget(self, group: Hashable) -> None:
        """Remove the hints of a group. They lead to no further hints.

        Args:
            group: The `group` of the hints.
        """
        for prefetch in [each for each in self._prefetches.values() if each.hint.group == group]:
            prefetch.is_forgotten = True
            self.drop(prefetch)

    def clear(self) -> None:
        """Remove all hints."""
        for prefetch in self._prefetches.values():
            prefetch.is_forgotten = True
        self._prefetches.clear()
        self._sent.clear()
        self._order.clear()

    def _is_waiting(self, prefetch: Prefetch) -> bool:
        return self._prefetches.get(prefetch.hint.request.url) is prefetch
