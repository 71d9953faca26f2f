"""Which failures are worth another try, and when."""

from __future__ import annotations

import re
import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING

import requests
from urllib3.exceptions import InvalidHeader, NameResolutionError, NewConnectionError
from urllib3.util import Retry

from tap_analytics.log.wording import innermost

if TYPE_CHECKING:
    from collections.abc import Generator

MAX_RETRY_AFTER = 15 * 60
"""The longest wait that a server may ask for, in seconds. A longer one is an error."""

RETRIED_STATUSES = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
"""Statuses of responses that another try may improve."""

THROTTLED_STATUSES = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
"""Statuses that say that there are too many requests."""

RETRIED_ERRORS = (
    requests.Timeout,
    requests.ConnectionError,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)
"""Errors of transport that may not come again."""

# An HTTP date holds a comma after the day of the week.
_LISTED = re.compile(r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,[^,]+|[^,]+")
# Numbers that urllib3 can't read, or that are too long for an `int`.
_FRACTION = re.compile(r"\d+\.\d*|\d{10,}", re.ASCII)


def retry_after(response: requests.Response) -> float:
    """Read the `Retry-After` header.

    Args:
        response: Any response.

    Returns:
        The seconds to wait: a number, also with a fraction, or the time until an HTTP date. The
        longest of several, at most six hours. 0 if there is no such header, or none that can be
        read.
    """
    values = _LISTED.findall(response.headers.get("Retry-After", ""))
    return max(map(_seconds, values), default=0.0)


def _seconds(value: str) -> float:
    if _FRACTION.fullmatch(value.strip()):
        return min(float(value), Retry.DEFAULT_RETRY_AFTER_MAX)
    try:
        return float(Retry().parse_retry_after(value))
    except (InvalidHeader, ValueError, OverflowError):
        return 0.0


def is_passing(outcome: requests.Response | BaseException) -> bool:
    """Return whether a request has failed in a way that another try may improve.

    Args:
        outcome: The response, or why there is none.

    Returns:
        False for a response that is not a failure, too.
    """
    if isinstance(outcome, requests.Response):
        return outcome.status_code in RETRIED_STATUSES and retry_after(outcome) <= MAX_RETRY_AFTER
    return isinstance(outcome, RETRIED_ERRORS)


def has_invalid_certificate(error: BaseException) -> bool:
    """Return whether the server's certificate is not valid. Asking again does not help then.

    Args:
        error: Why there is no response. Other errors of TLS may not come again: servers under
            load close connections in the middle of a handshake.
    """
    return isinstance(innermost(error), ssl.SSLCertVerificationError)


def is_unreachable(error: BaseException) -> bool:
    """Return whether there is no connection to the server at all.

    Args:
        error: Why there is no response.

    Returns:
        True if its name is unknown, it accepts no connections, TLS fails, or the proxy on the way
        to it can't be reached. No other request will fare better.
    """
    if isinstance(error, requests.exceptions.SSLError | requests.exceptions.ProxyError):
        return True
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(error, requests.ConnectionError) and isinstance(
        reason, NewConnectionError | NameResolutionError
    )


def wait_times(backoff_factor: float) -> Generator[float, BaseException, None]:
    """Generate waits for `backoff`, which sends in each error.

    Args:
        backoff_factor: The seconds before the first retry. Each further wait is twice as long.

    Yields:
        The seconds to wait before the next try, or more if the response of the error asks for
        more. The first value is not a wait: it starts the generator.
    """
    wait = backoff_factor
    error = yield 0.0
    while True:
        response = getattr(error, "response", None)
        asked = retry_after(response) if isinstance(response, requests.Response) else 0.0
        error = yield max(wait, asked)
        wait *= 2
