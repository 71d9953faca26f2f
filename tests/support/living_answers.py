"""Answers, as the bytes that are sent."""

from __future__ import annotations

import json
from email.utils import format_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

HTML = b"<!doctype html><title>Please wait</title>"

HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"
"""What may come before an answer."""

NOTHING = b""
"""Sent by closing the connection."""

WAITS = {"500": "0", "502": "0", "503": "0", "429": "0", "an hour": "3600"}
"""What `Retry-After` says, by the kind of a failure."""


def reply(date: datetime | None, status: int, body: object, *more: str) -> bytes:
    """Return an answer.

    Args:
        date: What the clock of the front end shows, None if the answer doesn't tell.
        status: The status.
        body: What is sent, bytes as they are and all else as JSON.
        more: Further lines of the head.
    """
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = "text/html" if content == HTML else "application/json"
    head = [f"HTTP/1.1 {status} -", f"Content-Type: {kind}", f"Content-Length: {len(content)}"]
    if date is not None:
        head.append(f"Date: {format_datetime(date, usegmt=True)}")
    return "\r\n".join([*head, *more, "", ""]).encode() + content


def refusal(date: datetime | None, status: int, message: str, *more: str) -> bytes:
    """Return an answer that holds an error, in the form of the creator API."""
    error = {
        "type": "ERROR",
        "error_code": "MISSING_FIELDS",
        "message": message,
        "request_id": "r-1",
        "http_status_code": status,
    }
    return reply(date, status, {"error": error}, *more)


def failure(date: datetime | None, kind: str) -> bytes:
    """Return what is sent where something has gone wrong."""
    match kind:
        case "html":
            return reply(date, 200, HTML)
        case "202":
            return reply(date, 202, b"")
        case "drop":
            return NOTHING
        case "cut":
            return reply(date, 200, {"data": []})[:-5]
        case "redirect":
            return reply(date, 302, b"", "Location: http://127.0.0.2:9/elsewhere")
    more = [f"Retry-After: {WAITS[kind]}"] if kind in WAITS else []
    status = 429 if kind == "an hour" else int(kind)
    return refusal(date, status, "Not now", *more)


def is_whole(answer: bytes) -> bool:
    """Return whether an answer holds as much as it says."""
    head, _, body = answer.rpartition(b"\r\n\r\n")
    length = head.rpartition(b"Content-Length: ")[2].partition(b"\r\n")[0]
    return bool(answer) and int(length or 0) == len(body)
