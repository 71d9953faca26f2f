"""The session that sends requests ahead of need, without asking too much of a server.

Reading an API is mostly waiting, and what is read next is mostly known. A stream *hints* at the
requests that it will probably make. The session sends them ahead, on threads, and hands over each
response when the stream makes that very request. A wrong hint costs a request and nothing else:
the paginators alone decide what is read, and in which order.
"""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from weakref import WeakSet

import requests

from tap_analytics._compat import override
from tap_analytics.exceptions import UnsafeRedirectError
from tap_analytics.http.prefetcher import Prefetcher
from tap_analytics.http.queue import HintQueue
from tap_analytics.http.throttle import Throttle
from tap_analytics.http.traffic import RequestObserver, Traffic
from tap_analytics.http.transport import TimedAdapter
from tap_analytics.log.wording import one_line

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator
    from datetime import datetime
    from typing import Self

    from tap_analytics.http.hints import Hint

__all__ = ["PrefetchingSession", "RequestObserver"]


class PrefetchingSession(requests.Session):
    """The session of one API, shared by its streams.

    It acts upon hints within its context (`with session:`). Outside of it, it ignores them.

    Attributes:
        throttle: How fast requests may be sent, whether ahead of need or not.
    """

    def __init__(
        self,
        url: str,
        *,
        max_concurrent: int,
        timeout: float,
        streams: int = 0,
        observer: RequestObserver | None = None,
    ) -> None:
        """Create a session.

        Args:
            url: The base URL of the API.
            max_concurrent: The most requests in flight.
            timeout: The time limit of a request, in seconds.
            streams: The number of streams that share the session.
            observer: Counts requests and answers.
        """
        super().__init__()
        for scheme in ("http://", "https://"):
            self.mount(scheme, TimedAdapter(max_concurrent))
        # The search for proxies and certificates takes longer than many a request. For one host,
        # the result is always the same.
        self._environment = self.merge_environment_settings(url, {}, None, None, None)
        self.throttle = Throttle(max_concurrent)
        self._traffic = Traffic(self.throttle, observer)
        self._prefetcher = Prefetcher(
            # Memory holds two windows of responses, and the first page of each stream.
            HintQueue(2 * max_concurrent + streams),
            self._traffic,
            partial(self._exchange, timeout=timeout),
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
        """When the first answer was made: by its `Date`, or our clock if that is earlier."""
        return self._traffic.first_answer_at

    @property
    def proxy_secrets(self) -> Iterator[str]:
        """The credentials in the URLs of proxies, as they are written and as they are sent."""
        for url in self._environment["proxies"].values():
            # What is not a URL counts, too: an error message would show it.
            login = url.rpartition("@")[0].split("://", 1)[-1]
            for part in (login, login.partition(":")[2]):
                yield part
                yield unquote(part)

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
        super().close()

    def hint(self, hints: Iterable[Hint]) -> None:
        """Announce requests that will probably be made.

        Args:
            hints: Requests, in any order. Known ones are passed over. All are ignored where the
                server answers faster than a thread could hand over the response.
        """
        if self.throttle.is_noticeable and not self.is_unauthorized:
            # Making hints takes time, for which the lock is not held.
            self._prefetcher.add(list(hints))

    def forget(self, group: Hashable) -> None:
        """Drop the hints of a group, as what they belong to has been read.

        Args:
            group: The `group` of the hints.
        """
        self._prefetcher.forget(group)

    def is_sent_ahead(self, response: requests.Response) -> bool:
        """Return whether a response may be older than those handed over before it.

        Args:
            response: A response of this session.

        Returns:
            True if its request was sent before it was asked for.
        """
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
        if not kwargs.get("allow_redirects", True):
            # The next hop of a redirect belongs to the request that led to it.
            return super().send(request, **kwargs)
        if self._unauthorized is not None:
            return self._unauthorized
        ahead = self._prefetcher.take(request.url)
        if ahead:
            response = ahead.result()
            self._sent_ahead.add(response)
        else:
            response = self._send_now(request, **kwargs)
        if response.status_code == HTTPStatus.UNAUTHORIZED and self._has_succeeded:
            # A gateway may have lost the credentials on the way.
            response = self._send_now(request, **kwargs)
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            self._unauthorized = response
            self._prefetcher.close()
        elif response.ok:
            self._has_succeeded = True
            self._prefetcher.release()
        return response

    def _send_now(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        with self._traffic.lock:
            self._traffic.wait_for_turn()
            self._prefetcher.wake()
        try:
            return self._traffic.carry(request, partial(self._exchange, request, **kwargs))
        finally:
            with self._traffic.lock:
                self._prefetcher.wake()

    def _exchange(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        return super().send(request, **{**self._environment, **kwargs})

    @override
    def rebuild_auth(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """Follow a redirect with credentials, or not at all.

        Args:
            prepared_request: The request that the redirect leads to.
            response: The redirect.

        Raises:
            UnsafeRedirectError: The redirect leads to another host, or from https to http. An
                answer from there would only say that credentials are missing.
        """
        asked, offered = str(response.request.url), str(prepared_request.url)
        if self.should_strip_auth(asked, offered):  # type: ignore[no-untyped-call] # in the stubs
            origins = [f"{url.scheme}://{url.netloc}" for url in map(urlsplit, (asked, offered))]
            message = (
                f"{origins[0]} redirects to {one_line(origins[1], 200)}, where credentials are not "
                "sent; if it has moved there for good, change the URL in the settings"
            )
            raise UnsafeRedirectError(message)
