"""Any timestamp the APIs send, in one canonical form.

The SDK compares bookmarks as text. That is correct only if every timestamp has the same width,
the same zone and the same precision: `YYYY-MM-DDTHH:MM:SS.ffffff+00:00`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

_LENGTH_WITHOUT_ZONE = len("YYYY-MM-DDTHH:MM:SS.ffffff")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Numbers from here on are milliseconds, smaller ones seconds: as milliseconds it is March 1973,
# before either service existed, as seconds it is the year 5138.
_FIRST_MILLISECOND = 100_000_000_000

# Eight digits are a date without separators (ISO 8601 basic format), any other run is an epoch.
_EPOCH_AS_TEXT = re.compile(r"[+-]?(?!\d{8}$)\d+(\.\d+)?", re.ASCII)


def canonical(value: object) -> str | None:
    """Bring a timestamp into the canonical form.

    Args:
        value: ISO 8601 text with or without zone (none means UTC, as the creator API sends it)
            and fraction, epoch milliseconds or epoch seconds (as number or text), empty text
            or None.

    Returns:
        `YYYY-MM-DDTHH:MM:SS.ffffff+00:00` in UTC, digits past the microsecond dropped, or None
        for None and for text without content.

    Raises:
        ValueError: If the value is no timestamp, or none between the years 1 and 9999.
    """
    if value is None:
        return None
    if isinstance(value, str):
        if (
            len(value) == _LENGTH_WITHOUT_ZONE
            and value[4] == value[7] == "-"
            and value[19] == "."
            and value[20:].isdigit()
        ):
            # As the creator API sends most of them; that it is valid is all there is to find out.
            datetime.fromisoformat(value)
            return f"{value[:10]}T{value[11:]}+00:00"
        text = value.strip()
        if not text:
            return None
        is_epoch = text[4:5] != "-" and _EPOCH_AS_TEXT.fullmatch(text)
        moment = _from_epoch(Decimal(text)) if is_epoch else _from_iso(text)
    elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        moment = _from_epoch(Decimal(value))
    else:
        message = f"no timestamp: {type(value).__name__}"
        raise ValueError(message)  # noqa: TRY004 - to a caller it is one more unreadable value
    return moment.isoformat(timespec="microseconds")


def earlier(timestamp: str, seconds: int) -> str:
    """Move a canonical timestamp back.

    Args:
        timestamp: A timestamp in canonical form.
        seconds: How far, in seconds, 0 or more.

    Returns:
        The earlier timestamp in canonical form, at the earliest the beginning of year 1.
    """
    try:
        moment = datetime.fromisoformat(timestamp) - timedelta(seconds=seconds)
    except OverflowError:
        moment = datetime.min.replace(tzinfo=UTC)
    return moment.isoformat(timespec="microseconds")


def _from_iso(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(str(error)) from error


def _from_epoch(number: Decimal) -> datetime:
    # Compared before it is multiplied: 1e400 is a valid JSON number. NaN compares to nothing.
    if not (number.is_finite() and abs(number) < _FIRST_MILLISECOND * 10_000):
        message = "no epoch seconds or milliseconds"
        raise ValueError(message)
    per_unit = 1_000 if abs(number) >= _FIRST_MILLISECOND else 1_000_000
    try:
        return _EPOCH + timedelta(microseconds=int(number * per_unit))
    except OverflowError as error:
        raise ValueError(str(error)) from error
