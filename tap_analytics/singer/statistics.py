"""What is counted of each stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tap_analytics.http.retries import THROTTLED_STATUSES

if TYPE_CHECKING:
    import requests


@dataclass(slots=True, eq=False)
class StreamStatistics:
    """Counts of one stream.

    Attributes:
        name: The name of the stream.
        records: Records emitted, after stream maps.
        requests: Requests sent, including those sent ahead that turned out not to be needed.
        retries: Requests repeated because the one before has failed.
        throttled: Answers that say that there are too many requests: status 429 or 503.
        skipped: Listings that were not asked for: the account lacks the product, or they can't have
            changed.
        seconds: Time spent on the stream, without the time spent on its children.
        listed: Records that the listing has brought.
        expected: Accounts that it was listed for in the last sync, as far as the state tells.
        passed: Records of which all children are done.
        has_failed: Whether the stream is not, or not wholly, synced.
    """

    name: str
    records: int = 0
    requests: int = 0
    retries: int = 0
    throttled: int = 0
    skipped: int = 0
    seconds: float = 0.0
    listed: int = 0
    expected: int = 0
    passed: int = 0
    has_failed: bool = False


class RequestStatistics:
    """Counts the requests of a session for the streams that they belong to.

    A request belongs to the stream that has registered its URL. Calls may come from any thread, but
    must not overlap.
    """

    def __init__(self) -> None:
        """Start without streams."""
        self._streams: dict[str, StreamStatistics] = {}

    def register(self, url: str, stream: StreamStatistics) -> None:
        """Count requests to a URL from now on.

        Args:
            url: The URL without its query.
            stream: The statistics of the stream that sends them.
        """
        self._streams[url] = stream

    def request_sent(self, url: str) -> None:
        """Count a request.

        Args:
            url: The URL without its query.
        """
        if stream := self._streams.get(url):
            stream.requests += 1

    def answer_received(self, url: str, response: requests.Response) -> None:
        """Count the redirects that led to an answer, and an answer that says "too many requests".

        Args:
            url: The URL of the first request, without its query.
            response: The last answer.
        """
        if stream := self._streams.get(url):
            stream.requests += len(response.history)
            stream.throttled += response.status_code in THROTTLED_STATUSES
