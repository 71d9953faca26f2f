"""Requests sent ahead of need, without asking more of a server than it likes.

Reading an API is waiting. What a stream will probably ask for next is mostly known: it *hints* at
it, and the session sends hinted requests ahead, on threads, and hands each response over when that
very request is made. A hint that turns out wrong costs a request and nothing else; what is read,
and in which order, is decided by the paginators alone.
"""

from __future__ import annotations

import heapq
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from weakref import WeakSet

import requests

from tap_analytics._compat import override
from tap_analytics.exceptions import UnsafeRedirectError
from tap_analytics.http.retries import MAX_RETRY_AFTER, retry_after
from tap_analytics.http.throttle import Pace
from tap_analytics.http.transport import TimedAdapter
from tap_analytics.log.wording import one_line
from tap_analytics.threads import start_without_signals

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator
    from typing import Self

    from tap_analytics.http.hints import Hint
    from tap_analytics.singer.statistics import RequestStatistics


class PrefetchingSession(requests.Session):
    """The session of one API, shared by its streams.

    Within its context (`with session:`) hints are acted upon; outside of it, it is an ordinary
    session.

    Attributes:
        pace: How fast requests may be sent; hints and requests alike keep to it.
        has_refused: Whether a request has been answered with a 401. From then on that is the answer
            to all, and nothing more is sent.
        observer: Told of requests and answers, if there is one.
    """

    def __init__(
        self,
        url: str,
        *,
        max_concurrent: int,
        timeout: float,
        streams: int = 0,
        observer: RequestStatistics | None = None,
    ) -> None:
        """Create a session.

        Args:
            url: The base URL of the API.
            max_concurrent: How many requests may be in flight at most.
            timeout: Time limit of a request, in seconds.
            streams: How many streams share the session.
            observer: Told of requests and answers.
        """
        super().__init__()
        self.pace = Pace(max_concurrent)
        self.has_refused = False
        self.observer = observer
        self._max_concurrent = max_concurrent
        self._timeout = timeout
        # Memory holds so many responses at most: two windows, and the first page of each stream.
        self._capacity = 2 * max_concurrent + streams
        for scheme in ("http://", "https://"):
            self.mount(scheme, TimedAdapter(max_concurrent))
        # Looking for proxies and certificates searches the environment, which takes longer than
        # many a request; for one host the result is always the same.
        self._environment = self.merge_environment_settings(url, {}, None, None, None)

        self._lock = threading.Lock()
        self._may_start = threading.Condition(self._lock)
        self._has_come = threading.Condition(self._lock)
        self._is_open = False
        self._threads = 0
        # All hints that have not been taken up, by URL, and those of them not sent yet, in order;
        # the latter may hold some that are no longer among the former.
        self._hints: dict[str | None, Hint] = {}
        self._pending: list[Hint] = []
        self._sent_ahead = 0
        self._followed: WeakSet[requests.Response] = WeakSet()
        self._is_waiting = False
        self._refusal: requests.Response | None = None

    @property
    def proxy_secrets(self) -> Iterator[str]:
        """The credentials in the URLs of proxies, as they stand there and as they are sent."""
        for url in self._environment["proxies"].values():
            # Also of what is no URL: an error would show it.
            login = url.rpartition("@")[0].split("://", 1)[-1]
            for part in (login, login.partition(":")[2]):
                yield part
                yield unquote(part)

    # Hints

    @override
    def __enter__(self) -> Self:
        """Begin to act upon hints."""
        self._is_open = True
        return self

    @override
    def close(self) -> None:
        """Drop all hints, end all threads that wait, and close the connections."""
        with self._lock:
            self._is_open = False
            self._hints.clear()
            self._pending.clear()
            self._sent_ahead = 0
            self._may_start.notify_all()
        super().close()

    def hint(self, hints: Iterable[Hint]) -> None:
        """Tell what will probably be asked for; what has been told before is passed over.

        Args:
            hints: Requests, in any order. They are not even looked at where the server answers
                faster than a thread could take the answer over.
        """
        if self.pace.is_noticeable:
            hints = list(hints)
            with self._lock:
                self._add(hints)

    def forget(self, group: Hashable) -> None:
        """Drop what has been hinted at for the sake of something that has been read.

        Args:
            group: The `group` of the hints.
        """
        with self._lock:
            for hint in [hint for hint in self._hints.values() if hint.group == group]:
                hint.is_forgotten = True
                self._take(hint.request.url)

    def _add(self, hints: Iterable[Hint]) -> None:
        for hint in hints:
            if self._is_open and self._refusal is None and hint.request.url not in self._hints:
                self._hints[hint.request.url] = hint
                heapq.heappush(self._pending, hint)
                self._wake_thread()

    def _take(self, url: str | None) -> Hint | None:
        hint = self._hints.pop(url, None)
        if hint is not None and hint.is_sent:
            self._sent_ahead -= 1
            self._wake_thread()
        return hint

    def has_followed(self, response: requests.Response) -> bool:
        """Tell whether a response has already led on to further hints.

        Args:
            response: A response of this session.

        Returns:
            True if it came ahead of need, by a hint with `follow`.
        """
        return response in self._followed

    # Sending

    @override
    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send a request, or take over the response if it has been sent ahead.

        Args:
            request: The request.
            **kwargs: As for `requests.Session`.

        Returns:
            The response, of whatever status.

        Raises:
            requests.RequestException: If there is no response.
            UnsafeRedirectError: If it would have to come from where credentials must not go.
        """
        if not kwargs.get("allow_redirects", True):
            # The next hop of a redirect belongs to the request that led to it.
            return super().send(request, **kwargs)
        with self._lock:
            hint = self._take(request.url)
            if hint is not None and hint.is_sent:
                while hint.outcome is None and self._refusal is None:
                    self._has_come.wait()
                outcome = hint.outcome
            else:
                self._wait_for_turn()
                outcome = None
            if self._refusal is not None:
                self.has_refused = True
                return self._refusal
            if outcome is None:
                self._depart(request)
        if outcome is None:
            outcome = self._exchange(request, **kwargs)
            with self._lock:
                self._arrive(request, outcome)
        if isinstance(outcome, Exception):
            raise outcome
        self.has_refused = outcome.status_code == HTTPStatus.UNAUTHORIZED
        return outcome

    @override
    def rebuild_auth(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """Follow a redirect with credentials, or not at all.

        Args:
            prepared_request: The request that the redirect leads to.
            response: The redirect.

        Raises:
            UnsafeRedirectError: If that is another host, or http instead of https. Without
                credentials, it would answer just that they are missing.
        """
        asked, offered = str(response.request.url), str(prepared_request.url)
        if self.should_strip_auth(asked, offered):  # type: ignore[no-untyped-call] # in the stubs
            origins = [f"{url.scheme}://{url.netloc}" for url in map(urlsplit, (asked, offered))]
            message = (
                f"{origins[0]} redirects to {one_line(origins[1], 200)}, where credentials are not "
                "sent; if it has moved there for good, change the URL in the settings"
            )
            raise UnsafeRedirectError(message)

    def _wait_for_turn(self) -> None:
        self._is_waiting = True
        try:
            while self._refusal is None and (delay := self.pace.delay()) != 0:
                self._has_come.wait(delay)
        finally:
            self._is_waiting = False

    def _depart(self, request: requests.PreparedRequest) -> None:
        self.pace.sent()
        if self.observer:
            self.observer.request_sent(_without_query(request))
        self._wake_thread()

    def _exchange(
        self, request: requests.PreparedRequest, **kwargs: Any
    ) -> requests.Response | Exception:
        try:
            return super().send(request, **{**self._environment, **kwargs})
        except Exception as error:  # noqa: BLE001 - raised where the response is asked for
            return error

    def _arrive(
        self, request: requests.PreparedRequest, outcome: requests.Response | Exception
    ) -> None:
        self.pace.came_back(outcome)
        # Of too many redirects, an error tells the last.
        response = getattr(outcome, "response", outcome)
        if isinstance(response, requests.Response) and self.observer:
            self.observer.answer_received(_without_query(request), response)
        if isinstance(outcome, requests.Response) and (
            outcome.status_code == HTTPStatus.UNAUTHORIZED
        ):
            # Wrong credentials are not tried over and over.
            self._refusal = outcome
            for hint in self._pending:
                self._hints.pop(hint.request.url, None)
            self._pending.clear()
        self._has_come.notify()
        self._wake_thread()

    # Sending ahead

    def _wake_thread(self) -> None:
        if not self._pending:
            return
        if self._threads < self._max_concurrent:
            self._threads += 1
            # A daemon: the end of the process waits for no server.
            thread = threading.Thread(target=self._send_ahead, name="prefetch", daemon=True)
            try:
                start_without_signals(thread)
            except RuntimeError:
                # No more threads are to be had. Those that there are will do, or even none.
                self._threads -= 1
                self._may_start.notify()
        else:
            self._may_start.notify()

    def _send_ahead(self) -> None:
        while hint := self._next_hint():
            outcome = self._exchange(hint.request, timeout=self._timeout)
            followers: list[Hint] = []
            if isinstance(outcome, requests.Response) and outcome.ok and hint.follow:
                self._followed.add(outcome)
                try:
                    followers = list(hint.follow(outcome))
                except Exception as error:  # noqa: BLE001 - raised where the response is asked for
                    outcome = error
            with self._lock:
                # Before the response can be taken over: what follows may be asked for at once.
                if not hint.is_forgotten:
                    self._add(followers)
                hint.outcome = outcome
                if _may_pass(outcome) and self._hints.get(hint.request.url) is hint:
                    # Nobody waits for it yet, so it need not cost them one of their retries.
                    self._take(hint.request.url)
                self._arrive(hint.request, outcome)

    def _next_hint(self) -> Hint | None:
        with self._lock:
            while self._is_open:
                while (
                    self._pending
                    and self._hints.get(self._pending[0].request.url) is not (self._pending[0])
                ):
                    heapq.heappop(self._pending)
                is_allowed = self._sent_ahead < self._capacity and not self._is_waiting
                delay = self.pace.delay() if self._pending and is_allowed else None
                if delay == 0:
                    hint = heapq.heappop(self._pending)
                    hint.is_sent = True
                    self._sent_ahead += 1
                    self._depart(hint.request)
                    return hint
                self._may_start.wait(delay)
            self._threads -= 1
            return None


def _without_query(request: requests.PreparedRequest) -> str:
    return (request.url or "").partition("?")[0]


def _may_pass(outcome: requests.Response | Exception) -> bool:
    """Tell whether a failure may be over at the next try."""
    if isinstance(outcome, Exception):
        return isinstance(outcome, requests.RequestException)
    if retry_after(outcome) > MAX_RETRY_AFTER:
        return False
    status = outcome.status_code
    return status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR
