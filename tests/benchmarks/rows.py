"""Records of about 1.2 kB, made from templates as fast as they can be sent."""

from __future__ import annotations

import json
from typing import Any

_NUMBER = "000000000000"
_MOMENT = "2024-01-01T00:00:00.000000"
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
        "published_at": _MOMENT,
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
            product: {"status": "SYNCED", "last_sync_at": _MOMENT, "monitoring_type": "STANDARD"}
            for product in ("identity", "engagement", "income")
        },
        "created_at": _MOMENT,
        "updated_at": _MOMENT,
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


def _template(record: dict[str, Any], variant: int) -> bytes:
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    moment = f"2024-01-{1 + variant * 5 % 28:02d}T{variant % 24:02d}:30:00.{variant * 7_919:06d}"
    return text.replace(_MOMENT, moment).encode()


_TEMPLATES = {
    kind.__name__.strip("_"): [_template(kind(variant), variant) for variant in range(_VARIANTS)]
    for kind in (_content_item, _account, _experience)
}


def render(kind: str, start: int, end: int) -> bytes:
    """Render records.

    Args:
        kind: `content_item`, `account` or `experience`.
        start: Number of the first one.
        end: Number of the one after the last one.

    Returns:
        The records in JSON with commas between them, unsorted by time, all of January 2024.
    """
    templates = _TEMPLATES[kind]
    number = _NUMBER.encode()
    return b",".join(
        templates[n % _VARIANTS].replace(number, b"%012d" % n) for n in range(start, end)
    )
