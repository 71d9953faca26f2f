"""Which failures are worth another try, and when."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import requests

MAX_RETRY_AFTER = 15 * 60
"""The longest wait, in seconds, that a server may ask for before that is an error."""

_FOREVER = 10.0**9


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
