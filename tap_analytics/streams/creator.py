"""Streams of the creator API: creators' accounts, their content and their income."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tap_analytics._compat import override
from tap_analytics.listing.paging import LimitOffset
from tap_analytics.singer.api import Api, basic_auth
from tap_analytics.singer.stream import AnalyticsStream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from singer_sdk.helpers.types import Context, Record

FIRST_DAY, LAST_DAY = "1900-01-01", "2999-12-31"
"""A range of dates that hides nothing. Dates of requests speak of transactions, not of changes."""


class WorkPlatformsStream(AnalyticsStream):
    """Platforms that creators work on."""

    name = "work_platforms"
    path = "/v1/work-platforms"


class UsersStream(AnalyticsStream):
    """Creators, as the customer of the API knows them."""

    name = "users"
    path = "/v1/users"


class AccountsStream(AnalyticsStream):
    """Creators' accounts on work platforms."""

    name = "accounts"
    path = "/v1/accounts"
    moves_to_front = True

    @override
    def get_child_context(self, record: Record, context: Context | None) -> dict[str, Any]:
        return {"account_id": record["id"]}


class ProfilesStream(AnalyticsStream):
    """Public profiles of accounts, with their reach."""

    name = "profiles"
    path = "/v1/profiles"


class ContentItemsStream(AnalyticsStream):
    """What creators have published, with its engagement."""

    name = "content_items"
    path = "/v1/social/contents"
    product = "engagement"


class SocialIncomeTransactionsStream(AnalyticsStream):
    """What creators have earned on platforms."""

    name = "social_income_transactions"
    path = "/v1/social/income/transactions"
    product = "income"


class ContentItemsByAccountStream(ContentItemsStream):
    """Content, as the live service lists it: once per account."""

    parent_stream_type = AccountsStream


class SocialIncomeTransactionsByAccountStream(SocialIncomeTransactionsStream):
    """Income, as the live service lists it: once per account, both ends of the period required."""

    parent_stream_type = AccountsStream
    extra_parameters = MappingProxyType(
        {"transaction_from_date": FIRST_DAY, "transaction_to_date": LAST_DAY}
    )


def _streams(config: Mapping[str, Any]) -> tuple[type[AnalyticsStream], ...]:
    by_account = (ContentItemsByAccountStream, SocialIncomeTransactionsByAccountStream)
    return (
        WorkPlatformsStream,
        UsersStream,
        AccountsStream,
        ProfilesStream,
        *(
            by_account
            if config["content_by_account"]
            else (ContentItemsStream, SocialIncomeTransactionsStream)
        ),
    )


API = Api(
    url_setting="creator_api_url",
    login=("client_id", "client_secret"),
    authenticator=basic_auth("client_id", "client_secret"),
    paging=LimitOffset,
    streams=_streams,
)
