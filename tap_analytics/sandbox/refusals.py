"""How the two APIs refuse a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_analytics.sandbox.exchange import Reply
from tap_analytics.sandbox.rows import make_id

if TYPE_CHECKING:
    from http import HTTPStatus

    from tap_analytics.sandbox.exchange import Request


class RefusedError(Exception):
    """A request gets an error instead of records.

    Attributes:
        status: The HTTP status.
        code: The creator API's code of the error.
    """

    def __init__(self, status: HTTPStatus, message: str, code: str = "") -> None:
        """Say why the request is refused.

        Args:
            status: The HTTP status.
            message: The reason, as the client reads it.
            code: The creator API's code. Without one, the name of the status serves.
        """
        super().__init__(message)
        self.status = status
        self.code = code or status.name


def is_experience(request: Request) -> bool:
    """Return whether a request is for the experience API.

    Args:
        request: The request.

    Returns:
        Whether its path is below `/v2/`.
    """
    return request.path.startswith("/v2/")


def refusal(request: Request, status: HTTPStatus, message: str, code: str = "") -> Reply:
    """Return the error of the API that a request is for.

    Args:
        request: The request.
        status: The HTTP status.
        message: The reason.
        code: The creator API's code. Without one, the name of the status serves.

    Returns:
        The reply: `{"error", "status", "title", "detail"}` from the experience API, and
        `{"error": {"type", "error_code", "message", "request_id", "http_status_code"}}` from the
        creator API.
    """
    if is_experience(request):
        title = status.phrase
        body = {"error": title, "status": status, "title": title, "detail": message}
        return Reply.json(body, status)
    error = {
        "type": status.name,
        "error_code": code or status.name,
        "message": message,
        # The same request always has the same ID.
        "request_id": make_id(f"{request.method} {request.path} {request.query}", 0),
        "http_status_code": status,
    }
    return Reply.json({"error": error}, status)
