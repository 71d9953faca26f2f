"""Which accounts can't have changed since they were read to the end.

An account tells, for each product, when the service last synced it and with what status. The two
are its token. While an account keeps the token that it had before its listing was read, the service
has added nothing. Tokens are compared for equality, so no clock matters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_analytics.listing.timestamps import canonical

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

TOKENS = "synced"
"""Where the state of a stream holds its tokens: one object of ids and texts."""

CONDITIONS = "synced_with"
"""Where it holds the settings under which they were taken. Under others, more may be due."""

UNSETTLED_STATUSES = ("IN_PROGRESS", "PARTIAL_SYNCED")
"""Statuses of a product whose rows the service is still adding."""

ABSENT_STATUSES = ("NOT_SUPPORTED", "NOT_SYNCED")
"""Statuses of a product that an account does not have, or not yet: there is nothing to list."""


def product_of(account: Mapping[str, Any], name: str | None) -> Mapping[str, Any]:
    """Return what an account tells of a product.

    Args:
        account: The account, as it was listed.
        name: The product, or a part of one such as `identity.audience`.

    Returns:
        An object, empty if the account tells nothing.
    """
    *_, product = _path_to(account, name)
    return product


def is_absent(account: Mapping[str, Any], name: str | None) -> bool:
    """Return whether an account tells that it does not have a product.

    Args:
        account: The account, as it was listed.
        name: The product, or a part of one. Without the whole there is no part.
    """
    return any(entry.get("status") in ABSENT_STATUSES for entry in _path_to(account, name))


def _path_to(account: Mapping[str, Any], name: str | None) -> Iterator[Mapping[str, Any]]:
    entry: Any = account.get("data")
    for part in (name or "").split("."):
        entry = entry.get(part) if isinstance(entry, dict) else None
        yield entry if isinstance(entry, dict) else {}


def is_settled(product: Mapping[str, Any], latest: str | None) -> bool:
    """Return whether the service is not about to add rows with older timestamps.

    Args:
        product: What the account tells of the product.
        latest: The latest timestamp that a bookmark may have.
    """
    try:
        last_sync_at = canonical(product.get("last_sync_at"))
    except ValueError:
        return False
    is_recent = (last_sync_at or "") > (latest or "")
    return product.get("status") not in UNSETTLED_STATUSES and not is_recent


def token_of(product: Mapping[str, Any], latest: str | None) -> str | None:
    """Return the token of an account that has a bookmark.

    Args:
        product: What the account tells of the product.
        latest: The latest timestamp that a bookmark may have.

    Returns:
        The token, as the API spells its parts. None if the account is not settled, or does not
        tell when it was last synced: then nothing would show that it has been synced since.
    """
    last_sync_at, status = product.get("last_sync_at"), product.get("status")
    is_told = isinstance(last_sync_at, str) and last_sync_at.strip() and isinstance(status, str)
    return f"{last_sync_at} {status}" if is_told and is_settled(product, latest) else None


def token_if_empty(token: str, account: Mapping[str, Any]) -> str | None:
    """Return the token of an account in which nothing was listed: it has no bookmark.

    It differs from that of an account with a bookmark: if a bookmark is missing for another reason,
    the account is read again. It holds the account's own `updated_at`: an account that is deleted
    while it is read looks empty, and may come back with all that it had.

    Args:
        token: Its token if it had a bookmark.
        account: The account, as it was listed.

    Returns:
        The token, None if the account does not tell when it changed.
    """
    try:
        changed_at = canonical(account.get("updated_at"))
    except ValueError:
        return None
    return changed_at and f"{token} empty {changed_at}"


class Tokens:
    """The tokens of the accounts of a stream, in its state."""

    def __init__(self, state: dict[str, Any], conditions: Mapping[str, Any] | None = None) -> None:
        """Read the tokens.

        Args:
            state: The state of the stream, which changes with the tokens.
            conditions: The settings that say which records are due, or None if no listing is
                skipped. Then the state keeps no tokens: they would be out of date.
        """
        tokens, taken_with = state.pop(TOKENS, None), state.pop(CONDITIONS, None)
        self.are_kept = conditions is not None
        self._tokens: dict[str, Any] = {}
        if conditions is None:
            return
        if isinstance(tokens, dict) and taken_with == conditions:
            self._tokens.update(tokens)
        state[CONDITIONS] = dict(conditions)
        state[TOKENS] = self._tokens

    def hold(self, account: str, token: str) -> bool:
        """Return whether an account was read to its end when it had this token.

        Args:
            account: The id of the account.
            token: The token that it has now.
        """
        return self._tokens.get(account) == token

    def drop(self, account: str | None) -> None:
        """Drop the token of an account, as it is about to be read.

        Args:
            account: The id of the account.
        """
        self._tokens.pop(account or "", None)

    def keep(self, account: str | None, token: str | None) -> None:
        """Keep the token of an account that has been read to its end, with its records written.

        Args:
            account: The id of the account.
            token: The token that it had before it was read, if it had one.
        """
        if account is not None and token is not None:
            self._tokens[account] = token

    def keep_only(self, accounts: Collection[str]) -> None:
        """Drop the tokens of accounts that are no longer listed.

        Args:
            accounts: All that are listed.
        """
        for account in [account for account in self._tokens if account not in accounts]:
            del self._tokens[account]
