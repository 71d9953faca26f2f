"""Streams that may be listed once per account, and which accounts they need not ask for."""

from __future__ import annotations

from abc import ABC
from typing import TYPE_CHECKING, Any

from tap_analytics.singer.bookmarks import ACCOUNTS
from tap_analytics.singer.replication import IncrementalStream, account_of
from tap_analytics.singer.tokens import (
    TOKENS,
    Tokens,
    is_absent,
    is_settled,
    product_of,
    token_if_empty,
    token_of,
)

if TYPE_CHECKING:
    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context, Record

    from tap_analytics.singer.connection import Connection


class PerAccountStream(IncrementalStream, ABC):
    """A stream that may be listed once per account."""

    product: str | None = None
    """The product of an account that the stream belongs to, or a part of one, with a dot."""

    def __init__(self, tap: Tap, connection: Connection) -> None:
        """Create the stream.

        Args:
            tap: The tap that it belongs to.
            connection: The API that lists it.
        """
        super().__init__(tap, connection)
        self._tokens = Tokens({})

    def open_tokens(self, state: dict[str, Any]) -> None:
        """Read the tokens of accounts.

        Args:
            state: The state of the stream, which changes with the tokens.
        """
        # Tokens may have any form: those that aren't right don't count.
        known = (state.get(key) for key in (ACCOUNTS, TOKENS))
        self.statistics.expected = max(
            len(accounts) if isinstance(accounts, dict) else 0 for accounts in known
        )
        reads_all = self.parent_stream_type is None or self.is_full_table
        is_used = self.config["skip_unsynced_accounts"] and not reads_all
        # What decides which records of an account are due, besides its bookmark.
        due = {name: self.config.get(name) for name in ("start_date", "lookback_window")}
        self._tokens = Tokens(state, due if is_used else None)

    def is_settled(self, parent_record: Record) -> bool:
        """Return whether the service is not about to add rows with older timestamps.

        Args:
            parent_record: The account, as it was listed before its content was read.
        """
        product = product_of(parent_record, self.product)
        return is_settled(product, self.connection.latest_bookmark)

    def token(self, parent_record: Record, *, is_empty: bool) -> str | None:
        """Return what will show that the service has not synced an account since.

        Args:
            parent_record: The account, as it was listed before its content was read.
            is_empty: Whether nothing was listed.

        Returns:
            The token, None if the account has none or is read in any case.
        """
        if not self._tokens.are_kept:
            return None
        product = product_of(parent_record, self.product)
        token = token_of(product, self.connection.latest_bookmark)
        return token_if_empty(token, parent_record) if token and is_empty else token

    def is_skipped(self, context: Context | None, parent_record: Record) -> bool:
        """Return whether a listing is not asked for: there is none, or it can't have changed.

        Args:
            context: The context of the listing.
            parent_record: The account, as it was listed. Threads that send ahead ask with the
                record as the API sent it.
        """
        account = account_of(context)
        if account is None:
            return False
        if is_absent(parent_record, self.product):
            return True
        token = self.token(parent_record, is_empty=self._bookmarks.start(account) is None)
        return token is not None and self._tokens.hold(account, token)

    def skip(self, context: Context | None, parent_record: Record) -> None:
        """Note that a listing is not asked for.

        Args:
            context: The context of the listing.
            parent_record: The account, as it was listed.
        """
        self.statistics.skipped += 1
        if is_absent(parent_record, self.product):
            # As if nothing was listed: should the account get the product, all of it is due.
            account = account_of(context)
            self._tokens.drop(account)
            self._bookmarks.complete(account, is_settled=False, is_empty=True)
