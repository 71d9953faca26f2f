"""The description of an API, and its connection during one run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from requests.auth import HTTPBasicAuth

from tap_analytics.config.access import Access
from tap_analytics.http.session import PrefetchingSession
from tap_analytics.listing.timestamps import canonical
from tap_analytics.singer.failures import ApiFailures
from tap_analytics.singer.statistics import RequestStatistics

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from requests.auth import AuthBase
    from singer_sdk import RESTStream

    from tap_analytics.listing.paging import Paging

CLOCK_TOLERANCE = timedelta(minutes=5)
"""By how much a bookmark stays behind the first answer: clocks differ, and rows appear late."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Api(Access):
    """All that there is to say about an API.

    Attributes:
        authenticator: Makes the authentication from the settings.
        paging: Makes the way of paging from the settings.
        streams: Lists the stream classes, which may depend on the settings.
    """

    authenticator: Callable[[Mapping[str, Any]], AuthBase]
    paging: Callable[[Mapping[str, Any]], Paging]
    streams: Callable[[Mapping[str, Any]], Sequence[type[RESTStream[Any]]]]


def basic_auth(user: str, password: str) -> Callable[[Mapping[str, Any]], AuthBase]:
    """Authenticate with user name and password.

    Args:
        user: The setting that holds the user name.
        password: The setting that holds the password.

    Returns:
        What an `Api` wants as its `authenticator`.
    """
    # RFC 7617 has no default charset. UTF-8 is the one that both sides can tell.
    return lambda config: HTTPBasicAuth(
        str(config[user]).encode(),  # type: ignore[arg-type] # typed as text only
        str(config[password]).encode(),  # type: ignore[arg-type]
    )


class Connection:
    """An API during one run: what its streams share.

    Attributes:
        api: The description.
        session: The HTTP session.
        paging: The way of paging.
        failures: What could not be read.
        statistics: Counts requests.
    """

    def __init__(self, api: Api, config: Mapping[str, Any], stream_count: int) -> None:
        """Prepare a connection; nothing is sent.

        Args:
            api: The description.
            config: The settings.
            stream_count: How many streams share the connection.
        """
        self.api = api
        self.url = str(config[api.url_setting]).rstrip("/")
        self.paging = api.paging(config)
        self.failures = ApiFailures()
        self.statistics = RequestStatistics()
        self.session = PrefetchingSession(
            self.url,
            max_concurrent=config["max_concurrent_requests"],
            timeout=config["request_timeout"],
            streams=stream_count,
            observer=self.statistics,
        )

    @property
    def latest_bookmark(self) -> str | None:
        """The latest timestamp that a bookmark may have, or None before the first answer."""
        first = self.session.first_answer_at
        return None if first is None else canonical((first - CLOCK_TOLERANCE).isoformat())
