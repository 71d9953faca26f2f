"""Who belongs to whom in the creator API.

Users have up to two accounts, an account has one profile, and any number of content items and
transactions. Here all are known by their position.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_analytics.sandbox.rows import make_id

if TYPE_CHECKING:
    from tap_analytics.sandbox.rows import Record, Row

_PLATFORMS = (
    *("YouTube", "Instagram", "TikTok", "Twitch", "X", "Facebook"),
    *("Substack", "Patreon", "Spotify", "LinkedIn", "Pinterest", "Beehiiv"),
)
_FIRST_NAMES = ("Ada", "Bongani", "Chiara", "Davi", "Elif", "Fatou", "Goran", "Hana", "Inès", "Jun")
_LAST_NAMES = ("Okafor", "Silva", "Nowak", "Tanaka", "Haddad", "Lindqvist", "Rossi", "Müller")


def user_name(index: int) -> str:
    """Return the name of a user."""
    last = _LAST_NAMES[index // len(_FIRST_NAMES) % len(_LAST_NAMES)]
    return f"{_FIRST_NAMES[index % len(_FIRST_NAMES)]} {last}"


def platform_name(index: int) -> str:
    """Return the name of a work platform."""
    return _PLATFORMS[index] if index < len(_PLATFORMS) else f"Creator Network {index + 1}"


def logo_url(platform: int) -> str:
    """Return the address of a work platform's logo."""
    return f"https://cdn.example.com/logos/{make_id('work_platforms', platform)}.png"


def handle_of(account: int) -> str:
    """Return the user name of an account on its platform."""
    return user_name(account // 2).replace(" ", ".").lower() + str(account)


def account_of(row: Row) -> int:
    """Draw the account that a content item or transaction belongs to: few have most, some none."""
    return int(row.rows * 0.8 * row.random.random() ** 2)


def owner(row: Row, account: int) -> Record:
    """Refer to the user and the work platform of an account."""
    user = account // 2
    platform = account % min(row.rows, len(_PLATFORMS))
    return {
        "user": {"id": make_id("users", user), "name": user_name(user)},
        "work_platform": {
            "id": make_id("work_platforms", platform),
            "name": platform_name(platform),
            "logo_url": logo_url(platform),
        },
    }


def refs(row: Row, account: int) -> Record:
    """Refer to an account, its user and its work platform."""
    handle = handle_of(account)
    names = {"platform_username": handle, "username": f"@{handle}"}
    return {"account": {"id": make_id("accounts", account), **names}, **owner(row, account)}


def platform_profile(account: int) -> Record:
    """Return what the platform calls the profile of an account."""
    return {
        "platform_profile_id": make_id("platform profiles", account)[:13],
        "platform_profile_name": user_name(account // 2),
    }
