"""The sandbox: both APIs on one loopback port, and all that can go wrong on the way to them."""

from __future__ import annotations

import os
import time
from threading import Thread
from typing import TYPE_CHECKING, Any

from tap_analytics.sandbox.experience import ACCOUNT_ID
from tap_analytics.sandbox.faults import Faults, RateLimit
from tap_analytics.sandbox.listener import Server
from tap_analytics.sandbox.service import CREATOR_LOGIN, EXPERIENCE_LOGIN, Service

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from tap_analytics.sandbox.exchange import Reply, Request
    from tap_analytics.sandbox.rows import Record


class Sandbox:
    """Serves both APIs on 127.0.0.1, from a thread, while the context lasts.

    Example:
        >>> with Sandbox(rows=25) as sandbox:
        ...     tap = TapAnalytics(config=sandbox.settings)

    Attributes:
        requests: All requests, in order of arrival.
        intercept: As given; may be replaced at any time.
        intercept: Called with each request; answers in place of the sandbox unless it is or
            returns `None`.
    """

    def __init__(  # noqa: PLR0913 - all optional, by name
        self,
        rows: int = 25,
        *,
        latency: int = 0,
        rate_limit: int | None = None,
        fail_rate: float = 0.0,
        live: bool = False,
        intercept: Callable[[Request], Reply | None] | None = None,
        day: int = 0,
        port: int = 0,
    ) -> None:
        """Prepare a sandbox; nothing listens yet.

        Args:
            rows: How many records each resource has on day 0.
            latency: Milliseconds before each answer.
            rate_limit: Requests a second that each API answers; further ones get a 429.
            fail_rate: Share of requests, 0 to 1, that fail, in all the ways a request can. The same
                request never fails more than twice in a row.
            live: Whether to differ from the seeds as the live services do: the experience API
                answers with a bare array, and listings of content require an account.
            intercept: Called with each request, from several threads at once; answers in place of
                the sandbox unless it returns `None`.
            day: How many days after day 0 it is.
            port: The port to listen on; 0 takes a free one.
        """
        self.requests: list[Request] = []
        self.intercept = intercept
        self.intercept = intercept
        self._service = Service(rows, day, live=live)
        self._latency = latency / 1000
        self._live = live
        self._port = port
        self._server: Server | None = None
        self._rate_limit = RateLimit(rate_limit) if rate_limit else None
        self._faults = Faults(fail_rate, self._service.answer) if fail_rate else None

    # Running

    def start(self) -> Self:
        """Listen.

        Returns:
            Itself.

        Raises:
            OSError: If the port is taken.
        """
        self._server = Server(self._port, self._answer)
        # The interval is how long `stop` may take.
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Stop listening, and close the connections that are still open."""
        if self._server:
            self._server.stop()
            self._server = None

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()

    # How to reach it

    @property
    def url(self) -> str:
        """The base URL, without a trailing slash."""
        if self._server is None:
            message = "The sandbox is not running"
            raise RuntimeError(message)
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def settings(self) -> dict[str, Any]:
        """The settings with which the tap reaches the sandbox."""
        settings: dict[str, Any] = {
            "username": EXPERIENCE_LOGIN[0],
            "password": EXPERIENCE_LOGIN[1],
            "account_id": ACCOUNT_ID,
            "experience_api_url": f"{self.url}/v2",
            "client_id": CREATOR_LOGIN[0],
            "client_secret": CREATOR_LOGIN[1],
            "creator_api_url": self.url,
        }
        return settings | ({"content_by_account": True} if self._live else {})

    @property
    def environment(self) -> dict[str, str]:
        """The settings as environment variables, and that no proxy is to be asked."""
        variables = {
            f"TAP_ANALYTICS_{name.upper()}": "true" if value is True else str(value)
            for name, value in self.settings.items()
        }
        for name in ("NO_PROXY", "no_proxy"):
            variables[name] = ",".join(filter(None, (os.environ.get(name), "127.0.0.1")))
        return variables

    # What it serves

    @property
    def data(self) -> dict[str, list[Record]]:
        """The records by resource, made when first looked up; what is changed here is served so."""
        return self._service.data

    def page(self, resource: str, limit: int = 10, offset: int = 0) -> dict[str, Any]:
        """Return a page as the creator API answers it, to serve it with a change."""
        return self._service.page(resource, limit, offset)

    def advance(self, days: int = 1) -> None:
        """Let days pass: the data is made anew, without what has been changed in `data`."""
        self._service.advance(days)

    # Answering

    def _answer(self, request: Request) -> Reply:
        self.requests.append(request)
        time.sleep(self._latency)
        for layer in (self.intercept, self._rate_limit, self._faults):
            if layer and (reply := layer(request)):
                return reply
        return self._service.answer(request)
