"""The customers of the sandbox: each has credentials and records of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_analytics.sandbox.life import Life
from tap_analytics.sandbox.living import LivingStore
from tap_analytics.sandbox.service import Service
from tap_analytics.sandbox.store import Store

if TYPE_CHECKING:
    from tap_analytics.sandbox.exchange import Reply, Request


class Customers(dict[str, Service]):
    """The services by the customer's name. The first customer has none.

    Attributes:
        first: The service of the first customer.
    """

    def __init__(self, rows: int, day: int, churn: float, seed: int, *, live: bool) -> None:
        """Begin with the first customer.

        Args:
            rows: How many records each of its resources has on day 0.
            day: How many days after day 0 it is.
            churn: The share of requests, 0 to 1, before which the live creator API changes.
            seed: Chooses the changes.
            live: Whether to differ from the seeds as the live services do.

        Raises:
            ValueError: `churn` is given without `live`.
        """
        super().__init__()
        if churn and not live:
            message = "A sandbox with churn must be live"
            raise ValueError(message)
        self._day = day
        self._churn = churn
        self._seed = seed
        self._live = live
        self._of_login: dict[str, Service] = {}
        self.first = self.add("", rows)

    def add(self, name: str, rows: int) -> Service:
        """Serve another customer, too.

        Args:
            name: The customer's name.
            rows: How many records each of its resources has on day 0.

        Returns:
            The customer's service.
        """
        if self._live:
            living = LivingStore(rows, self._day, name)
            service = Service(living, Life(living, self._churn, self._seed), name)
        else:
            service = Service(Store(rows, self._day, name), None, name)
        self[name] = service
        self._of_login |= dict.fromkeys(service.authorizations, service)
        return service

    def answer(self, request: Request) -> Reply:
        """Answer a request from the records of the customer whose credentials it has.

        Args:
            request: The request. The first customer refuses it if its credentials are wrong.

        Returns:
            The reply.
        """
        login = request.headers["Authorization"] or ""
        return self._of_login.get(login, self.first).answer(request)

    def advance(self, days: int) -> None:
        """Let days pass, for all customers.

        Args:
            days: How many days.
        """
        self._day += days
        for service in self.values():
            service.store.advance(days)
