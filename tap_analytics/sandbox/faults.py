"""The failures on the way to a service."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import replace
from hashlib import sha256
from http import HTTPStatus
from threading import Lock
from typing import TYPE_CHECKING

from tap_analytics.sandbox.exchange import Reply, Request
from tap_analytics.sandbox.refusals import refusal

if TYPE_CHECKING:
    from collections.abc import Callable

_HTML = {"Content-Type": "text/html"}
_PROXY_PAGE = "<!doctype html><title>Bad gateway</title><h1>The proxy has lost its way</h1>"
_MOST_FAILURES_IN_A_ROW = 2


class RateLimit:
    """A limit on the requests that each API answers in a second."""

    def __init__(self, per_second: int) -> None:
        """Start counting.

        Args:
            per_second: How many requests an API answers.
        """
        self._per_second = per_second
        self._lock = Lock()
        self._answered: dict[str, deque[float]] = {}

    def __call__(self, request: Request) -> Reply | None:
        """Refuse a request if its API has answered enough in the last second.

        Args:
            request: The request.

        Returns:
            The refusal, or `None` if the request may pass.
        """
        with self._lock:
            answered = self._answered.setdefault(request.path[:3], deque())
            now = time.monotonic()
            while answered and answered[0] <= now - 1:
                answered.popleft()
            if len(answered) < self._per_second:
                answered.append(now)
                return None
        return _too_many(request, retry_after=1)


class Faults:
    """Failures of all kinds, spread like chance but the same in every run."""

    def __init__(self, rate: float, answer: Callable[[Request], Reply]) -> None:
        """Start counting.

        Args:
            rate: The share of requests that fail, 0 to 1.
            answer: Returns the answer that is then cut short.
        """
        self._rate = rate
        self._answer = answer
        self._lock = Lock()
        self._count = 0
        self._failures: Counter[str] = Counter()

    def __call__(self, request: Request) -> Reply | None:
        """Fail a request if it is its turn.

        Unless all requests fail, the same one fails at most twice in a row, so that retries help.

        Args:
            request: The request.

        Returns:
            The failure, or `None` if the request may pass.
        """
        target = f"{request.path} {request.query}"
        with self._lock:
            self._count += 1
            chance = sha256(str(self._count).encode()).digest()
            due = int.from_bytes(chance[:4]) < self._rate * 2**32
            is_spared = self._rate < 1 and self._failures[target] == _MOST_FAILURES_IN_A_ROW
            if not due or is_spared:
                del self._failures[target]
                return None
            self._failures[target] += 1
        return self._fault(request, chance[4] % 8)

    def _fault(self, request: Request, kind: int) -> Reply:
        match kind:
            case 0:
                return Reply(fault="drop")
            case 1:
                return replace(self._answer(request), fault="cut")
            case 2 | 3:
                return Reply((HTTPStatus.OK, HTTPStatus.BAD_GATEWAY)[kind - 2], _PROXY_PAGE, _HTML)
            case 4:
                return _too_many(request, retry_after=0)
            case _:
                status = HTTPStatus((500, 503, 504)[kind - 5])
                return refusal(request, status, "The service is having a bad day.")


def _too_many(request: Request, retry_after: int) -> Reply:
    reply = refusal(request, HTTPStatus.TOO_MANY_REQUESTS, "Too many requests.")
    return replace(reply, headers={**reply.headers, "Retry-After": str(retry_after)})
