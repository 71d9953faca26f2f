"""Who belongs to whom in the creator API.

A user has up to two accounts. An account has one profile, and any number of content items and
transactions. All are known by their position in their resource.
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
    """Return the name of a user.

    Args:
        index: The user's position.

    Returns:
        A first and a last name.
    """
    last = _LAST_NAMES[index // len(_FIRST_NAMES) % len(_LAST_NAMES)]
    return f"{_FIRST_NAMES[index % len(_FIRST_NAMES)]} {last}"


def platform_name(index: int) -> str:
    """Return the name of a work platform.

    Args:
        index: The platform's position.

    Returns:
        The name.
    """
    return _PLATFORMS[index] if index < len(_PLATFORMS) else f"Creator Network {index + 1}"


def logo_url(platform: int) -> str:
    """Return the address of a work platform's logo.

    Args:
        platform: The platform's position.

    Returns:
        The address.
    """
    return f"https://cdn.example.com/logos/{make_id('work_platforms', platform)}.png"


def handle_of(account: int) -> str:
    """Return an account's user name on its platform.

    Args:
        account: The account's position.

    Returns:
        The name, without `@`.
    """
    return user_name(account // 2).replace(" ", ".").lower() + str(account)


def account_of(row: Row) -> int:
    """Return the account that owns a content item or a transaction.

    Few accounts own most of the records, and some own none.

    Args:
        row: The record's row.

    Returns:
        The account's position.
    """
    # A row with an account draws too, so that the rest of the record does not depend on it.
    drawn = int(row.rows * 0.8 * row.random.random() ** 2)
    return drawn if row.account is None else row.account


def owner(row: Row, account: int) -> Record:
    """Return the references to the user and the work platform of an account.

    Args:
        row: The row of the record that refers to them.
        account: The account's position.

    Returns:
        The fields `user` and `work_platform`.
    """
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
    """Return the references to an account, its user and its work platform.

    Args:
        row: The row of the record that refers to them.
        account: The account's position.

    Returns:
        The fields `account`, `user` and `work_platform`.
    """
    handle = handle_of(account)
    names = {"platform_username": handle, "username": f"@{handle}"}
    return {"account": {"id": make_id("accounts", account), **names}, **owner(row, account)}


def platform_profile(account: int) -> Record:
    """Return what the platform calls the profile of an account.

    Args:
        account: The account's position.

    Returns:
        The fields `platform_profile_id` and `platform_profile_name`.
    """
    return {
        "platform_profile_id": make_id("platform profiles", account)[:13],
        "platform_profile_name": user_name(account // 2),
    }
