"""What goes wrong with a request, said in one line that a person can act on."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import msgspec
import requests

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_BODY = 500
"""The most characters of a response body that an error shows."""

MAX_RETRY_AFTER = 15 * 60
"""The longest wait, in seconds, that a server may ask for before that is an error."""

_FOREVER = 10.0**9

# A secret of fewer characters is none, and to take it out would take words apart.
_SHORTEST_SECRET = 4

# Whatever could begin a new line in a log or change what a terminal shows.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


class IncompleteSyncError(Exception):
    """Some streams could not be read; the others have been synced.

    Attributes:
        failures: A line for each, or one for several that failed for the same reason.
    """

    def __init__(self, failures: list[str]) -> None:
        """Take note of what failed."""
        super().__init__("; ".join(failures))
        self.failures = failures


def one_line(text: str, limit: int = MAX_BODY) -> str:
    """Make foreign text fit to be logged: on one line, without control characters, cut to size.

    Args:
        text: Any text.
        limit: The most characters to keep.

    Returns:
        The text, with an ellipsis where it was cut.
    """
    line = _CONTROL.sub(" ", text).strip()
    return line if len(line) <= limit else line[: limit - 1] + "…"


def listed(names: Iterable[str]) -> str:
    """List names of settings or fields in a sentence.

    Args:
        names: One name or more.

    Returns:
        "`a`, `b` and `c`".
    """
    *rest, last = (f"`{name}`" for name in names)
    return f"{', '.join(rest)} and {last}" if rest else last


def describe(response: requests.Response, secrets: Iterable[str] = ()) -> str:
    """Say what a server answered.

    Args:
        response: A response that is not a page of a listing.
        secrets: What must not be shown, also if the server has echoed it.

    Returns:
        Status, path, and the API's own message with its error code and request id (what the
        vendor's support asks for), or the beginning of the body if it has none.
    """
    path = urlsplit(response.url).path
    reason = one_line(response.reason or _standard_reason(response.status_code), 100)
    line = f"{response.status_code} {reason} for {path}"
    message = _api_message(response.content)
    if message:
        details = redact(message, secrets)
    else:
        # Before it is cut to size, or half a secret would be left; so the end is dropped, too.
        excerpt = response.content[: 16 * MAX_BODY].decode("utf-8", errors="replace")
        is_cut = len(response.content) > 16 * MAX_BODY
        details = redact(excerpt, secrets)[: -4 * MAX_BODY if is_cut else None]
    return f"{line}: {one_line(details)}" if details.strip() else line


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


def redact(text: str, secrets: Iterable[str]) -> str:
    """Take credentials out of a text, also where a server has echoed them.

    Args:
        text: Any text.
        secrets: The credentials, as they stand in the settings.

    Returns:
        The text with `***` for each credential: plain, as JSON spells it, base64, URL-encoded.
    """
    long_enough = [secret for secret in secrets if len(secret) >= _SHORTEST_SECRET]
    forms = {form for secret in long_enough for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, "***")
    return text


def retry_after(response: requests.Response) -> float:
    """Read the `Retry-After` header.

    Args:
        response: Any response.

    Returns:
        The seconds that the server asks to wait, from its number or its HTTP date (RFC 9110,
        10.2.3), 0 if it asks for none or can't be understood.
    """
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), _FOREVER)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


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


def _forms(secret: str) -> Iterator[str]:
    yield secret
    yield quote(secret, safe="")
    yield b64encode(secret.encode()).decode()
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
