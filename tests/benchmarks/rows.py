"""Records of about 1.2 kB, made from templates as fast as they can be sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_NUMBER = "000000000000"
_MOMENT = "2024-01-01T00:00:00.000000"
_SYNCED = "2024-02-01T00:00:00.000000"
_SYNCED_AGAIN = "2024-02-02T00:00:00.000000"
_FRACTION = "%%%%%%"
_VARIANTS = 64

_OWNERS: dict[str, Any] = {
    "user": {"id": "user-1", "name": "Ada's channels"},
    "account": {"id": "account-1", "platform_username": "ada", "username": "ada"},
    "work_platform": {
        "id": "platform-1",
        "name": "Video Platform",
        "logo_url": "https://cdn.example.com/logos/video-platform.png",
    },
}


def _content_item(variant: int) -> dict[str, Any]:
    return {
        "id": f"item-{_NUMBER}",
        **_OWNERS,
        "engagement": {
            "like_count": 1_200 + variant,
            "dislike_count": 3,
            "comment_count": 41,
            "share_count": None,
            "save_count": None,
            "view_count": 104_233,
            "click_count": None,
            "impression_organic_count": 210_001,
            "reach_organic_count": 98_211,
            "watch_time_in_hours": 1_041.75,
            "additional_info": None,
        },
        "external_id": f"ext{_NUMBER}",
        "title": "How to grow tomatoes on a balcony — part " + str(variant),
        "format": "VIDEO",
        "type": "VIDEO",
        "url": "https://video.example.com/watch/balcony",
        "media_url": None,
        "media_urls": None,
        "duration": 600 + variant,
        "description": "Pots, soil and water: what a balcony needs. " * (1 + variant % 3),
        "hashtags": ["#balcony", "#tomatoes", "#spring"][: 1 + variant % 3],
        "mentions": [],
        "visibility": "PUBLIC",
        "thumbnail_url": None,
        "persistent_thumbnail_url": None,
        # Latest first, as far as there are variants.
        "published_at": f"2023-{12 - variant // 28:02d}-{28 - variant % 28:02d}T12:00:00.000000",
        "platform_profile_id": "profile-1",
        "platform_profile_name": "Ada's balcony",
        "authors": None,
        "audience": None,
        "platform": None,
        "content_tags": [],
        "sponsored": {"is_sponsored": False, "tags": None},
        "collaboration": {"has_collaborators": False},
        "is_owned_by_platform_user": True,
        "created_at": _MOMENT,
        "updated_at": _MOMENT,
    }


def _account(variant: int) -> dict[str, Any]:
    return {
        "id": f"account-{_NUMBER}",
        "user": _OWNERS["user"],
        "work_platform": _OWNERS["work_platform"],
        "username": f"creator{variant}",
        "platform_username": f"creator{variant}",
        "status": "CONNECTED",
        "data": {
            product: {"status": "SYNCED", "last_sync_at": _SYNCED, "monitor_type": "STANDARD"}
            for product in ("identity", "engagement", "income")
        },
        "created_at": _MOMENT,
        "updated_at": f"2024-01-31T00:00:00.{_FRACTION}",
    }


def _experience(variant: int) -> dict[str, Any]:
    return {
        "id": f"experience-{_NUMBER}",
        "name": f"Welcome {variant}",
        "state": "PUBLISHED",
        "published": True,
        "url": "https://app.example.com/welcome",
        # The SDK's own way of conforming records stops at an object without listed properties.
        "steps": [],
        "tag_ids": ["tag-1", "tag-2"],
        "tags": {"tag-1": True, "tag-2": False},
        "created_at": f"{_MOMENT}Z",
        "created_by": "user-1",
        "updated_at": f"{_MOMENT}Z",
        "updated_by": "user-1",
    }


def _template(record: dict[str, Any], moment: str) -> bytes:
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    return text.replace(_MOMENT, moment).encode()


def _january(variant: int) -> str:
    return f"2024-01-{1 + variant * 5 % 28:02d}T{variant % 24:02d}:30:00.{variant * 7_919:06d}"


def _templates(make: Callable[[int], dict[str, Any]], moment: str = "") -> list[bytes]:
    return [_template(make(n), moment or _january(n)) for n in range(_VARIANTS)]


_CONTENT_ITEMS = _templates(_content_item)
_CHANGED_CONTENT_ITEMS = _templates(_content_item, "2024-02-01T23:30:00.000000")
_ACCOUNTS = _templates(_account)
_EXPERIENCES = _templates(_experience)


def content_items(start: int, end: int) -> bytes:
    """Render content items, unsorted by time, all of January 2024.

    Args:
        start: Number of the first one.
        end: Number of the one after the last one.

    Returns:
        The records in JSON with commas between them.
    """
    return _render(_CONTENT_ITEMS, start, end)


def content_of_account(account: int, changed: int, start: int, end: int) -> bytes:
    """Render content items of an account, the last published first.

    Args:
        account: Number of the account.
        changed: How many of the first ones the service has changed on the first of February. The
            others are of January.
        start: Number of the first one.
        end: Number of the one after the last one.

    Returns:
        The records in JSON with commas between them. Each of the first 3,600 accounts has minutes
        and seconds of its own.
    """
    first = account << 16
    middle = max(start, min(changed, end))
    parts = (
        _render(_CHANGED_CONTENT_ITEMS, first + start, first + middle),
        _render(_CONTENT_ITEMS, first + middle, first + end),
    )
    moment = b":%02d:%02d." % divmod(account % 3_600, 60)
    return b",".join(filter(None, parts)).replace(b":30:00.", moment)


def accounts(is_synced_again: Callable[[int], bool], start: int, end: int) -> bytes:
    """Render accounts, the last changed first.

    Args:
        is_synced_again: Tells of the number of an account whether the service has synced it on
            the second of February, and not on the first.
        start: Number of the first one.
        end: Number of the one after the last one.

    Returns:
        The records in JSON with commas between them.
    """
    records = []
    for number in range(start, end):
        record = _render(_ACCOUNTS, number, number + 1)
        record = record.replace(_FRACTION.encode(), b"%06d" % (999_999 - number))
        if is_synced_again(number):
            record = record.replace(_SYNCED.encode(), _SYNCED_AGAIN.encode())
        records.append(record)
    return b",".join(records)


def experiences(start: int, end: int) -> bytes:
    """Render experiences.

    Args:
        start: Number of the first one.
        end: Number of the one after the last one.

    Returns:
        The records in JSON with commas between them, unsorted by time, all of January 2024.
    """
    return _render(_EXPERIENCES, start, end)


def _render(templates: list[bytes], start: int, end: int) -> bytes:
    number = _NUMBER.encode()
    return b",".join(
        templates[n % _VARIANTS].replace(number, b"%012d" % n) for n in range(start, end)
    )
