"""How errors read: one line that a person can act on."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
import requests

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_BODY = 500
"""The most characters of a response body that an error shows."""

# Characters that could begin a new line in a log or change what a terminal shows.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


def one_line(text: str, limit: int = MAX_BODY) -> str:
    """Make foreign text fit to be logged: on one line, without control characters, cut to size.

    Args:
        text: Any text.
        limit: The most characters to keep.

    Returns:
        The text, with an ellipsis where it was cut.
    """
    return cut(printable(text).strip(), limit)


def cut(line: str, limit: int) -> str:
    return line if len(line) <= limit else line[: limit - 1] + "…"


def printable(text: str) -> str:
    return _CONTROL.sub(" ", text)


def listed(names: Iterable[str]) -> str:
    """List names of settings or fields in a sentence.

    Args:
        names: One name or more.

    Returns:
        "`a`, `b` and `c`".
    """
    *rest, last = (f"`{name}`" for name in names)
    return f"{', '.join(rest)} and {last}" if rest else last


def describe(response: requests.Response) -> str:
    """Say what a server answered.

    Args:
        response: A response that is not a page of a listing.

    Returns:
        Status, path, and the API's own message with its error code and request id (what the
        vendor's support asks for), or the beginning of the body if it has none.
    """
    path = one_line(urlsplit(response.url).path, 200)
    reason = one_line(response.reason or _standard_reason(response.status_code), 100)
    line = f"{response.status_code} {reason} for {path}"
    # All but blanks is soon cut to size.
    body = response.content[: 16 * MAX_BODY].decode("utf-8", errors="replace")
    if len(response.content) > 16 * MAX_BODY:
        body = body.rstrip("\ufffd") + "…"
    details = one_line(_api_message(response.content) or body)
    return f"{line}: {details}" if details else line


def describe_failure(error: BaseException, url: str, timeout: float) -> str:
    """Say why there is no answer.

    Args:
        error: What the HTTP client raised.
        url: Where the request went.
        timeout: The time limit of the request, in seconds.

    Returns:
        The host and the reason, without the layers that the client wraps it in.
    """
    host = urlsplit(url).netloc
    root = _root(error)
    # A body that takes too long is a connection error to the client.
    if isinstance(error, requests.Timeout) or isinstance(root.__cause__, TimeoutError):
        return f"no complete answer from {host} within {timeout:g} s"
    return f"no answer from {host}: {one_line(str(root))}"


def _root(error: BaseException) -> BaseException:
    inner = getattr(error, "reason", None)
    if not isinstance(inner, BaseException):
        inner = next((arg for arg in error.args if isinstance(arg, BaseException)), None)
    return error if inner is None else _root(inner)


def _api_message(body: bytes) -> str:
    """Find the message in an error of either API.

    The creator API answers `{"error": {"message": …, "error_code": …, "request_id": …}}`, the
    experience API `{"error": …, "message": …}`.
    """
    try:
        payload = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    if not isinstance(payload, dict):
        return ""
    error: dict[str, Any] = payload["error"] if isinstance(payload.get("error"), dict) else payload
    message = error.get("message") or error.get("error")
    if not isinstance(message, str):
        return ""
    labels = {"error_code": "code", "request_id": "request id"}
    facts = [f"{label} {error[key]}" for key, label in labels.items() if error.get(key)]
    return f"{message} ({', '.join(facts)})" if facts else message


def _standard_reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown Status"
