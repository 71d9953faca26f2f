"""Requests of a stream: what it asks an API for."""

from __future__ import annotations

from abc import ABC
from functools import cached_property
from importlib.metadata import version
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from singer_sdk.streams.rest import PageContext

from tap_analytics._compat import override
from tap_analytics.singer.logged import LoggedStream
from tap_analytics.singer.lookahead import HintedStream, LookAhead

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import requests
    from requests.auth import AuthBase
    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context

    from tap_analytics.http.session import PrefetchingSession
    from tap_analytics.singer.connection import Connection


class ApiStream(LoggedStream, ABC):
    """A listing of an API: how it is asked for.

    Attributes:
        connection: The API, shared with its other streams.
    """

    extra_parameters: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Query parameters of every request of the stream."""

    def __init__(self, tap: Tap, connection: Connection) -> None:
        """Create the stream.

        Args:
            tap: The tap that it belongs to.
            connection: The API that lists it.
        """
        self.connection = connection
        super().__init__(tap)
        self.look_ahead = LookAhead(self)
        self._templates: dict[str, requests.PreparedRequest] = {}

    # Requests

    @property
    @override
    def requests_session(self) -> PrefetchingSession:
        return self.connection.session

    @property
    @override
    def url_base(self) -> str:
        return self.connection.url

    @property
    @override
    def authenticator(self) -> AuthBase:
        return self.connection.authenticator

    @cached_property
    @override
    def user_agent(self) -> str:
        return str(self.config.get("user_agent") or f"tap-analytics/{version('tap-analytics')}")

    @property
    @override
    def http_headers(self) -> dict[str, str]:
        # An answer from a cache is older than it looks.
        return {"Cache-Control": "no-cache"}

    @property
    @override
    def timeout(self) -> int:
        return int(self.config["request_timeout"])

    @override
    def get_url(self, context: Context | None) -> str:
        """Return the URL of a listing.

        Args:
            context: The stream's context, whose fields the path may name in braces.

        Returns:
            The URL without its query.
        """
        fields = {name: quote(str(value), safe="") for name, value in (context or {}).items()}
        return super().get_url(fields)

    @override
    def get_url_params(self, context: Context | None, next_page_token: Any) -> dict[str, Any]:
        """Return the query of a request.

        Args:
            context: The stream's context. Its fields are parameters unless the path names them.
            next_page_token: The page to ask for.

        Returns:
            The parameters by name.
        """
        fields = (context or {}).items()
        in_query = {name: value for name, value in fields if f"{{{name}}}" not in self.path}
        return {
            **self.connection.paging.parameters(next_page_token),
            **in_query,
            **self.extra_parameters,
        }

    @override
    def build_prepared_request(self, *args: Any, **kwargs: Any) -> requests.PreparedRequest:
        """Make a request. Requests of one listing differ in their query only.

        Args:
            *args: As for `requests.Request`, by position.
            **kwargs: The same by name, with the query, encoded, as `params`.

        Returns:
            The request, with authentication.
        """
        query, url = kwargs.pop("params"), kwargs["url"]
        template = self._templates.get(url)
        if template is None:
            # One listing is read at a time, so one template is enough.
            self._templates.clear()
            template = super().build_prepared_request(*args, **kwargs)
            self._templates[url] = template
            self.connection.statistics.register(str(template.url), self.statistics)
        request = template.copy()
        if query:
            request.url = f"{request.url}?{query}"
        return request

    def page_request(self, context: Context | None, page: Any) -> requests.PreparedRequest:  # noqa: ANN401 - as the API pages
        """Return the request that the SDK will make for a page, to hint at it.

        Args:
            context: The stream's context.
            page: The page, as the paginator's value.
        """
        request = self.get_http_request(page=PageContext(context, page))
        return self.build_prepared_request(
            method=request.method,
            url=request.url,
            params=request.encode_params(),
            headers=request.headers,
            data=request.data,
        )

    @property
    def children_to_hint(self) -> Sequence[HintedStream]:
        """The child streams whose first pages are known from a page of this stream."""
        return ()
