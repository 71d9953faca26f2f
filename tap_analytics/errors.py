"""What goes wrong with a request, said in one line that a person can act on."""

from __future__ import annotations

import html
import json
import logging
import re
import string
from base64 import b64encode, urlsafe_b64encode
from copy import copy
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http import HTTPStatus
from traceback import format_exception
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import msgspec
import requests

from tap_analytics._compat import override

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_BODY = 500
"""The most characters of a response body that an error shows."""

MAX_LINE = 3 * MAX_BODY
"""The most characters of a line in the log."""

MAX_RETRY_AFTER = 15 * 60
"""The longest wait, in seconds, that a server may ask for before that is an error."""

_FOREVER = 10.0**9

# A secret of fewer characters is none, and to take it out would take words apart.
_SHORTEST_SECRET = 4

_IN_LOWER_CASE = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)

# What the HTTP client leaves as it is in the target of a redirect.
_LEFT_IN_REDIRECTS = "!#$%&'()*+,/:;=?@[]~"

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


class DiscreetFormatter(logging.Formatter):
    """Formats records of a log as another formatter does, but without credentials.

    Libraries log what a server has sent as it is, and so do tracebacks. These are shown at log
    level DEBUG only.
    """

    def __init__(self, formatter: logging.Formatter, secrets: Iterable[str]) -> None:
        """Wrap a formatter.

        Args:
            formatter: The other formatter.
            secrets: The credentials, as for `redact`.
        """
        super().__init__()
        self.formatter = formatter
        self._secrets = frozenset(secrets)

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Format a record.

        Args:
            record: The record, which other handlers find as it was.

        Returns:
            Its text, without control characters but the end of a line.
        """
        record = copy(record)
        message = record.getMessage()
        # What the HTTP client says is mostly what a server has sent.
        limit = MAX_BODY if record.name.startswith("urllib3") else MAX_LINE
        fit = "\n".join(_cut(_fit(line), limit) for line in message.split("\n"))
        if fit != message:
            record.msg, record.args = fit, ()
        error = record.exc_info[1] if record.exc_info else None
        if error and logging.getLogger().isEnabledFor(logging.DEBUG):
            record.exc_text = "".join(
                # Frames are indented, and what stands between exceptions begins with an empty line.
                part if part[0].isspace() else f"{one_line(redact(part, self._secrets))}\n"
                for part in format_exception(error)
            ).rstrip()
        else:
            record.exc_info = record.exc_text = None
        return redact(self.formatter.format(record), self._secrets)


def keep_from_log(secrets: Iterable[str]) -> None:
    """Keep credentials out of all that the process logs from now on.

    Args:
        secrets: The credentials, as for `redact`; any that have been kept out so far no longer are.
    """
    for handler in logging.getLogger().handlers:
        formatter = handler.formatter or logging.Formatter()
        if isinstance(formatter, DiscreetFormatter):
            formatter = formatter.formatter
        handler.setFormatter(DiscreetFormatter(formatter, secrets))


def one_line(text: str, limit: int = MAX_BODY) -> str:
    """Make foreign text fit to be logged: on one line, without control characters, cut to size.

    Args:
        text: Any text.
        limit: The most characters to keep.

    Returns:
        The text, with an ellipsis where it was cut.
    """
    return _cut(_fit(text).strip(), limit)


def _cut(line: str, limit: int) -> str:
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


def redact(text: str, secrets: Iterable[str]) -> str:
    """Take credentials out of a text, also where a server has echoed them.

    Args:
        text: Any text.
        secrets: The credentials, as they stand in the settings.

    Returns:
        The text with `***` for each credential, plain or base64, in the spelling of JSON, Python,
        URLs or HTML, and for the beginning of one that `one_line` has cut.
    """
    forms = _forms(frozenset(secrets))
    plain = _plain(text)
    spans = [
        (match.start(), match.end())
        for form in forms
        if form in plain
        for match in re.finditer(re.escape(form), plain)
    ]
    spans += [
        (start, cut.start())
        for cut in re.finditer("…", plain)
        for form in forms
        if (start := _find_beginning(form, plain, cut.start())) is not None
    ]
    if not spans:
        return text
    places = [place for place, character in enumerate(text) if character != "\\"]
    parts = []
    end = 0
    for first, behind in sorted(spans):
        if places[first] >= end:
            parts += [text[end : places[first]], "***"]
        end = max(end, places[behind - 1] + 1)
    return "".join([*parts, text[end:]])


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


def _find_beginning(form: str, text: str, end: int) -> int | None:
    """Find what of a text, up to its end, is the beginning of a form."""
    start = text.find(form[:_SHORTEST_SECRET], max(0, end - len(form)), end)
    while start >= 0 and not form.startswith(text[start:end]):
        start = text.find(form[:_SHORTEST_SECRET], start + 1, end)
    return start if start >= 0 else None


@lru_cache
def _forms(secrets: frozenset[str]) -> frozenset[str]:
    """List all that credentials can look like."""
    encoded = {text for secret in secrets for text in _encodings(secret)}
    forms = {_plain(_fit(form)).strip() for text in encoded for form in _spellings(text)}
    return frozenset(form for form in forms if len(form) >= _SHORTEST_SECRET)


def _plain(text: str) -> str:
    """Leave out what differs where other characters are escaped, or escapes spelled otherwise."""
    return text.replace("\\", "").translate(_IN_LOWER_CASE)


def _fit(text: str) -> str:
    return _CONTROL.sub(" ", text)


def _encodings(secret: str) -> Iterator[str]:
    octets = secret.encode(errors="surrogatepass")
    yield secret
    # What HTTP clients make of it in the head of a response.
    yield octets.decode("latin-1")
    # The latter is what the HTTP client makes of the credentials of a proxy.
    for sent in (octets, secret.encode("latin-1", errors="replace")):
        for encode in (b64encode, urlsafe_b64encode):
            text = encode(sent).decode()
            yield text
            yield text.rstrip("=")


def _spellings(text: str) -> Iterator[str]:
    yield text
    yield json.dumps(text)[1:-1]
    yield repr(text.encode(errors="replace"))[2:-1]
    yield html.escape(text)
    yield html.escape(text).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")
    for safe in ("", "/", _LEFT_IN_REDIRECTS):
        spelling = quote(text, safe, errors="replace")
        yield spelling
        yield spelling.replace("%20", "+")
