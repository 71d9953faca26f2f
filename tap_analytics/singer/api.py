"""The description of an API: all that differs between APIs."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from requests.auth import HTTPBasicAuth

from tap_analytics.config.access import Access
from tap_analytics.singer.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from requests.auth import AuthBase
    from singer_sdk import Stream

    from tap_analytics.listing.paging import Paging
    from tap_analytics.singer.stream import AnalyticsStream


EVERYTHING = MappingProxyType({"all_streams": True, "content_by_account": True})
"""The settings with which all streams exist."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Api(Access):
    """The description of an API.

    Attributes:
        authenticator: Makes the authentication from the settings.
        paging: Makes the way of paging from the settings.
        streams: Lists the stream classes, which may depend on the settings.
    """

    authenticator: Callable[[Mapping[str, Any]], AuthBase]
    paging: Callable[[Mapping[str, Any]], Paging]
    streams: Callable[[Mapping[str, Any]], Sequence[type[AnalyticsStream]]]

    def stream_names(self, config: Mapping[str, Any]) -> set[str]:
        """Return the names of the streams.

        Args:
            config: The settings.
        """
        return {_name_of(stream) for stream in self.streams(config)}

    def missing_settings(self, stream: str, config: Mapping[str, Any]) -> list[str]:
        """Return which settings a stream needs that are not switched on.

        Args:
            stream: The name of a stream that does not exist with these settings.
            config: The settings.
        """
        return [
            name
            for name in EVERYTHING
            if stream not in self.stream_names({**EVERYTHING, name: False}) and not config[name]
        ]

    def connect(self, config: Mapping[str, Any]) -> Connection:
        """Prepare a connection for one run; nothing is sent.

        Args:
            config: The settings.

        Returns:
            What the streams of the API share.
        """
        authenticator = self.authenticator(config)
        stream_count = len(self.streams(config))
        return Connection(self, config, authenticator, self.paging(config), stream_count)


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
        str(config.get(user)).encode(), str(config.get(password)).encode()
    )


def parents_of_streams(apis: Sequence[Api]) -> dict[str, str | None]:
    """Return the names of all streams of all APIs, each with that of its parent stream, if any.

    Args:
        apis: The APIs.
    """
    # Where a stream may have a parent or not, its name is the same.
    return {
        _name_of(stream): _name_of(stream.parent_stream_type) if stream.parent_stream_type else None
        for api in apis
        for stream in api.streams(EVERYTHING)
    }


def _name_of(stream: type[Stream]) -> str:
    return str(stream.name)  # type: ignore[misc] # the SDK declares it for instances
