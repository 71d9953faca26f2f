"""The threads that send hinted requests ahead of need."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

from tap_analytics.http.retries import is_passing
from tap_analytics.threads import start_without_signals

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable
    from concurrent.futures import Future

    import requests

    from tap_analytics.http.hints import Hint
    from tap_analytics.http.queue import HintQueue, Prefetch
    from tap_analytics.http.traffic import Traffic
    from tap_analytics.http.window import Ticket


class Prefetcher:
    """The threads that send hinted requests ahead of need, as long as it is open."""

    def __init__(
        self,
        queue: HintQueue,
        traffic: Traffic,
        exchange: Callable[[requests.PreparedRequest], requests.Response],
        max_threads: int,
    ) -> None:
        """Create a prefetcher without threads. They start when there are hints.

        Args:
            queue: The hints.
            traffic: The requests in flight.
            exchange: Sends a request.
            max_threads: The most threads.
        """
        self._queue = queue
        self._traffic = traffic
        self._exchange = exchange
        self._max_threads = max_threads
        self._threads = 0
        self._is_open = False
        self._may_start = threading.Condition(traffic.lock)

    # For the reader

    def open(self) -> None:
        """Begin to act upon hints."""
        self._is_open = True

    def close(self) -> None:
        """Drop all hints, and end all threads that wait."""
        with self._traffic.lock:
            self._is_open = False
            self._queue.clear()
            self._may_start.notify_all()

    def add(self, hints: Iterable[Hint]) -> None:
        """Queue hints, if open.

        Args:
            hints: The hints.
        """
        with self._traffic.lock:
            self._add(hints)

    def forget(self, group: Hashable) -> None:
        """Drop the hints of a group.

        Args:
            group: The `group` of the hints.
        """
        with self._traffic.lock:
            self._queue.forget(group)
            self.wake()

    def take(self, url: str | None) -> Future[requests.Response] | None:
        """Hand over the outcome of a request that is being made. The lock is held.

        Args:
            url: The URL of the request.

        Returns:
            The outcome if the request has been sent ahead, even if no answer has come yet.
        """
        return self._queue.take(url)

    def release(self) -> None:
        """Go on after a 401, as the reader has been given a success."""
        if self._traffic.is_held:
            with self._traffic.lock:
                self._traffic.is_held = False
                self.wake()

    def wake(self) -> None:
        """Let one thread look for something to send. The lock is held."""
        if not self._is_open or not self._queue.has_next:
            return
        if self._threads == self._max_threads:
            self._may_start.notify()
            return
        # A daemon: the end of the process waits for no server.
        thread = threading.Thread(target=self._work, name="prefetch", daemon=True)
        self._threads += 1
        try:
            start_without_signals(thread)
        except RuntimeError:
            # The system has no more threads. The present ones suffice, or even none.
            self._threads -= 1
            self._may_start.notify()

    # On the threads

    def _add(self, hints: Iterable[Hint]) -> None:
        if self._is_open:
            for hint in hints:
                self._queue.add(hint)
                self.wake()

    def _work(self) -> None:
        while turn := self._next():
            self._fetch(*turn)

    def _next(self) -> tuple[Ticket, Prefetch] | None:
        with self._traffic.lock:
            while self._is_open:
                is_turn = not self._traffic.is_reader_waiting and not self._traffic.is_held
                delay = None
                if is_turn and self._queue.has_next:
                    delay = self._traffic.throttle.delay()
                if delay == 0:
                    prefetch = self._queue.pop()
                    ticket = self._traffic.throttle.sent()
                    self.wake()
                    return ticket, prefetch
                self._may_start.wait(delay)
            self._threads -= 1
            return None

    def _fetch(self, ticket: Ticket, prefetch: Prefetch) -> None:
        hint = prefetch.hint
        try:
            send = partial(self._exchange, hint.request)
            response = self._traffic.carry(ticket, hint.request, send)
            followers = list(hint.follow(response)) if hint.follow and response.ok else []
            with self._traffic.lock:
                # Before the hand-over, as the reader may ask for one of them right after it.
                if not prefetch.is_forgotten:
                    self._add(followers)
                self._arrive(prefetch, response)
                prefetch.outcome.set_result(response)
        except BaseException as error:  # noqa: BLE001 - raised where the response is asked for
            with self._traffic.lock:
                self._arrive(prefetch, error)
                prefetch.outcome.set_exception(error)

    def _arrive(self, prefetch: Prefetch, outcome: requests.Response | BaseException) -> None:
        if is_passing(outcome):
            # A failure that the reader does not wait for yet costs no retry.
            self._queue.drop(prefetch)
        self.wake()
