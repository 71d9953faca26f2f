"""How long answers take."""

from __future__ import annotations

import re
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import requests

_IDENTIFIER = re.compile(r"[^/]*\d[^/]*")


class RoundTrips:
    """The shortest recent time to an answer, per endpoint.

    An endpoint is a URL without its query. Each part with a digit counts as an identifier.
    """

    def __init__(self) -> None:
        """Begin without an answer."""
        self._seconds: dict[str, float] = {}

    def at(self, url: str | None) -> float:
        """Return the time of an endpoint in seconds, infinite before its first answer.

        Args:
            url: A URL of the endpoint.
        """
        return self._seconds.get(_endpoint(url), inf)

    def add(self, response: requests.Response) -> None:
        """Note an answer.

        Args:
            response: The answer, after all redirects.
        """
        endpoint = _endpoint([*response.history, response][0].url)
        # The shortest recent time: longer ones may include waits for the interpreter.
        known = 1.1 * self._seconds.get(endpoint, inf)
        self._seconds[endpoint] = min(response.elapsed.total_seconds(), known)


def _endpoint(url: str | None) -> str:
    return _IDENTIFIER.sub("*", (url or "").partition("?")[0])
