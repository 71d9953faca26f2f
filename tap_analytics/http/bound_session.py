"""A session that is bound to one server: its proxies, its certificates, its credentials."""

from __future__ import annotations

from copy import copy
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import requests

from tap_analytics._compat import override
from tap_analytics.exceptions import UnsafeRedirectError
from tap_analytics.http.transport import TimedAdapter
from tap_analytics.log.wording import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class BoundSession(requests.Session):
    """A session that looks up the environment once, and takes credentials to no other host."""

    def __init__(
        self,
        url: str,
        max_connections: int,
        on_resend: Callable[[requests.PreparedRequest], None],
    ) -> None:
        """Create a session.

        Args:
            url: The base URL of the server.
            max_connections: The most connections that are kept open.
            on_resend: Called before a request is sent again on another connection.
        """
        super().__init__()
        for scheme in ("http://", "https://"):
            self.mount(scheme, TimedAdapter(max_connections, on_resend))
        # The search for proxies and certificates takes longer than many a request. For one host,
        # the result is always the same.
        self._environment = self.merge_environment_settings(url, {}, None, None, None)

    @property
    def proxy_secrets(self) -> Iterator[str]:
        """The credentials in the URLs of proxies, as they are written and as they are sent."""
        for url in self._environment["proxies"].values():
            # What is not a URL counts, too: an error message would show it.
            login = url.rpartition("@")[0].split("://", 1)[-1]
            for part in (login, login.partition(":")[2]):
                yield part
                yield unquote(part)

    def exchange(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send a request at once, with authentication, which may be short-lived.

        Args:
            request: The request, which stays as it is.
            **kwargs: As for `requests.Session.send`.

        Returns:
            The response, of any status.
        """
        kwargs = {**self._environment, **kwargs}
        # `request.copy()` is slower: it also copies cookies and hooks.
        request = copy(request)
        request.headers = request.headers.copy()
        if callable(self.auth):
            request = self.auth(request)
        began = monotonic()
        response = self.get_adapter(str(request.url)).send(request, **kwargs)
        response.elapsed = timedelta(seconds=monotonic() - began)
        if response.is_redirect:
            # `Session.send` also looks for redirects, cookies and hooks in each other response.
            # That takes as long as the request itself.
            hops = [response, *self.resolve_redirects(response, request, **kwargs)]
            response = hops.pop()
            response.history = hops
        response.content  # noqa: B018 - reads the body
        return response

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
