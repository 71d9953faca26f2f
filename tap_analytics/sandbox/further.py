"""The records of the creator API's further listings, still without oddities."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from tap_analytics.sandbox.accounts import account_of, platform_profile, refs, user_name
from tap_analytics.sandbox.creator import content_item
from tap_analytics.sandbox.rows import life, make_id, stamp_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_analytics.sandbox.rows import Record, Row

_CITIES = ("Lisbon", "Lagos", "Osaka", "Recife", "Kraków")
_COUNTRIES = ("US", "BR", "IN", "DE", "NG")
_GENRES = ("Jazz", "Fado", "Afrobeats", "Ambient", "Cumbia")
_GROUP_COUNTS = (
    *("view_count", "impression_organic_count", "reach_organic_count", "like_count"),
    *("impression_paid_count", "reach_paid_count", "save_count", "comment_count", "dislike_count"),
)


def _share(row: Row) -> float:
    return row.random.randrange(1000) / 10


def _content_group(row: Row) -> Record:
    account = account_of(row)
    views = row.random.randrange(900_000)
    files = f"https://cdn.example.com/groups/{row.id}"
    return {
        "id": row.id,
        **refs(row, account),
        "engagement": {
            **{name: views // (n + 1) + row.revision for n, name in enumerate(_GROUP_COUNTS)},
            "share_count": views / 16 if row.index % 6 == 0 else views // 16,
            "watch_time_in_hours": views / 32,
        },
        "external_id": make_id("external groups", row.index)[:11],
        "title": f"{row.random.choice(_GENRES)} for {row.random.choice(_CITIES)}",
        "format": ("VIDEO", "IMAGE", "AUDIO")[row.index % 3],
        "type": ("PLAYLIST", "ALBUM")[row.index % 2],
        "url": f"https://social.example.com/g/{row.id}",
        "media_url": f"{files}/1.mp4",
        "description": "A collection.\n\nUpdated on Sundays.",
        "visibility": ("PUBLIC", "UNLISTED", "PRIVATE")[row.index % 3],
        "thumbnail_url": f"{files}/thumbnail.jpg",
        "persistent_thumbnail_url": f"{files}/thumbnail-kept.jpg",
        "hashtags": ["#collection", f"#{row.random.choice(_GENRES).lower()}"],
        "published_at": stamp_of(row, row.some_time_before(row.created, 3)),
        "item_count": row.random.randrange(1, 80) + row.revision,
        **platform_profile(account),
        **life(row),
    }


def _audience(row: Row) -> Record:
    groups = (("FEMALE", "18-24"), ("MALE", "25-34"), ("OTHER", "35-44"))
    return {
        "id": row.id,
        **refs(row, row.index),
        "countries": [
            {"code": code, "value": _share(row) + row.revision} for code in _COUNTRIES[:3]
        ],
        "cities": [{"name": name, "value": _share(row)} for name in _CITIES[: 1 + row.index % 4]],
        "gender_age_distribution": [
            {"gender": gender, "age_range": ages, "value": _share(row)} for gender, ages in groups
        ],
        **life(row),
    }


def _activity_content(row: Row) -> Record:
    genre = row.random.choice(_GENRES)
    return {
        "id": row.id,
        **refs(row, account_of(row)),
        "platform_content_id": make_id("platform contents", row.index)[:13],
        "title": f"{genre} at {row.random.choice(_CITIES)}",
        "format": ("AUDIO", "VIDEO")[row.index % 2],
        "type": ("TRACK", "EPISODE")[row.index % 2],
        "url": f"https://music.example.com/t/{row.id}",
        "description": "Recorded in one take.",
        "thumbnail_url": f"https://cdn.example.com/tracks/{row.id}.jpg",
        "embed_url": f"https://music.example.com/embed/{row.id}",
        "activity_type": ("TOP", "RECENT", "SAVED")[(row.index + row.revision) % 3],
        "additional_info": {
            "genre": [genre],
            "artists": [user_name(row.random.randrange(40)) for _ in range(1 + row.index % 2)],
            "album": f"{genre} sessions",
        },
        **life(row),
    }


def _activity_artist(row: Row) -> Record:
    return {
        "id": row.id,
        **refs(row, account_of(row)),
        "platform_artist_id": make_id("platform artists", row.index)[:13],
        "image_url": f"https://cdn.example.com/artists/{row.id}.jpg",
        "artist_name": user_name(row.random.randrange(80)),
        "artist_url": f"https://music.example.com/a/{row.id}",
        "genre": [row.random.choice(_GENRES)],
        "activity_type": ("TOP", "FOLLOWED")[(row.index + row.revision) % 2],
        **life(row),
    }


def _amount(row: Row) -> Record:
    amount = Decimal(row.random.randrange(100, 900_000) + row.revision).scaleb(-2)
    return {"amount": amount, "currency": ("USD", "EUR", "JPY", "BRL")[row.index % 4]}


def _commerce_transaction(row: Row) -> Record:
    account = account_of(row)
    return {
        "id": row.id,
        **refs(row, account),
        **_amount(row),
        "type": ("ORDER", "REFUND", "FEE")[row.index % 3],
        "status": ("PAID", "PENDING")[row.revision % 2],
        "external_id": make_id("external orders", row.index)[:13],
        "transaction_at": stamp_of(row, row.some_time_before(row.created, 3)),
        **platform_profile(account),
        **life(row),
    }


def _payout(row: Row) -> Record:
    account = account_of(row)
    return {
        "id": row.id,
        **refs(row, account),
        **_amount(row),
        "status": ("PAID", "IN_TRANSIT")[row.revision % 2],
        "payout_interval": ("DAILY", "WEEKLY", "MONTHLY")[row.index % 3],
        "bank_details": {
            "name": "Example Bank",
            "account_last_digits": f"{account % 10_000:04}",
            "account_routing_number": "021000021",
        },
        "external_id": make_id(f"external {row.resource}", row.index)[:13],
        "payout_at": stamp_of(row, row.some_time_before(row.created, 3)),
        **platform_profile(account),
        **life(row),
    }


def _commerce_balance(row: Row) -> Record:
    account = account_of(row)
    return {
        "id": row.id,
        **refs(row, account),
        "balance": [_amount(row)],
        "balance_at": stamp_of(row, row.some_time_before(row.created, 3)),
        **platform_profile(account),
        **life(row),
    }


BUILDERS: dict[str, Callable[[Row], Record]] = {
    "content_groups": _content_group,
    "audience": _audience,
    "publication_contents": content_item,
    "activity_contents": _activity_content,
    "activity_artists": _activity_artist,
    "social_income_payouts": _payout,
    "commerce_income_transactions": _commerce_transaction,
    "commerce_income_payouts": _payout,
    "commerce_income_balances": _commerce_balance,
}
