"""Streams of the creator API: creators' accounts, their content and their income."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tap_analytics._compat import override
from tap_analytics.listing.paging import LimitOffset, SingleObject
from tap_analytics.singer.api import Api, basic_auth
from tap_analytics.singer.stream import AnalyticsStream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from singer_sdk.helpers.types import Context, Record

FIRST_DAY, LAST_DAY = "1900-01-01", "2999-12-31"
"""A range of dates that hides nothing. Dates of requests speak of transactions, not of changes."""


def _ever(what: str) -> Mapping[str, str]:
    """Return the parameters for a range of dates that the API requires."""
    return MappingProxyType({f"{what}_from_date": FIRST_DAY, f"{what}_to_date": LAST_DAY})


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
    extra_parameters = _ever("transaction")


# The further listings. The API has them only per account.


class ContentGroupsStream(AnalyticsStream):
    """Playlists, albums and the like, with the engagement of what is in them."""

    name = "content_groups"
    path = "/v1/social/content-groups"
    parent_stream_type = AccountsStream
    product = "engagement"


class AudienceStream(AnalyticsStream):
    """Who follows an account: countries, cities, ages and genders. One object for each account."""

    name = "audience"
    path = "/v1/audience"
    parent_stream_type = AccountsStream
    product = "identity.audience"
    own_paging = SingleObject()


class PublicationContentsStream(AnalyticsStream):
    """Newsletters and articles, with their engagement."""

    name = "publication_contents"
    path = "/v1/publications/contents"
    parent_stream_type = AccountsStream
    product = "engagement"


class ActivityContentsStream(AnalyticsStream):
    """What creators listen to, watch or save."""

    name = "activity_contents"
    path = "/v1/media/activity/contents"
    parent_stream_type = AccountsStream
    product = "activity"


class ActivityArtistsStream(AnalyticsStream):
    """Artists that creators listen to or follow."""

    name = "activity_artists"
    path = "/v1/media/activity/artists"
    parent_stream_type = AccountsStream
    product = "activity"


class SocialIncomePayoutsStream(AnalyticsStream):
    """What social platforms have paid out."""

    name = "social_income_payouts"
    path = "/v1/social/income/payouts"
    parent_stream_type = AccountsStream
    product = "income"
    extra_parameters = _ever("payout")


class CommerceIncomeTransactionsStream(AnalyticsStream):
    """What creators have earned on commerce platforms."""

    name = "commerce_income_transactions"
    path = "/v1/commerce/income/transactions"
    parent_stream_type = AccountsStream
    product = "income"
    extra_parameters = _ever("transaction")


class CommerceIncomePayoutsStream(AnalyticsStream):
    """What commerce platforms have paid out."""

    name = "commerce_income_payouts"
    path = "/v1/commerce/income/payouts"
    parent_stream_type = AccountsStream
    product = "income"
    extra_parameters = _ever("payout")


class CommerceIncomeBalancesStream(AnalyticsStream):
    """What commerce platforms owe creators."""

    name = "commerce_income_balances"
    path = "/v1/commerce/income/balances"
    parent_stream_type = AccountsStream
    product = "income"
    extra_parameters = _ever("balance")


_FURTHER = (
    ContentGroupsStream,
    AudienceStream,
    PublicationContentsStream,
    ActivityContentsStream,
    ActivityArtistsStream,
    SocialIncomePayoutsStream,
    CommerceIncomeTransactionsStream,
    CommerceIncomePayoutsStream,
    CommerceIncomeBalancesStream,
)


def _streams(config: Mapping[str, Any]) -> tuple[type[AnalyticsStream], ...]:
    streams = (WorkPlatformsStream, UsersStream, AccountsStream, ProfilesStream)
    if not config["content_by_account"]:
        return (*streams, ContentItemsStream, SocialIncomeTransactionsStream)
    return (
        *streams,
        ContentItemsByAccountStream,
        SocialIncomeTransactionsByAccountStream,
        *(_FURTHER if config["all_streams"] else ()),
    )


API = Api(
    url_setting="creator_api_url",
    login=("client_id", "client_secret"),
    by_account="content_by_account",
    authenticator=basic_auth("client_id", "client_secret"),
    paging=LimitOffset,
    streams=_streams,
)
