"""The fields that only the live services have."""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_analytics.sandbox.rows import Record

_VALID = timedelta(days=7)
_SIGNED = ("thumbnail_url", "media_url")


def with_live_fields(resource: str, record: Record) -> Record:
    """Return a record with the fields that only the live service has.

    Args:
        resource: The record's resource.
        record: The record. It stays as it is.

    Returns:
        A new record, or the same one if the resource has no such fields.
    """
    add = _FIELDS.get(resource)
    return add(record) if add else record


def signed(record: Record, moment: datetime) -> Record:
    """Return a content item with new addresses of its files.

    The addresses are signed and expire after a week. Nothing else changes, not even `updated_at`.

    Args:
        record: The content item. It stays as it is.
        moment: The time of the signature, in UTC.

    Returns:
        A new record.
    """
    expires = int((moment + _VALID).timestamp())
    addresses = {}
    for field in _SIGNED:
        if address := record.get(field):
            file = address.partition("?")[0]
            signature = sha256(f"{file}/{expires}".encode()).hexdigest()[:16]
            addresses[field] = f"{file}?expires={expires}&signature={signature}"
    return {**record, **addresses}


def _content_item(record: Record) -> Record:
    engagement = record.get("engagement")
    if not engagement:
        return record
    views = engagement.get("view_count") or 0
    further = {
        "replay_count": views // 9,
        "avg_watch_time_in_sec": 11.25,
        "repost_count": views // 40,
        "email_open_rate": 0.375,
        "email_click_rate": 0.0625,
        "unsubscribe_count": 0,
        "spam_report_count": 0,
    }
    return {**record, "engagement": {**further, **engagement}}


def _profile(record: Record) -> Record:
    return {
        **record,
        "work_experiences": [{"title": "Host", "company": {"name": "Example Studios"}}],
        "education": [{"school": "Example University", "degree": "BA"}],
        **{
            field: []
            for field in (
                *("publications", "certifications", "volunteer_experiences"),
                *("honors", "projects"),
            )
        },
    }


def _checklist(record: Record) -> Record:
    return {**record, "published_and_dirty": bool(record.get("unpublished_at"))}


_FIELDS: dict[str, Callable[[Record], Record]] = {
    "checklists": _checklist,
    "content_items": _content_item,
    "profiles": _profile,
}
