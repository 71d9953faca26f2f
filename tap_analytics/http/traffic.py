"""The requests in flight."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

import requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_analytics.http.throttle import Throttle
    from tap_analytics.http.window import Ticket


class RequestObserver(Protocol):
    """Counts requests and answers. Calls never overlap, but may come from any thread."""

    def request_sent(self, url: str) -> None:
        """Count a request.

        Args:
            url: Its URL without the query.
        """

    def answer_received(self, url: str, response: requests.Response) -> None:
        """Count an answer.

        Args:
            url: The URL of the request without the query.
            response: The answer, of any status. Each redirect in its `history` was an answer, too.
        """


class Traffic:
    """The requests in flight, which keep to the throttle, and the lock on all that is shared.

    Attributes:
        lock: Guards what threads share: the throttle, the hints and this object.
        throttle: How fast requests may be sent.
        first_answer_at: When the first answer was made, or earlier.
        is_reader_waiting: True if the reader waits for its turn. It comes first.
        is_held: True from a 401 until the reader is given a success. Nothing is sent ahead
            meanwhile, so that wrong credentials are not tried over and over.
    """

    def __init__(self, throttle: Throttle, observer: RequestObserver | None) -> None:
        """Begin without any request.

        Args:
            throttle: How fast requests may be sent.
            observer: Counts requests and answers.
        """
        self.lock = threading.Lock()
        self.throttle = throttle
        self.first_answer_at: datetime | None = None
        self._began_at: datetime | None = None
        self.is_reader_waiting = False
        self.is_held = False
        self._has_changed = threading.Condition(self.lock)
        self._observer = observer

    def wait_for_turn(self) -> Ticket:
        """Wait until the reader may send a request, and count it. The lock is held.

        Returns:
            What the throttle notes of the request.
        """
        self.is_reader_waiting = True
        try:
            while (delay := self.throttle.delay()) != 0:
                self._has_changed.wait(delay)
        finally:
            self.is_reader_waiting = False
        return self.throttle.sent()

    def carry(
        self,
        ticket: Ticket,
        request: requests.PreparedRequest,
        send: Callable[[], requests.Response],
    ) -> requests.Response:
        """Send a request whose turn has come. The lock is not held.

        Args:
            ticket: What the throttle has noted of the request.
            request: The request.
            send: Sends it.

        Returns:
            The response, of any status.

        Raises:
            BaseException: As raised by `send`.
        """
        outcome: requests.Response | BaseException
        if self._began_at is None:
            self._began_at = datetime.now(UTC)
        try:
            self.count(request)
            outcome = send()
        except BaseException as error:  # noqa: BLE001 - raised below
            outcome = error
        with self.lock:
            self.throttle.came_back(ticket, outcome)
            self._has_changed.notify()
            # The error that says that there are too many redirects holds the last one.
            response = getattr(outcome, "response", outcome)
            if isinstance(response, requests.Response):
                self._receive(request, response)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def count(self, request: requests.PreparedRequest) -> None:
        """Tell the observer of a request. The lock is not held.

        Args:
            request: The request that is being sent.
        """
        if self._observer:
            with self.lock:
                self._observer.request_sent(_without_query(request))

    def _receive(self, request: requests.PreparedRequest, response: requests.Response) -> None:
        if self.first_answer_at is None:
            first = [*response.history, response][0]
            self.first_answer_at = earliest_moment(first, self._began_at or datetime.now(UTC))
        self.is_held = self.is_held or response.status_code == HTTPStatus.UNAUTHORIZED
        if self._observer:
            self._observer.answer_received(_without_query(request), response)


def _without_query(request: requests.PreparedRequest) -> str:
    return (request.url or "").partition("?")[0]


def earliest_moment(response: requests.Response, sent_at: datetime) -> datetime:
    """Return when a response was made, or an earlier moment.

    Args:
        response: A response.
        sent_at: When the first request was sent, by our clock.

    Returns:
        What its `Date` says, or `sent_at` if that is earlier or the `Date` can't be read.
    """
    try:
        moment = parsedate_to_datetime(response.headers.get("Date", ""))
    except (ValueError, OverflowError):
        return sent_at
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(moment, sent_at)
