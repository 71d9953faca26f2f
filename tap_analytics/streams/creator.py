"""Streams of the creator API: creators' accounts, their content and their income."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tap_analytics._compat import override
from tap_analytics.client import AnalyticsStream
from tap_analytics.pagination import LimitOffsetPaginator

if TYPE_CHECKING:
    from collections.abc import Iterable

    import requests
    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context, Record


class CreatorStream(AnalyticsStream):
    """A listing of the creator API, read with `limit` and `offset`."""

    url_setting = "creator_api_url"
    credential_settings = ("client_id", "client_secret")

    def __init__(self, tap: Tap, session: requests.Session) -> None:
        """Create the stream, see `AnalyticsStream`."""
        super().__init__(tap, session)
        self._paginator = LimitOffsetPaginator(self.config["page_size"])

    @override
    def get_new_paginator(self) -> LimitOffsetPaginator:
        longest = self._paginator.longest
        self._paginator = LimitOffsetPaginator(self.config["page_size"], longest=longest)
        return self._paginator

    @override
    def get_url_params(
        self, context: Context | None, next_page_token: int | None
    ) -> dict[str, Any]:
        return {"limit": self.config["page_size"], "offset": next_page_token}

    @override
    def parse_response(self, response: requests.Response) -> Iterable[Any]:
        super().parse_response(response)
        return self._paginator.new_records(response)


class WorkPlatformsStream(CreatorStream):
    """Platforms that creators work on."""

    name = "work_platforms"
    path = "/v1/work-platforms"


class UsersStream(CreatorStream):
    """Creators, as the customer of the API knows them."""

    name = "users"
    path = "/v1/users"


class AccountsStream(CreatorStream):
    """Creators' accounts on work platforms."""

    name = "accounts"
    path = "/v1/accounts"

    @override
    def get_child_context(self, record: Record, context: Context | None) -> dict[str, Any]:
        return {"account_id": record["id"]}


class ProfilesStream(CreatorStream):
    """Public profiles of accounts, with their reach."""

    name = "profiles"
    path = "/v1/profiles"


class ContentItemsStream(CreatorStream):
    """What creators have published, with its engagement."""

    name = "content_items"
    path = "/v1/social/contents"


class SocialIncomeTransactionsStream(CreatorStream):
    """What creators have earned on platforms."""

    name = "social_income_transactions"
    path = "/v1/social/income/transactions"


class PerAccount(CreatorStream):
    """A listing that is read once per account, with one bookmark for all of them."""

    parent_stream_type = AccountsStream
    state_partitioning_keys = ()

    @override
    def get_url_params(
        self, context: Context | None, next_page_token: int | None
    ) -> dict[str, Any]:
        return {**super().get_url_params(context, next_page_token), **(context or {})}


class ContentItemsPerAccountStream(PerAccount, ContentItemsStream):
    """Content, as the live service lists it."""


class SocialIncomeTransactionsPerAccountStream(PerAccount, SocialIncomeTransactionsStream):
    """Income, as the live service lists it: with both ends of the period required."""

    @override
    def get_url_params(
        self, context: Context | None, next_page_token: int | None
    ) -> dict[str, Any]:
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        return {
            **super().get_url_params(context, next_page_token),
            "transaction_from_date": (self.config.get("start_date") or "2000-01-01")[:10],
            "transaction_to_date": f"{tomorrow:%Y-%m-%d}",
        }


STREAMS = (
    WorkPlatformsStream,
    UsersStream,
    AccountsStream,
    ProfilesStream,
    ContentItemsStream,
    SocialIncomeTransactionsStream,
)

STREAMS_PER_ACCOUNT = (
    WorkPlatformsStream,
    UsersStream,
    AccountsStream,
    ProfilesStream,
    ContentItemsPerAccountStream,
    SocialIncomeTransactionsPerAccountStream,
)
