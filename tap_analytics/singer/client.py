"""Requests of a stream: what it asks an API for."""

from __future__ import annotations

from abc import ABC
from copy import copy
from functools import cache, cached_property, lru_cache
from importlib.metadata import version
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote, quote_plus, urlencode

from tap_analytics._compat import override
from tap_analytics.singer.logged import LoggedStream
from tap_analytics.singer.lookahead import HintedChild, LookAhead

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import requests
    from requests.auth import AuthBase
    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context

    from tap_analytics.http.session import PrefetchingSession
    from tap_analytics.listing.paging import Paging
    from tap_analytics.singer.connection import Connection


_quote = lru_cache(quote_plus)
"""Quotes a part of a query. Each is needed several times in a row."""


@cache
def _version() -> str:
    return version("tap-analytics")


class ApiStream(LoggedStream, ABC):
    """A listing of an API: how it is asked for.

    Attributes:
        connection: The API, shared with its other streams.
        paging: The way of paging.
    """

    extra_parameters: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Query parameters of every request of the stream."""

    own_paging: ClassVar[Paging | None] = None
    """The way of paging, where it is not that of the API's other listings."""

    def __init__(self, tap: Tap, connection: Connection) -> None:
        """Create the stream.

        Args:
            tap: The tap that it belongs to.
            connection: The API that lists it.
        """
        self.connection = connection
        self.paging: Paging = self.own_paging or connection.paging
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
        return str(self.config.get("user_agent") or f"tap-analytics/{_version()}")

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
        fields = {
            name: quote(str(value), safe="")
            for name, value in (context or {}).items()
            if f"{{{name}}}" in self.path
        }
        return super().get_url(fields) if fields else self._own_url

    @cached_property
    def _own_url(self) -> str:
        return super().get_url(None)

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
            **self.paging.parameters(next_page_token),
            **in_query,
            **self.extra_parameters,
        }

    def page_request(self, context: Context | None, page: Any) -> requests.PreparedRequest:  # noqa: ANN401 - as the API pages
        """Return the request for a page.

        Args:
            context: The stream's context.
            page: The page, as the paginator's value.

        Returns:
            The request.
        """
        template = self._template(self.get_url(context))
        request = copy(template)
        if query := urlencode(self.get_url_params(context, page), quote_via=_quote):
            request.url = f"{template.url}?{query}"
        return request

    def _template(self, url: str) -> requests.PreparedRequest:
        """Return a request without its query. Requests of one listing differ in nothing else."""
        template = self._templates.get(url)
        if template is None:
            # One listing is read at a time, so one template is enough.
            self._templates.clear()
            template = self.build_prepared_request("GET", url, headers=self.http_headers)
            self._templates[url] = template
            self.connection.statistics.register(str(template.url), self.statistics)
        return template

    @property
    def children_to_hint(self) -> Sequence[HintedChild]:
        """The child streams whose first pages are known from a page of this stream."""
        return ()
