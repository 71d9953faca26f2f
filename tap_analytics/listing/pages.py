"""A response body as the records it lists."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from email.message import Message
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import msgspec

from tap_analytics.exceptions import NoListingError, NotJSONError

if TYPE_CHECKING:
    import requests


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing.

    Attributes:
        records: The records, as the API sent them: integers of any size, decimals as `Decimal`.
        mended: Positions of records with text that was not valid Unicode, where U+FFFD now stands
            for what could not be read.
    """

    records: list[Any]
    mended: frozenset[int] = field(default_factory=frozenset)


_pages: WeakKeyDictionary[requests.Response, Page] = WeakKeyDictionary()


def page_of(response: requests.Response, *, is_object: bool = False) -> Page:
    """Read a response, once: validation, paginator and parser share the result.

    Args:
        response: A response with a success status and its body read.
        is_object: As for `read_page`.

    Returns:
        The page in it. A response without content (204) is an empty page.

    Raises:
        NotJSONError: If the body is not JSON.
        NoListingError: If it is JSON of another shape than the API uses for the listing.
    """
    page = _pages.get(response)
    if page is None:
        if response.status_code == HTTPStatus.NO_CONTENT:
            page = Page([])
        else:
            kind = response.headers.get("Content-Type", "")
            page = read_page(response.content, kind, is_object=is_object)
        _pages[response] = page
    return page


def read_page(body: bytes, content_type: str = "", *, is_object: bool = False) -> Page:
    """Read the body of a listing.

    The creator API (and the seeds of both) answers `{"data": [...], "metadata": {"limit": 10}}`,
    the live experience API a bare array; `"data": null` is an empty list. With `is_object`, a bare
    object is the only record, and an empty one or `null` is none.

    Args:
        body: A JSON text, in UTF-8, UTF-16 or UTF-32 with or without a byte order mark, or else in
            the charset of `content_type`.
        content_type: The `Content-Type` of the response.
        is_object: Whether the listing is one bare object, without `data`.

    Returns:
        The page in it.

    Raises:
        NotJSONError: If the body is not JSON.
        NoListingError: If it is JSON of another shape.
    """
    payload, intact = _decode(body, content_type)
    if is_object and (payload is None or (isinstance(payload, dict) and "data" not in payload)):
        payload = [payload] if payload else []
    records = payload
    if isinstance(payload, dict):
        if "data" not in payload:
            message = "the response has no `data`"
            raise NoListingError(message)
        records = [] if payload["data"] is None else payload["data"]
    if not isinstance(records, list):
        message = f"the response holds {_JSON_NAMES[type(records)]} where a list is expected"
        raise NoListingError(message)
    try:
        mended = frozenset[int]() if intact else _mend(records)
    except RecursionError as error:
        raise NoListingError(_TOO_DEEP) from error
    return Page(records, mended)


_JSON_NAMES: dict[type, str] = {
    bool: "a boolean",
    dict: "an object",
    Decimal: "a number",
    int: "a number",
    str: "a text",
    type(None): "null",
}

_decoder = msgspec.json.Decoder(float_hook=Decimal)


def _decode(body: bytes, content_type: str) -> tuple[Any, bool]:
    """Decode JSON, and tell whether all text in it is sure to be valid Unicode."""
    try:
        return _decoder.decode(body), True
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    except RecursionError as error:
        raise NoListingError(_TOO_DEEP) from error
    # msgspec rejects half of a surrogate pair. Services send them when they cut an emoji in two.
    # One character must not cost the whole page.
    try:
        text = _text(body, content_type)
        payload = json.loads(text, parse_float=Decimal, parse_constant=_reject_constant)
    except RecursionError as error:
        raise NoListingError(_TOO_DEEP) from error
    except ValueError as error:
        message = f"the response is not JSON ({error})"
        raise NotJSONError(message) from error
    return payload, False


def _text(body: bytes, content_type: str) -> str:
    """Decode a text that is not, or not valid, UTF-8."""
    headers = Message()
    headers["Content-Type"] = content_type
    # JSON is UTF-8 (RFC 8259, 8.1), also where a header says otherwise; but some services mean it.
    for encoding in (json.detect_encoding(body), headers.get_content_charset()):
        with suppress(LookupError, UnicodeDecodeError):
            return body.decode(encoding or "utf-8")
    return body.decode("utf-8-sig", errors="replace")


_TOO_DEEP = "the response is nested too deeply to be read"


def _reject_constant(name: str) -> None:
    message = f"{name} is no JSON number"
    raise ValueError(message)


def _mend(records: list[Any]) -> frozenset[int]:
    mended = set()
    for position, record in enumerate(records):
        # Most records of the page are intact, which is soon seen of their text as a whole.
        text = json.dumps(record, default=str, ensure_ascii=False)
        try:
            text.encode()
        except UnicodeEncodeError:
            records[position] = _valid_text(record)
            mended.add(position)
        else:
            if "\ufffd" in text:
                mended.add(position)
    return frozenset(mended)


def _valid_text(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, list):
        return [_valid_text(item) for item in value]
    if isinstance(value, dict):
        return {_valid_text(key): _valid_text(item) for key, item in value.items()}
    return value
