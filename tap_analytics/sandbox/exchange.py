"""Requests, and the replies to them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from email.message import Message

# In JSON this character is \u0000. No served text contains it.
_MARK = "\0"


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it arrived.

    Attributes:
        method: The HTTP method, usually `GET`.
        path: The path, without the query.
        query: The parameters by name. Of a repeated one, the last value.
        headers: The headers by name, in upper or lower case. A header that is absent is `None`.
        time: When the request arrived, in seconds of `time.monotonic()`.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: Message
    time: float


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to a request, or a failure to answer.

    Attributes:
        status: The HTTP status.
        body: The body. Bytes and text are sent as they are, anything else as JSON.
        headers: Headers to send. They replace `Content-Type`, `Content-Length` and `Date`, which
            are sent otherwise.
        fault: `"drop"` closes the connection without an answer, `"cut"` after half of the body.
        delay: Seconds to wait before the answer.
    """

    status: int = 200
    body: object = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: Literal["drop", "cut"] | None = None
    delay: float = 0.0

    @classmethod
    def json(
        cls, value: object, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Return a reply with a body of JSON, also if the value is a text.

        Args:
            value: Any value that `encode` takes.
            status: The HTTP status.
            headers: Further headers.

        Returns:
            The reply.

        Raises:
            TypeError: JSON has no form for the value.
        """
        return cls(
            status, encode(value), {"Content-Type": "application/json"} | dict(headers or {})
        )

    @property
    def content(self) -> bytes:
        """The body as it is sent."""
        match self.body:
            case bytes():
                return self.body
            case str():
                return self.body.encode()
            case _:
                return encode(self.body)


def encode(value: object) -> bytes:
    """Write a value as JSON in ASCII.

    Args:
        value: The value. A `Decimal` keeps every digit, and a lone surrogate stays as it is.

    Returns:
        The JSON.

    Raises:
        TypeError: JSON has no form for the value.
    """
    text = json.dumps(value, default=_mark)
    return re.sub(r'"\\u0000([^"]*)"', r"\1", text).encode()


def _mark(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{_MARK}{value}"
    message = f"{type(value).__name__} can't be written as JSON"
    raise TypeError(message)
