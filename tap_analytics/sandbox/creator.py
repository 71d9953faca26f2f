"""The creator API's records, still without oddities."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from tap_analytics.sandbox.accounts import (
    account_of,
    handle_of,
    logo_url,
    owner,
    platform_name,
    platform_profile,
    refs,
    user_name,
)
from tap_analytics.sandbox.rows import life, make_id, stamp_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_analytics.sandbox.rows import Record, Row

_TOPICS = ("Sourdough", "Trail running", "Film cameras", "Houseplants", "Jazz piano", "Lisbon")
_ANGLES = ("for beginners", "on a budget", "in ten minutes", "(what nobody tells you)", "Q&A 🎉")
_COUNTS = (
    *("view_count", "impression_organic_count", "reach_organic_count", "like_count"),
    *("impression_paid_count", "reach_paid_count", "click_count", "save_count"),
    *("comment_count", "share_count", "dislike_count"),
)


def _work_platform(row: Row) -> Record:
    products = ("identity", "engagement", "income", "switch", "activity", "publish_content")
    return {
        "id": row.id,
        "name": platform_name(row.index),
        "logo_url": logo_url(row.index),
        "category": ("SOCIAL", "SOCIAL", "PUBLISHING")[row.index % 3],
        "status": ("ACTIVE", "INACTIVE")[row.revision % 2],
        "url": f"https://platform-{row.index + 1}.example.com",
        "products": {
            product: {
                "is_supported": row.random.randrange(3) > 0,
                "audience": {"is_supported": row.random.randrange(3) == 0},
            }
            for product in products
        },
        **life(row),
    }


def _user(row: Row) -> Record:
    return {
        "id": row.id,
        "name": user_name(row.index),
        "external_id": f"crm-{row.index + 1001}",
        "status": ("ACTIVE", "INACTIVE")[row.revision % 2],
        **life(row),
    }


def _account(row: Row) -> Record:
    handle = handle_of(row.index)
    synced = {"status": "SYNCED", "last_sync_at": stamp_of(row, row.updated)}
    available = stamp_of(row, row.some_time_before(row.created, 700))
    return {
        "id": row.id,
        **owner(row, row.index),
        "username": f"@{handle}",
        "platform_username": handle,
        "profile_pic_url": f"https://cdn.example.com/accounts/{row.id}.jpg",
        "status": ("CONNECTED", "SESSION_EXPIRED")[row.revision % 2],
        **platform_profile(row.index),
        "platform_profile_published_at": stamp_of(row, row.some_time_before(row.created, 2000)),
        "data": {
            product: {
                **synced,
                "refresh_since": available,
                "monitoring_type": "STANDARD",
                "monitor_type": "STANDARD",
                "data_available_from": available,
                "audience": synced,
            }
            for product in ("identity", "engagement", "income", "activity", "publish")
        }
        | {"disconnection_source": ("USER", None)[row.index % 2]},
        **life(row),
    }


def _reputation(row: Row) -> Record:
    return {
        "follower_count": row.random.randrange(2_000_000) + row.revision,
        "following_count": row.random.randrange(900),
        "subscriber_count": row.random.randrange(80_000),
        "paid_subscriber_count": row.random.randrange(4_000),
        "content_count": row.random.randrange(600),
        "content_group_count": row.random.randrange(20),
        "like_count": row.random.randrange(9_000_000),
        "watch_time_in_hours": row.random.randrange(500_000) / 8,
        "average_open_rate": row.random.randrange(1000) / 1000,
        "average_click_rate": row.random.randrange(1000) / 1000,
    }


def _profile(row: Row) -> Record:
    name = user_name(row.index // 2)
    first, last = name.split()
    handle = handle_of(row.index)
    return {
        "id": row.id,
        **refs(row, row.index),
        "username": f"@{handle}",
        "platform_username": handle,
        "full_name": name,
        "first_name": first,
        "last_name": last,
        "nick_name": first[:2],
        "url": f"https://social.example.com/{handle}",
        "introduction": f"{row.random.choice(_TOPICS)} & more.\nNew every Sunday 🎬",
        "image_url": f"https://cdn.example.com/profiles/{row.id}.jpg",
        "date_of_birth": f"19{70 + row.index % 30}-04-{1 + row.index % 28:02}",
        "external_id": make_id("external profiles", row.index)[:8],
        "platform_account_type": ("CREATOR", "BUSINESS", "PERSONAL")[row.index % 3],
        "category": row.random.choice(_TOPICS),
        "website": f"https://{first.lower()}.example.com",
        "reputation": _reputation(row),
        "emails": [{"type": "WORK", "email_id": f"{handle}@example.com"}],
        "phone_numbers": [{"type": "MOBILE", "phone_number": f"+1 202 555 01{row.index % 100:02}"}],
        "addresses": [{"type": "WORK", "address": f"{row.index + 1} Example Street, Springfield"}],
        "gender": ("FEMALE", "MALE", "NON_BINARY")[row.index % 3],
        "country": ("US", "BR", "IN", "DE", "NG")[row.index % 5],
        **platform_profile(row.index),
        "platform_profile_published_at": stamp_of(row, row.some_time_before(row.created, 2000)),
        "is_verified": row.index % 5 == 0,
        "is_business": row.index % 3 == 1,
        **_career(row),
        **life(row),
    }


def _career(row: Row) -> Record:
    year = str(2000 + row.index % 20)
    return {
        "work_experiences": [{"title": "Editor", "company": "Example Press", "start_date": year}],
        "education": [{"school": "Example College", "degree": "BA", "end_date": year}],
        "publications": [{"name": "A Year of Bread", "publisher": "Example Press"}],
        "certifications": [{"name": "First aid", "authority": "Example Institute"}],
        "volunteer_experiences": [{"role": "Reader", "organization": "Example Library"}],
        "honors": [{"title": "Best newcomer", "issued_on": year}],
        "projects": [{"title": "A hundred portraits", "members": [{"name": row.id[:8]}]}],
    }


def _engagement(row: Row) -> Record:
    views = row.random.randrange(300_000)
    return {
        **{name: views // (3 * n + 1) + row.revision for n, name in enumerate(_COUNTS)},
        # Some platforms send fractions where others count.
        "share_count": views / 16 if row.index % 6 == 0 else views // 16,
        "watch_time_in_hours": views / 32,
        "replay_count": views // 9,
        "avg_watch_time_in_sec": 11.25,
        "repost_count": views // 19,
        "email_open_rate": 0.375,
        "email_click_rate": 0.0625,
        "unsubscribe_count": views // 900,
        "spam_report_count": views // 9000,
        "additional_info": {"story_exits": views // 9, "by_source": {"search": views // 3}},
    }


def content_item(row: Row) -> Record:
    """Return a content item, or an article of a publication, which has the same fields."""
    account = account_of(row)
    topic = row.random.choice(_TOPICS)
    tag = topic.lower().replace(" ", "")
    files = f"https://cdn.example.com/content/{row.id}"
    return {
        "id": row.id,
        **refs(row, account),
        "engagement": _engagement(row),
        "external_id": make_id("external contents", row.index)[:11],
        "title": f"{topic} {row.random.choice(_ANGLES)}",
        "format": ("VIDEO", "IMAGE", "TEXT")[row.index % 3],
        "type": ("VIDEO", "REELS", "POST", "STORY")[row.index % 4],
        "url": f"https://social.example.com/p/{row.id}",
        "media_url": f"{files}/1.mp4",
        "media_urls": [f"{files}/{number}.mp4" for number in range(1, 2 + row.index % 3)],
        "duration": row.random.randrange(5, 3600) + (0.5 if row.index % 7 == 0 else 0),
        "description": f"{topic}, “slowly”.\n\n#{tag} #weekend, with @{handle_of(account)}",
        "hashtags": [f"#{tag}", "#weekend"],
        "mentions": [f"@{handle_of(account)}"],
        "visibility": ("PUBLIC", "PUBLIC", "UNLISTED", "PRIVATE")[row.index % 4],
        "thumbnail_url": f"{files}/thumbnail.jpg",
        "persistent_thumbnail_url": f"{files}/thumbnail-kept.jpg",
        "published_at": stamp_of(row, row.some_time_before(row.created, 3)),
        **platform_profile(account),
        "authors": [user_name(account // 2)],
        "audience": ("EVERYONE", "SUBSCRIBERS")[row.index % 2],
        "platform": ("WEB", "EMAIL")[row.index % 2],
        "content_tags": [topic, "Essay"],
        "sponsored": {"is_sponsored": row.index % 5 == 0, "tags": ["#ad"]},
        "collaboration": {"has_collaborators": row.index % 6 == 0},
        "is_owned_by_platform_user": row.index % 8 > 0,
        **life(row),
    }


def _transaction(row: Row) -> Record:
    account = account_of(row)
    references = refs(row, account)
    del references["account"]["username"]
    return {
        "id": row.id,
        **references,
        "amount": Decimal(row.random.randrange(100, 900_000) + row.revision).scaleb(-2),
        "currency": ("USD", "EUR", "JPY", "BRL")[row.index % 4],
        "cpm": row.random.randrange(200, 2400) / 100,
        "type": ("AD_REVENUE", "SUBSCRIPTION", "TIPS")[row.index % 3],
        "external_id": make_id("external transactions", row.index)[:13],
        "transaction_at": stamp_of(row, row.some_time_before(row.created, 3)),
        **platform_profile(account),
        **life(row),
    }


BUILDERS: dict[str, Callable[[Row], Record]] = {
    "work_platforms": _work_platform,
    "users": _user,
    "accounts": _account,
    "profiles": _profile,
    "content_items": content_item,
    "social_income_transactions": _transaction,
}
