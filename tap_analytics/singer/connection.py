"""The connection to an API during one run: what its streams share."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tap_analytics.http.session import PrefetchingSession
from tap_analytics.http.throttle import FIRST_PAUSE
from tap_analytics.listing.timestamps import canonical
from tap_analytics.singer.failures import ApiFailures
from tap_analytics.singer.statistics import RequestStatistics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from requests.auth import AuthBase

    from tap_analytics.config.access import Access
    from tap_analytics.listing.paging import Paging

CLOCK_TOLERANCE = timedelta(minutes=5)
"""By how much a bookmark stays behind the first answer: clocks differ, and rows appear late."""


class Connection:
    """An API during one run.

    Attributes:
        access: The settings that the API needs.
        authenticator: The authentication of requests.
        paging: The way of paging.
        url: The base URL.
        session: The HTTP session.
        failures: What could not be read.
        statistics: Counts requests.
    """

    def __init__(
        self,
        access: Access,
        config: Mapping[str, Any],
        authenticator: AuthBase,
        paging: Paging,
        stream_count: int,
    ) -> None:
        """Prepare a connection; nothing is sent.

        Args:
            access: The settings that the API needs.
            config: The settings.
            authenticator: The authentication of requests.
            paging: The way of paging.
            stream_count: How many streams share the connection.
        """
        self.access = access
        self.authenticator = authenticator
        self.paging = paging
        self.url = str(config[access.url_setting]).rstrip("/")
        self.failures = ApiFailures()
        self.statistics = RequestStatistics()
        self.session = PrefetchingSession(
            self.url,
            max_concurrent=config["max_concurrent_requests"],
            timeout=config["request_timeout"],
            streams=stream_count,
            observer=self.statistics,
            # Without a pause between retries there is none between requests, either.
            first_pause=min(FIRST_PAUSE, config["backoff_factor"]),
        )
        self.session.auth = authenticator

    @property
    def latest_bookmark(self) -> str | None:
        """The latest timestamp that a bookmark may have, or None before the first answer."""
        first = self.session.first_answer_at
        return None if first is None else canonical((first - CLOCK_TOLERANCE).isoformat())
