"""The listings of the creator API that belong to accounts, and the parameters that they take."""

from __future__ import annotations

from typing import NamedTuple


class AccountListing(NamedTuple):
    """A listing of what belongs to accounts.

    Attributes:
        path: Its path.
        period: What the names of the parameters for its first and its last day begin with. With
            such a name, both are required where the account is.
        day: The field that these are about.
        is_further: Whether the seeds don't know it. Then the account is required everywhere.
    """

    path: str
    period: str = ""
    day: str = "published_at"
    is_further: bool = True

    @property
    def dates(self) -> tuple[str, str]:
        """The parameters for the first and the last day."""
        return f"{self.period}from_date", f"{self.period}to_date"

    def required(self, *, is_live: bool) -> tuple[str, ...]:
        """Return the parameters that can't be left out.

        Args:
            is_live: Whether it is the live service that is asked.
        """
        if not (is_live or self.is_further):
            return ()
        return ("account_id", *(self.dates if self.period else ()))


ACCOUNT_LISTINGS = {
    "content_items": AccountListing("/v1/social/contents", is_further=False),
    "social_income_transactions": AccountListing(
        "/v1/social/income/transactions", "transaction_", "transaction_at", is_further=False
    ),
    "content_groups": AccountListing("/v1/social/content-groups"),
    "audience": AccountListing("/v1/audience"),
    "publication_contents": AccountListing("/v1/publications/contents"),
    "activity_contents": AccountListing("/v1/media/activity/contents"),
    "activity_artists": AccountListing("/v1/media/activity/artists"),
    "social_income_payouts": AccountListing("/v1/social/income/payouts", "payout_", "payout_at"),
    "commerce_income_transactions": AccountListing(
        "/v1/commerce/income/transactions", "transaction_", "transaction_at"
    ),
    "commerce_income_payouts": AccountListing(
        "/v1/commerce/income/payouts", "payout_", "payout_at"
    ),
    "commerce_income_balances": AccountListing(
        "/v1/commerce/income/balances", "balance_", "balance_at"
    ),
}
"""The listings by resource."""
