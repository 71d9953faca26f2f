"""A server with limits and a tap that reads from it, in virtual time."""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from math import inf
from typing import TYPE_CHECKING, Protocol

import requests

from tap_analytics.http.retries import retry_after
from tap_analytics.http.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_analytics.http.window import Ticket

Outcome = requests.Response | Exception


def reply(status: int = 200, headers: Mapping[str, str] | None = None) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response.headers.update(headers or {})
    response.elapsed = timedelta(seconds=0.05)
    return response


class Server(Protocol):
    """A server: what it answers to a request, and when."""

    def answer(self, now: float) -> tuple[float, Outcome]: ...


@dataclass
class FewAtATime:
    """A server that bears only so many requests at a time."""

    at_a_time: int
    latency: float
    failure: Outcome
    busy_until: list[float] = field(default_factory=list)

    def answer(self, now: float) -> tuple[float, Outcome]:
        self.busy_until = [end for end in self.busy_until if end > now]
        if len(self.busy_until) >= self.at_a_time:
            return now + 0.002, self.failure
        self.busy_until.append(now + self.latency)
        return now + self.latency, reply()


@dataclass
class FewPerPeriod:
    """A server that allows only so many requests in each period.

    Attributes:
        allowed: How many.
        period: The length of a period in seconds.
        latency: The time to an answer in seconds.
        headers: The headers of a throttled response.
        is_sliding: Whether the periods before each request count, or those of the clock.
        tells_limit: Whether each response says how many are left.
        accepted: When the requests of the period came.
    """

    allowed: int
    period: float
    latency: float
    headers: dict[str, str] = field(default_factory=dict)
    is_sliding: bool = False
    tells_limit: bool = False
    accepted: deque[float] = field(default_factory=deque)

    def answer(self, now: float) -> tuple[float, Outcome]:
        begin = now - self.period if self.is_sliding else now // self.period * self.period
        while self.accepted and self.accepted[0] <= begin - (0 if self.is_sliding else 1e-9):
            self.accepted.popleft()
        headers, status = {}, 429
        if len(self.accepted) < self.allowed:
            self.accepted.append(now)
            status = 200
        else:
            headers.update(self.headers)
        if self.tells_limit:
            headers["X-RateLimit-Remaining"] = str(self.allowed - len(self.accepted))
            headers["X-RateLimit-Reset"] = str(begin + self.period - now)
        return now + self.latency, reply(status, headers)


@dataclass
class Tap:
    """A tap that reads pages in order, and sends them ahead.

    Attributes:
        server: What it reads from.
        limit: The most requests in flight.
        backoff: The wait before the first retry, in seconds.
        max_retries: How often a page is tried again.
        now: The present; when all is read, how long it has taken.
        sent: How many requests have been sent.
        failures: How many of them have failed.
        lost: How many pages have failed with all their retries.
    """

    server: Server
    limit: int = 8
    backoff: float = 2.0
    max_retries: int = 5
    now: float = 0.0
    sent: int = 0
    failures: int = 0
    lost: int = 0

    def __post_init__(self) -> None:
        self.throttle = Throttle(
            self.limit, first_pause=min(1.0, self.backoff), clock=lambda: self.now
        )
        self._in_flight: list[tuple[float, int, int, Ticket, Outcome]] = []
        self._pages_in_flight: set[int] = set()
        self._answered: set[int] = set()
        self._here = self._ahead = self._tries = 0
        self._may_retry_at = 0.0

    def read(self, pages: int) -> Tap:
        """Read a listing of so many pages."""
        while self._here < pages:
            if self._here in self._answered:
                self._here += 1
                self._tries, self._may_retry_at = 0, 0.0
                continue
            page = self._next_page(pages)
            delay = None if page is None else self.throttle.delay()
            if delay == 0 and page is not None:
                self._send(page)
                continue
            wakes = [self.now + delay] if delay is not None else []
            if self._here not in self._pages_in_flight and self.now < self._may_retry_at:
                wakes.append(self._may_retry_at)
            arrival = self._in_flight[0][0] if self._in_flight else inf
            wake = min(wakes, default=inf)
            if arrival <= wake:
                self._receive()
            else:
                assert wake < inf, "nothing is in flight, and nothing may be sent"
                self.now = wake
        return self

    def _next_page(self, pages: int) -> int | None:
        """Return the page that is read if it can be asked for, else one ahead of it."""
        is_here_in_flight = self._here in self._pages_in_flight
        if not is_here_in_flight and self.now >= self._may_retry_at:
            self._ahead = max(self._ahead, self._here + 1)
            return self._here
        # What fails ahead of need is not sent ahead again.
        self._ahead = max(self._ahead, self._here + 1)
        return self._ahead if self._ahead < min(pages, self._here + 2 * self.limit) else None

    def _send(self, page: int) -> None:
        self.sent += 1
        self._ahead = max(self._ahead, page + 1)
        ticket = self.throttle.sent()
        arrival, outcome = self.server.answer(self.now)
        self._pages_in_flight.add(page)
        heapq.heappush(self._in_flight, (arrival, self.sent, page, ticket, outcome))

    def _receive(self) -> None:
        self.now, _, page, ticket, outcome = heapq.heappop(self._in_flight)
        self._pages_in_flight.remove(page)
        self.throttle.came_back(ticket, outcome)
        if isinstance(outcome, requests.Response) and outcome.ok:
            self._answered.add(page)
            return
        self.failures += 1
        if page == self._here:
            self._tries += 1
            if self._tries > self.max_retries:
                self.lost += 1
                self._answered.add(page)
            asked = retry_after(outcome) if isinstance(outcome, requests.Response) else 0.0
            wait = max(self.backoff * 2 ** (self._tries - 1), asked)
            self._may_retry_at = self.now + wait
