"""Credentials are kept out of the log."""

from __future__ import annotations

import html
import json
import logging
import re
import string
from base64 import b64encode, urlsafe_b64encode
from copy import copy
from functools import lru_cache
from traceback import format_exception
from typing import TYPE_CHECKING
from urllib.parse import quote

from tap_analytics._compat import override
from tap_analytics.log.wording import MAX_BODY, cut, one_line, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_LINE = 3 * MAX_BODY
"""The most characters of a line in the log."""

# A secret of fewer characters is none, and to take it out would take words apart.
_SHORTEST_SECRET = 4

_IN_LOWER_CASE = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)

# What the HTTP client leaves as it is in the target of a redirect.
_LEFT_IN_REDIRECTS = "!#$%&'()*+,/:;=?@[]~"


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
        fit = "\n".join(cut(printable(line), limit) for line in message.split("\n"))
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
    forms = {_plain(printable(form)).strip() for text in encoded for form in _spellings(text)}
    return frozenset(form for form in forms if len(form) >= _SHORTEST_SECRET)


def _plain(text: str) -> str:
    """Leave out what differs where other characters are escaped, or escapes spelled otherwise."""
    return text.replace("\\", "").translate(_IN_LOWER_CASE)


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
