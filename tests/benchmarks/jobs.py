"""What is measured: what there is to be read, by which peers, and how many records that is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from api import EXPERIENCES, Api

if TYPE_CHECKING:
    from collections.abc import Mapping

PATHS = {
    **{
        name: f"/accounts/1/{name}"
        for name in ("launchpads", "flows", "banners", "checklists", "pins", "tags", "segments")
    },
    "accounts": "/v1/accounts",
    "content_items": "/v1/social/contents",
}
EXPERIENCE_STREAMS = tuple(PATHS)[:7]

TAP = "tap-analytics"
TAP_SKIPPING = "tap-analytics, skip_unsynced_accounts"
TAP_ONE_BY_ONE = "tap-analytics, one request at a time"
TEMPLATE = "SDK template"
DLT_EXTRACT = "dlt, extract only"
DLT_LOAD = "dlt, to JSONL files"
AIRBYTE = "Airbyte declarative"
FLOOR = "bare requests loop"
SDK_IMPORT = "import singer_sdk"

PEERS = (TAP, TEMPLATE, DLT_EXTRACT, DLT_LOAD, AIRBYTE, FLOOR)


@dataclass(frozen=True)
class Job:
    """One thing to be done by several peers.

    Attributes:
        title: What it is, for a table.
        api: What the APIs hold.
        peers: Who does it.
        streams: What is to be read, or nothing for start-up alone.
        page_size: Records per page of the creator API.
        expected: Number of records that a peer must deliver; None if any is right.
        exceptions: The same for peers for which it is another number.
        by_account: Whether content items are listed once per account.
        bookmark: Where an earlier sync has ended.
        is_incremental: Whether a peer keeps a state, to leave out what it has had.
        earlier: What each peer has done before, unmeasured, to go on from its state.
        listings: Number of listings that share the processor time; 0 if that tells nothing.
        most_rounds: How often it is run at most.
    """

    title: str
    api: Api
    peers: tuple[str, ...]
    streams: tuple[str, ...] = ("content_items",)
    page_size: int = 100
    expected: int = 0
    exceptions: Mapping[str, int] = field(default_factory=dict)
    by_account: bool = False
    bookmark: str | None = None
    is_incremental: bool = False
    earlier: Job | None = None
    listings: int = 0
    most_rounds: int = 1_000

    def records_from(self, peer: str) -> int:
        """Tell how many records a peer must deliver.

        Args:
            peer: Its name.

        Returns:
            The number.
        """
        return self.exceptions.get(peer, self.expected)


def _content(title: str, records: int, page_size: int, *peers: str, **others: Any) -> Job:
    api = Api(content_items=records, latency=others.pop("latency", 0))
    others = {"expected": records, **others}
    return Job(title, api, peers, page_size=page_size, **others)


def _accounts_synced_since(accounts: int, items: int, changed: int, latency: int) -> Job:
    earlier = Job(
        f"content of {accounts:,} accounts, for the first time",
        Api(accounts=accounts, content_items_per_account=items),
        (TAP, TAP_SKIPPING, TEMPLATE, DLT_EXTRACT, AIRBYTE),
        streams=("accounts", "content_items"),
        expected=accounts + accounts * items,
        by_account=True,
        is_incremental=True,
    )
    api = replace(earlier.api, changed_per_account=changed, latency=latency)
    news = api.synced_accounts * changed
    return replace(
        earlier,
        title=f"{accounts:,} accounts, a third synced since, {latency} ms latency",
        api=api,
        # Besides what is new, the record at a bookmark is given once more: of the accounts, ...
        expected=1 + 1 + news,
        exceptions={
            # ... not of the content, as that account is skipped, ...
            TAP_SKIPPING: 1 + news,
            # ... and for Airbyte, of each account's content.
            AIRBYTE: 1 + accounts + news,
            # The SDK filters nothing, and dlt has no cursor here (see `peer_dlt.py`).
            TEMPLATE: earlier.expected,
            DLT_EXTRACT: earlier.expected,
        },
        earlier=earlier,
        most_rounds=3,
    )


def _empty_accounts(accounts: int, most_rounds: int) -> Job:
    return Job(
        f"content of {accounts:,} accounts without any",
        Api(accounts=accounts),
        (TAP,),
        streams=("accounts", "content_items"),
        expected=accounts,
        by_account=True,
        listings=accounts,
        most_rounds=most_rounds,
    )


_MANY = 20_000

JOBS = {
    "a": _content("20,000 records, 100 a page", _MANY, 100, *PEERS),
    "b": _content("20,000 records, 10 a page", _MANY, 10, *PEERS),
    "c": _content("2,000 records, 10 a page, 50 ms latency", 2_000, 10, *PEERS, latency=50),
    "d": Job(
        "seven one-page listings, 300 ms latency",
        Api(latency=300),
        PEERS,
        streams=EXPERIENCE_STREAMS,
        expected=len(EXPERIENCE_STREAMS) * EXPERIENCES,
    ),
    "e": Job(
        "content of 200 accounts, 20 ms latency",
        Api(accounts=200, content_items_per_account=15, latency=20),
        (TAP, TAP_ONE_BY_ONE, TEMPLATE, DLT_EXTRACT, AIRBYTE),
        streams=("accounts", "content_items"),
        page_size=10,
        expected=200 + 200 * 15,
        by_account=True,
        most_rounds=3,
    ),
    "f": _content(
        "nothing new among 20,000 records",
        _MANY,
        100,
        TAP,
        TEMPLATE,
        expected=0,
        # The API can't filter, and neither does the SDK.
        exceptions={TEMPLATE: _MANY},
        bookmark="2024-03-01T00:00:00.000000+00:00",
    ),
    "g": Job("start-up (--discover)", Api(), (TAP, TEMPLATE, SDK_IMPORT), streams=()),
    "h": _content("memory at 10,000 records", 10_000, 100, TAP),
    "i": _content("memory at 1,000,000 records", 1_000_000, 100, TAP, most_rounds=1),
    "j": _accounts_synced_since(1_000, items=15, changed=5, latency=20),
    "k": _empty_accounts(10_000, most_rounds=3),
    "l": _empty_accounts(30_000, most_rounds=3),
    "m": _empty_accounts(100_000, most_rounds=1),
}

BY_DEFAULT = "abcdefgj"
"""All that is compared. The other jobs are for this tap alone."""
