"""What goes over the wire: requests, and replies to them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from email.message import Message

# JSON spells this character \u0000, and no text that is served has it.
_MARK = "\0"


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it arrived.

    Attributes:
        method: `GET`, as a rule.
        path: The path, without the query.
        query: The parameters; of a repeated one the last.
        headers: The headers, by name in upper or lower case; one that is absent is `None`.
        time: When it arrived, in seconds of `time.monotonic()`.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: Message
    time: float


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, or a way not to give one.

    Attributes:
        status: The HTTP status.
        body: Bytes and text are sent as they are, anything else as JSON.
        headers: Sent besides `Content-Type` and `Content-Length`, or in their place.
        fault: `"drop"` closes the connection without an answer, `"cut"` after half of the body.
        delay: Seconds to wait before answering.
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
        """Answer with JSON, also where the value is a text.

        Args:
            value: Anything `encode` takes.
            status: The HTTP status.
            headers: Further headers.

        Returns:
            The reply.
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
    """Write JSON in ASCII; a `Decimal` keeps every digit, half an emoji stays half."""
    text = json.dumps(value, default=_mark)
    return re.sub(r'"\\u0000([^"]*)"', r"\1", text).encode()


def _mark(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{_MARK}{value}"
    message = f"{type(value).__name__} can't be written as JSON"
    raise TypeError(message)
