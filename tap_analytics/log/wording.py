"""The wording of errors: one line that a person can act on."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
import requests

from tap_analytics.log.redaction import CONTROL_CHARACTERS, redact

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_BODY = 500
"""The most characters of a response body that an error shows."""

_CONTROL_RUN = re.compile(f"[{CONTROL_CHARACTERS}]+")
_CONNECTION = re.compile(r"^HTTPS?Connection\(host='([^']*)', port=(\d+)\): ")


def one_line(text: str, limit: int = MAX_BODY) -> str:
    """Return foreign text fit for a log: one line, without secrets or control characters.

    Args:
        text: Any text.
        limit: The most characters to keep.

    Returns:
        The text, with an ellipsis where it is cut.
    """
    return _cut(redact(_printable(text).strip()), limit)


def safe_line(text: str, limit: int) -> str:
    """Return a line like `one_line`, but with the spaces at its beginning and end.

    Args:
        text: Any text.
        limit: The most characters to keep.

    Returns:
        The text, with an ellipsis where it is cut.
    """
    return _cut(redact(_printable(text)), limit)


def _printable(text: str) -> str:
    return _CONTROL_RUN.sub(" ", text)


def _cut(line: str, limit: int) -> str:
    # Secrets must be gone by now: half of one is not recognized.
    return line if len(line) <= limit else line[: limit - 1] + "…"


def listed(names: Iterable[str]) -> str:
    """Return names of settings or fields as a part of a sentence.

    Args:
        names: One name or more.

    Returns:
        "`a`, `b` and `c`".
    """
    *rest, last = (f"`{name}`" for name in names)
    return f"{', '.join(rest)} and {last}" if rest else last


def describe(response: requests.Response) -> str:
    """Describe an answer in one line.

    Args:
        response: A response that is not a page of a listing.

    Returns:
        Status, path, and the API's own message with its error code and request id (the vendor's
        support asks for them), or the beginning of the body if there is no message.
    """
    path = one_line(urlsplit(response.url).path, 200)
    reason = one_line(response.reason or _standard_reason(response.status_code), 100)
    line = f"{response.status_code} {reason} for {path}"
    body = response.content
    details = one_line(_api_message(body) or body.decode("utf-8", errors="replace"))
    return f"{line}: {details}" if details else line


def describe_failure(error: BaseException, url: str, timeout: float) -> str:
    """Describe in one line why there is no answer.

    Args:
        error: The exception that the HTTP client has raised.
        url: The URL of the request.
        timeout: The time limit of the request, in seconds.

    Returns:
        The host and the innermost reason, without the exceptions that the client wraps it in.
    """
    host = urlsplit(url).netloc
    root = innermost(error)
    # For the client, a body that takes too long is a connection error.
    if isinstance(error, requests.Timeout) or isinstance(root.__cause__, TimeoutError):
        return f"no complete answer from {host} within {timeout:g} s"
    # urllib3 begins with the connection. That names a proxy, or what has just been said.
    reason = _CONNECTION.sub(
        lambda at: "" if host in (at[1], f"{at[1]}:{at[2]}") else f"{at[1]}:{at[2]}: ", str(root)
    )
    return f"no answer from {host}: {one_line(reason)}"


def innermost(error: BaseException) -> BaseException:
    """Return the reason of a failure, without the exceptions that HTTP clients wrap it in.

    Args:
        error: The exception that the HTTP client has raised.
    """
    inner = getattr(error, "reason", None)
    if not isinstance(inner, BaseException):
        inner = next((arg for arg in error.args if isinstance(arg, BaseException)), None)
    return error if inner is None else innermost(inner)


def _api_message(body: bytes) -> str:
    """Return the message in an error of either API, or nothing.

    The creator API answers `{"error": {"message": …, "error_code": …, "request_id": …}}`, the
    experience API `{"error": …, "status": …, "title": …, "detail": …}`.
    """
    try:
        payload = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    if not isinstance(payload, dict):
        return ""
    error: dict[str, Any] = payload["error"] if isinstance(payload.get("error"), dict) else payload
    messages = (error.get(key) for key in ("message", "detail", "error", "title"))
    message = next((text for text in messages if text and isinstance(text, str)), "")
    if not message:
        return ""
    labels = {"error_code": "code", "request_id": "request id"}
    facts = [f"{label} {error[key]}" for key, label in labels.items() if error.get(key)]
    return f"{message} ({', '.join(facts)})" if facts else message


def _standard_reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown Status"
