"""The session that sends requests ahead of need, without asking too much of a server.

Reading an API is mostly waiting, and what is read next is mostly known. A stream *hints* at the
requests that it will probably make. The session sends them ahead, on threads, and hands over each
response when the stream makes that very request. A wrong hint costs a request and nothing else:
the paginators alone decide what is read, and in which order.
"""

from __future__ import annotations

import logging
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from weakref import WeakSet

from tap_analytics._compat import override
from tap_analytics.http.bound_session import BoundSession
from tap_analytics.http.prefetcher import Prefetcher
from tap_analytics.http.queue import HintQueue
from tap_analytics.http.throttle import FIRST_PAUSE, Throttle
from tap_analytics.http.traffic import Traffic
from tap_analytics.log.repeats import RepeatedWarnings

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable
    from datetime import datetime
    from typing import Self

    import requests

    from tap_analytics.http.hints import Hint
    from tap_analytics.http.traffic import RequestObserver

logger = logging.getLogger(__name__)


class PrefetchingSession(BoundSession):
    """The session of one API, shared by its streams.

    It acts upon hints within its context (`with session:`). Outside of it, it ignores them.

    Attributes:
        throttle: How fast requests may be sent, whether ahead of need or not.
    """

    def __init__(  # noqa: PLR0913 - all but one by name
        self,
        url: str,
        *,
        max_concurrent: int,
        timeout: float,
        streams: int = 0,
        observer: RequestObserver | None = None,
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        """Create a session.

        Args:
            url: The base URL of the API.
            max_concurrent: The most requests in flight.
            timeout: The time limit of a request, in seconds.
            streams: The number of streams that share the session.
            observer: Counts requests and answers.
            first_pause: Seconds that requests wait after the first 429 or 503.
        """
        self._host = urlsplit(url).netloc
        self._warnings = RepeatedWarnings(logger.warning)
        self.throttle = Throttle(max_concurrent, first_pause=first_pause, warn=self._warn)
        self._traffic = Traffic(self.throttle, observer)
        super().__init__(url, max_concurrent, self._traffic.count)
        self._prefetcher = Prefetcher(
            # Memory holds two windows of responses, and the first page of each stream.
            HintQueue(2 * max_concurrent + streams),
            self._traffic,
            partial(self.exchange, timeout=timeout),
            max_concurrent,
        )
        # What the reader has been given decides, not what has come: the order in which responses
        # come depends on how many are asked for at a time.
        self._has_succeeded = False
        self._unauthorized: requests.Response | None = None
        self._sent_ahead: WeakSet[requests.Response] = WeakSet()

    @property
    def is_unauthorized(self) -> bool:
        """True if the API does not accept the credentials. Nothing more is sent then."""
        return self._unauthorized is not None

    @property
    def first_answer_at(self) -> datetime | None:
        """When the first answer was made: its `Date`, or when it was asked for, if earlier."""
        return self._traffic.first_answer_at

    # Hints

    @override
    def __enter__(self) -> Self:
        """Begin to act upon hints."""
        self._prefetcher.open()
        return self

    @override
    def close(self) -> None:
        """Drop all hints, end all threads that wait, and close the connections."""
        self._prefetcher.close()
        self._warnings.end()
        super().close()

    def hint(self, hints: Iterable[Hint]) -> None:
        """Announce requests that will probably be made.

        Args:
            hints: Requests, in any order. Known ones are ignored, and those that the server
                answers faster than a thread could hand over the response.
        """
        if not self.is_unauthorized:
            # Making hints takes time, for which the lock is not held.
            is_noticeable_at = self.throttle.is_noticeable_at
            self._prefetcher.add([each for each in hints if is_noticeable_at(each.request.url)])

    def forget(self, group: Hashable) -> None:
        """Drop the hints of a group, as what they belong to has been read.

        Args:
            group: The `group` of the hints.
        """
        self._prefetcher.forget(group)

    def is_sent_ahead(self, response: requests.Response) -> bool:
        """Return whether a response may be older than those handed over before it."""
        return response in self._sent_ahead

    # Requests

    @override
    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send a request, or hand over the response if it has been sent ahead.

        Args:
            request: The request.
            **kwargs: As for `requests.Session`.

        Returns:
            The response, of any status.

        Raises:
            requests.RequestException: There is no response.
            UnsafeRedirectError: The response is a redirect to where credentials must not go.
        """
        if not kwargs.pop("allow_redirects", True):
            # The next hop of a redirect belongs to the request that led to it.
            return super().send(request, allow_redirects=False, **kwargs)
        if self._unauthorized is not None:
            return self._unauthorized
        response = self._receive(request, **kwargs)
        if response.status_code == HTTPStatus.UNAUTHORIZED and self._has_succeeded:
            # A gateway may have lost the credentials on the way.
            response = self._receive(request, **kwargs)
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            self._unauthorized = response
            self._prefetcher.close()
        elif response.ok:
            self._has_succeeded = True
            self._prefetcher.release()
        return response

    def _receive(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        with self._traffic.lock:
            # No hint may come between a look for the response and the wait for a turn.
            ahead = self._prefetcher.take(request.url)
            if ahead is None:
                ticket = self._traffic.wait_for_turn()
            self._prefetcher.wake()
        if ahead is not None:
            response = ahead.result()
            self._sent_ahead.add(response)
            return response
        send = partial(self.exchange, request, **kwargs)
        try:
            return self._traffic.carry(ticket, request, send)
        finally:
            with self._traffic.lock:
                self._prefetcher.wake()

    def _warn(self, message: str, *values: object) -> None:
        self._warnings.add(f"%s: {message}", self._host, *values)
