"""The parameters of the creator API's listings."""

from __future__ import annotations

from datetime import date
from http import HTTPStatus
from typing import TYPE_CHECKING

from tap_analytics.sandbox.refusals import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tap_analytics.sandbox.exchange import Request

_TO_100 = range(1, 101)
_FROM_0 = range(2**63)


def read_limit(request: Request) -> int:
    """Return how many records a page may hold.

    Args:
        request: The request.

    Returns:
        A number from 1 to 100, 10 by default.

    Raises:
        RefusedError: The parameter is something else.
    """
    return _read_number(request, "limit", 10, _TO_100)


def read_offset(request: Request) -> int:
    """Return how many records come before the page.

    Args:
        request: The request.

    Returns:
        A number from 0, which is the default.

    Raises:
        RefusedError: The parameter is something else.
    """
    return _read_number(request, "offset", 0, _FROM_0)


def read_date(request: Request, name: str) -> str | None:
    """Return a date, if it is given.

    Args:
        request: The request.
        name: The parameter.

    Returns:
        The date in the form YYYY-MM-DD, or `None`.

    Raises:
        RefusedError: The parameter has another form, or there is no such day.
    """
    text = request.query.get(name)
    if text is None:
        return None
    try:
        # Python reads further forms of ISO 8601. The API does not.
        if date.fromisoformat(text).isoformat() == text:
            return text
    except ValueError:
        pass
    message = f"{name} must be a date such as 2026-01-31."
    raise RefusedError(HTTPStatus.BAD_REQUEST, message)


def require(request: Request, names: Iterable[str]) -> None:
    """Refuse a request that lacks a parameter.

    Args:
        request: The request.
        names: The parameters that are required.

    Raises:
        RefusedError: A parameter is missing or empty.
    """
    for name in names:
        if not request.query.get(name):
            raise RefusedError(HTTPStatus.BAD_REQUEST, f"{name} is required.", "MISSING_FIELDS")


def _read_number(request: Request, name: str, default: int, allowed: range) -> int:
    text = request.query.get(name, str(default))
    if not text.isascii() or not text.isdigit() or int(text) not in allowed:
        upper = f" to {allowed[-1]}" if allowed is _TO_100 else " or more"
        message = f"{name} must be {allowed[0]}{upper}."
        raise RefusedError(HTTPStatus.BAD_REQUEST, message)
    return int(text)
