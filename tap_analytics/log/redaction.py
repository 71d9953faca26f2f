"""Secrets, and how a server may spell them when it echoes them."""

from __future__ import annotations

import html
import json
import re
import string
from base64 import b64encode, urlsafe_b64encode
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Removing anything shorter would tear words apart.
_SHORTEST_FORM = 4

# `requests` leaves these characters unquoted in the target of a redirect.
_UNQUOTED_IN_REDIRECTS = "!#$%&'()*+,/:;=?@[]~"

CONTROL_CHARACTERS = r"\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069"
"""Characters that may start a new line in a log or change what a terminal shows (for `re`)."""

_CONTROL_RUN = re.compile(f"[{CONTROL_CHARACTERS}]+")
_LOWER_CASE = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)

# All forms of all secrets of this process. It only grows.
_forms: set[str] = set()


def add_secrets(secrets: Iterable[str]) -> None:
    """Let `redact` remove further secrets from now on.

    Args:
        secrets: The secrets as the settings spell them. Those of earlier calls stay.
    """
    spellings = {
        spelling
        for secret in secrets
        for encoding in _encodings(secret)
        for spelling in _spellings(encoding)
    }
    # A text that is already on one line has a single space for a run of control characters.
    spellings |= {_CONTROL_RUN.sub(" ", spelling) for spelling in spellings}
    forms = {_comparable(spelling).strip() for spelling in spellings}
    _forms.update(form for form in forms if len(form) >= _SHORTEST_FORM)


def redact(text: str) -> str:
    """Remove all known secrets from a text.

    Args:
        text: Any text, for instance what a server has sent.

    Returns:
        The text with `***` for each secret, plain or base64, in the spelling of JSON, Python, URLs
        or HTML.
    """
    comparable = _comparable(text)
    # Another thread may add secrets meanwhile, so this iterates over a copy.
    spans = [
        match.span()
        for form in tuple(_forms)
        if form in comparable
        for match in re.finditer(re.escape(form), comparable)
    ]
    if not spans:
        return text
    # Where each character of the comparable text stands in the text itself.
    places = [place for place, character in enumerate(text) if character != "\\"]
    parts = []
    end = 0
    for first, behind in sorted(spans):
        if places[first] >= end:
            parts += [text[end : places[first]], "***"]
        end = max(end, places[behind - 1] + 1)
    return "".join([*parts, text[end:]])


def _comparable(text: str) -> str:
    """Return the text without what differs between spellings: case and backslashes."""
    return text.replace("\\", "").translate(_LOWER_CASE)


def _encodings(secret: str) -> Iterator[str]:
    octets = secret.encode(errors="surrogatepass")
    yield secret
    # HTTP clients decode the head of a response this way.
    yield octets.decode("latin-1")
    # `requests` encodes credentials of a proxy in Latin-1, all others in UTF-8.
    for sent in (octets, secret.encode("latin-1", errors="replace")):
        for encode in (b64encode, urlsafe_b64encode):
            text = encode(sent).decode()
            yield text
            yield text.rstrip("=")


def _spellings(text: str) -> Iterator[str]:
    yield text
    yield json.dumps(text)[1:-1]
    yield repr(text)[1:-1]
    yield repr(text.encode(errors="replace"))[2:-1]
    yield html.escape(text)
    yield html.escape(text).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")
    for safe in ("", "/", _UNQUOTED_IN_REDIRECTS):
        spelling = quote(text, safe, errors="replace")
        yield spelling
        yield spelling.replace("%20", "+")
