"""The settings."""

from __future__ import annotations

from typing import Any

from singer_sdk import typing as th

SETTINGS: dict[str, Any] = th.PropertiesList(
    th.Property(
        "username",
        th.StringType,
        title="API key",
        description="API key of the experience API (Appcues).",
    ),
    th.Property(
        "password",
        th.StringType,
        secret=True,
        title="API secret",
        description="API secret of the experience API (Appcues).",
    ),
    th.Property(
        "account_id",
        th.StringType,
        title="Account ID",
        description="ID of the Appcues account to extract.",
    ),
    th.Property(
        "experience_api_url",
        th.URIType,
        default="https://api.appcues.com/v2",
        title="Experience API URL",
        description="Base URL of the experience API. EU accounts use "
        "https://api.eu.appcues.com/v2.",
    ),
    th.Property(
        "client_id",
        th.StringType,
        title="Client ID",
        description="Client ID of the creator API (Phyllo).",
    ),
    th.Property(
        "client_secret",
        th.StringType,
        secret=True,
        title="Client secret",
        description="Client secret of the creator API (Phyllo).",
    ),
    th.Property(
        "creator_api_url",
        th.URIType,
        default="https://api.getphyllo.com",
        title="Creator API URL",
        description="Base URL of the creator API. Phyllo's sandbox is "
        "https://api.sandbox.getphyllo.com.",
    ),
    th.Property(
        "content_by_account",
        th.BooleanType,
        title="Content by account",
        description="Content and income are listed once per account. If not set, true at "
        "getphyllo.com and insightiq.ai, which require it, and false elsewhere.",
    ),
    th.Property(
        "all_streams",
        th.BooleanType,
        default=False,
        title="All streams",
        description="The further listings of both APIs are streams too. Those of the creator API "
        "need content_by_account.",
    ),
    th.Property(
        "skip_unsynced_accounts",
        th.BooleanType,
        default=False,
        title="Skip unsynced accounts",
        description="Accounts that the service has not synced since the last read are skipped. "
        "Needs content_by_account.",
    ),
    th.Property(
        "start_date",
        th.DateTimeType,
        title="Start date",
        description="Records with an earlier updated_at are skipped.",
    ),
    th.Property(
        "lookback_window",
        th.IntegerType(minimum=0),
        default=0,
        title="Lookback window",
        description="Each sync also reads this many seconds before the bookmark.",
    ),
    th.Property(
        "page_size",
        th.IntegerType(minimum=2, maximum=100),
        title="Page size",
        description="Records per page of the creator API, from 2 to 100. If not set, 100 at "
        "getphyllo.com and insightiq.ai, and 10 elsewhere.",
    ),
    th.Property(
        "max_concurrent_requests",
        th.IntegerType(minimum=1, maximum=32),
        default=8,
        title="Concurrent requests",
        description="Requests that may be in flight to one API, from 1 to 32.",
    ),
    th.Property(
        "max_retries",
        th.IntegerType(minimum=0),
        default=3,
        title="Retries",
        description="A failed request is retried this many times at most.",
    ),
    th.Property(
        "backoff_factor",
        th.IntegerType(minimum=0),
        default=2,
        title="Backoff factor",
        description="Seconds before the first retry. Each further wait doubles; 0 retries "
        "immediately.",
    ),
    th.Property(
        "request_timeout",
        th.IntegerType(minimum=1),
        default=60,
        title="Request timeout",
        description="Seconds that a complete answer may take.",
    ),
    th.Property(
        "user_agent",
        th.StringType,
        title="User agent",
        description="User-Agent header of each request. Default: tap-analytics/VERSION.",
    ),
    th.Property(
        "complete_records",
        th.BooleanType,
        default=False,
        title="Complete records",
        description="Each record holds all fields of its schema, in the schema's order, null where "
        "absent. For loaders that take the columns from the first record.",
    ),
    th.Property(
        "emit_activate_version_messages",
        th.BooleanType,
        default=False,
        title="Activate versions",
        description="The target is told which records are current, so that it can delete the "
        "others. Applies to FULL_TABLE streams.",
    ),
).to_dict()
