"""The sandbox: both APIs on one port, with what can go wrong on the way to them."""

from __future__ import annotations

import os
import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tap_analytics.sandbox.clock import real_time
from tap_analytics.sandbox.customers import Customers
from tap_analytics.sandbox.endpoint import Endpoint
from tap_analytics.sandbox.faults import Faults, RateLimit

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from tap_analytics.sandbox.exchange import Reply, Request
    from tap_analytics.sandbox.life import Life
    from tap_analytics.sandbox.rows import Record


class Sandbox(Endpoint):
    """Serves both APIs, from a thread, while the context lasts.

    Example:
        >>> with Sandbox(rows=25) as sandbox:
        ...     tap = TapAnalytics(config=sandbox.settings)

    Attributes:
        customers: Who is served. Settings and records of the sandbox are those of the first one.
        requests: All requests, in order of arrival.
        intercept: Called with each request, from several threads at once. Its reply, if any, is
            sent in place of the sandbox's answer. It may be replaced at any time.
        skew: How far the header `Date` is ahead of the time that records are stamped with. It may
            be changed at any time.
    """

    skew = timedelta()

    def __init__(  # noqa: PLR0913 - all optional, by name
        self,
        rows: int = 25,
        *,
        latency: int = 0,
        rate_limit: int | None = None,
        fail_rate: float = 0.0,
        live: bool = False,
        churn: float = 0.0,
        seed: int = 0,
        intercept: Callable[[Request], Reply | None] | None = None,
        day: int = 0,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        """Prepare a sandbox. Nothing listens yet.

        Args:
            rows: How many records each resource has on day 0.
            latency: Milliseconds before each answer.
            rate_limit: Requests a second that each API answers. Further ones get a 429.
            fail_rate: The share of requests, 0 to 1, that fail; the same at most twice in a row.
            live: Whether to differ from the seeds as the live services do.
            churn: The share of requests, 0 to 1, before which the live creator API changes.
            seed: Chooses the changes.
            intercept: As the attribute.
            day: How many days after day 0 it is.
            host: The address to listen on. Only this machine reaches the default.
            port: The port to listen on. 0 takes a free one.

        Raises:
            ValueError: `churn` is given without `live`.
        """
        super().__init__(port, host)
        self.requests: list[Request] = []
        self.intercept = intercept
        self._latency = latency / 1000
        self.customers = Customers(rows, day, churn, seed, live=live)
        self._rate_limit = RateLimit(rate_limit) if rate_limit else None
        self._faults = Faults(fail_rate, self.customers.answer) if fail_rate else None

    # How to reach it

    @property
    def settings(self) -> dict[str, Any]:
        """The settings with which the tap reaches the sandbox."""
        return self.customers.first.settings(self.url)

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables with the settings, and with no proxy for the sandbox."""
        return _environment(self.settings, self._host)

    # What it serves

    @property
    def data(self) -> dict[str, list[Record]]:
        """The records by resource. What is changed here is served.

        A resource is made when it is first looked up. The lists of a live sandbox are replaced
        when something happens, and never changed: look them up again to see what is served now.
        """
        return self.customers.first.store.data

    @property
    def life(self) -> Life:
        """What happens at the live creator API.

        Raises:
            RuntimeError: The sandbox is not live.
        """
        life = self.customers.first.life
        if life is None:
            message = "The sandbox is not live"
            raise RuntimeError(message)
        return life

    def page(self, resource: str, limit: int = 10, offset: int = 0) -> dict[str, Any]:
        """Return a page of all records of a resource, as the creator API answers it.

        Args:
            resource: The resource.
            limit: How many records the page may hold.
            offset: How many records come before it.

        Returns:
            The body of the answer, which an interceptor may serve with a change.
        """
        return self.customers.first.page(resource, limit, offset)

    def advance(self, days: int = 1) -> None:
        """Let days pass, for all customers.

        The data is made anew, without what has been changed in `data`. A live sandbox keeps what
        has happened at the creator API.

        Args:
            days: How many days.
        """
        self.customers.advance(days)

    # Answering

    @override
    def _now(self) -> datetime:
        life = self.customers.first.life
        return (life.clock.now() if life else real_time()) + self.skew

    @override
    def _answer(self, request: Request) -> Reply:
        self.requests.append(request)
        time.sleep(self._latency)
        for layer in (self.intercept, self._rate_limit, self._faults):
            if layer and (reply := layer(request)):
                return reply
        return self.customers.answer(request)


def _environment(settings: dict[str, Any], host: str) -> dict[str, str]:
    variables = {
        f"TAP_ANALYTICS_{name.upper()}": "true" if value is True else str(value)
        for name, value in settings.items()
    }
    for name in ("NO_PROXY", "no_proxy"):
        variables[name] = ",".join(filter(None, (os.environ.get(name), host)))
    return variables
