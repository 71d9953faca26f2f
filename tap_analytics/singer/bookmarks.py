"""What is remembered between syncs: one bookmark per stream, or one per account.

A bookmark is a lower bound: what is older has been read. It is the largest `updated_at` that a sync
has met in the stream, at most five minutes before the API's first answer. It moves when its listing
has been read to the end, and never back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from tap_analytics._compat import override

if TYPE_CHECKING:
    from collections.abc import Collection

VALUE = "replication_key_value"
"""Where the state of a stream holds its only bookmark."""

ACCOUNTS = "accounts"
"""Where the state of a stream holds its bookmarks by account: one object of ids and timestamps,
as the SDK's list of partitions takes twice the room and is searched from its beginning."""


class Bookmarks(ABC):
    """What a stream remembers."""

    def __init__(self, state: dict[str, Any], replication_key: str) -> None:
        """Read the bookmarks.

        Args:
            state: The state of the stream, which `save` changes.
            replication_key: The name of the timestamp.
        """
        self._state = state
        self._replication_key = replication_key
        self._largest: str | None = None

    def meet(self, timestamp: str) -> None:
        """Note a record's timestamp, in whatever listing.

        Args:
            timestamp: A timestamp in canonical form.
        """
        if self._largest is None or timestamp > self._largest:
            self._largest = timestamp

    @abstractmethod
    def start(self, account: str | None) -> str | None:
        """Return the bookmark of a listing before this sync, in canonical form.

        Args:
            account: The id of the account, where there is a listing for each.

        Returns:
            The bookmark, None if the listing has not been read to the end before.
        """

    @abstractmethod
    def complete(self, account: str | None, *, is_settled: bool, is_empty: bool) -> None:
        """Note that a listing has been read to its end, and its records are written.

        Args:
            account: The id of the account, where there is a listing for each.
            is_settled: Whether the service is not about to add rows with older timestamps. An
                account that is not settled keeps the bookmark that it had.
            is_empty: Whether nothing was listed. Such an account has no bookmark.
        """

    @abstractmethod
    def keep_only(self, accounts: Collection[str]) -> None:
        """Drop the bookmarks of accounts that are no longer listed.

        Args:
            accounts: All that are listed.
        """

    @abstractmethod
    def save(self, latest: str | None) -> None:
        """Move the bookmarks of what is complete, in the state.

        Args:
            latest: The latest timestamp that they may have, None if nothing has been answered.
        """


class StreamBookmark(Bookmarks):
    """The bookmark of a stream that is one listing."""

    def __init__(self, state: dict[str, Any], replication_key: str) -> None:
        """Read the bookmark, see `Bookmarks`."""
        super().__init__(state, replication_key)
        self._start: str | None = state.get(VALUE)
        self._is_complete = False

    @override
    def start(self, account: str | None = None) -> str | None:
        return self._start

    @override
    def complete(
        self, account: str | None = None, *, is_settled: bool = True, is_empty: bool = False
    ) -> None:
        self._is_complete = True

    @override
    def keep_only(self, accounts: Collection[str]) -> None:
        """Do nothing: there are no accounts."""

    @override
    def save(self, latest: str | None) -> None:
        if not self._is_complete or self._largest is None or latest is None:
            return
        value = max(min(self._largest, latest), self._start or "")
        self._state.update(replication_key=self._replication_key, replication_key_value=value)


class AccountBookmarks(Bookmarks):
    """The bookmarks of a stream that is one listing per account."""

    def __init__(self, state: dict[str, Any], replication_key: str) -> None:
        """Read the bookmarks, see `Bookmarks`."""
        super().__init__(state, replication_key)
        self._bookmarks: dict[str, str] = state.get(ACCOUNTS, {})
        # In the order in which they are read, so that equal syncs write equal states.
        self._complete: dict[str, None] = {}

    @override
    def start(self, account: str | None) -> str | None:
        return None if account is None else self._bookmarks.get(account)

    @override
    def complete(self, account: str | None, *, is_settled: bool, is_empty: bool) -> None:
        if account is None:
            return
        if is_empty:
            self._bookmarks.pop(account, None)
            self._complete.pop(account, None)
        elif is_settled:
            self._complete[account] = None

    @override
    def keep_only(self, accounts: Collection[str]) -> None:
        for account in [account for account in self._bookmarks if account not in accounts]:
            del self._bookmarks[account]

    @override
    def save(self, latest: str | None) -> None:
        # All move to one value, so that a sync with nothing new emits one record, not one per
        # account.
        if self._largest is not None and latest is not None:
            value = min(self._largest, latest)
            for account in self._complete:
                self._bookmarks[account] = max(value, self._bookmarks.get(account, ""))
        if self._bookmarks or ACCOUNTS in self._state:
            self._state["replication_key"] = self._replication_key
            self._state[ACCOUNTS] = self._bookmarks


def open_bookmarks(
    state: dict[str, Any], replication_key: str, *, is_by_account: bool
) -> tuple[Bookmarks, str | None]:
    """Read the bookmarks of a stream.

    Args:
        state: The state of the stream in normalised form, which `save` changes.
        replication_key: The name of the timestamp.
        is_by_account: Whether the stream is listed once per account.

    Returns:
        The bookmarks, and what to tell if the state is of the other kind.
    """
    # What the SDK keeps for itself, in states that it has written.
    for key in ("starting_replication_value", "replication_key_signpost", "progress_markers"):
        state.pop(key, None)
    if is_by_account:
        has_other_kind = state.pop(VALUE, None) is not None
        problem = "the state has one bookmark for all accounts; each is read from `start_date` on"
        return AccountBookmarks(state, replication_key), problem if has_other_kind else None
    has_other_kind = bool(state.pop(ACCOUNTS, None))
    problem = "the state has bookmarks by account; the stream is read from `start_date` on"
    return StreamBookmark(state, replication_key), problem if has_other_kind else None
