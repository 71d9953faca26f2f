"""The settings."""

from __future__ import annotations

from typing import Any

from singer_sdk import typing as th

SETTINGS: dict[str, Any] = th.PropertiesList(
    th.Property(
        "username",
        th.StringType,
        title="API key",
        description="API key of the experience API.",
    ),
    th.Property(
        "password",
        th.StringType,
        secret=True,
        title="API secret",
        description="API secret of the experience API.",
    ),
    th.Property(
        "account_id",
        th.StringType,
        title="Account ID",
        description="Account of the experience API to extract.",
    ),
    th.Property(
        "experience_api_url",
        th.URIType,
        default="https://api.appcues.com/v2",
        title="Experience API URL",
        description="Base URL of the experience API; in the EU https://api.eu.appcues.com/v2.",
    ),
    th.Property(
        "client_id",
        th.StringType,
        title="Client ID",
        description="Client ID of the creator API.",
    ),
    th.Property(
        "client_secret",
        th.StringType,
        secret=True,
        title="Client secret",
        description="Client secret of the creator API.",
    ),
    th.Property(
        "creator_api_url",
        th.URIType,
        default="https://api.getphyllo.com",
        title="Creator API URL",
        description="Base URL of the creator API; its sandbox is "
        "https://api.sandbox.getphyllo.com.",
    ),
    th.Property(
        "content_by_account",
        th.BooleanType,
        default=False,
        title="Content by account",
        description="List content_items and social_income_transactions once per account, "
        "as the live creator API requires.",
    ),
    th.Property(
        "skip_unsynced_accounts",
        th.BooleanType,
        default=False,
        title="Skip unsynced accounts",
        description="With content_by_account, leave out the listings of accounts that the service "
        "has not synced since they were last read.",
    ),
    th.Property(
        "start_date",
        th.DateTimeType,
        title="Start date",
        description="The earliest updated_at to extract.",
    ),
    th.Property(
        "lookback_window",
        th.IntegerType(minimum=0),
        default=0,
        title="Lookback window",
        description="Seconds before the bookmark that are read again.",
    ),
    th.Property(
        "page_size",
        th.IntegerType(minimum=2, maximum=100),
        default=10,
        title="Page size",
        description="Records per page of the creator API, 2 to 100.",
    ),
    th.Property(
        "max_concurrent_requests",
        th.IntegerType(minimum=1, maximum=32),
        default=8,
        title="Concurrent requests",
        description="Requests in flight to one API at most, 1 to 32.",
    ),
    th.Property(
        "max_retries",
        th.IntegerType(minimum=0),
        default=3,
        title="Retries",
        description="Retries of a request after the first try.",
    ),
    th.Property(
        "backoff_factor",
        th.IntegerType(minimum=0),
        default=2,
        title="Backoff factor",
        description="Seconds before the first retry, doubled for each further one; "
        "0 retries immediately.",
    ),
    th.Property(
        "request_timeout",
        th.IntegerType(minimum=1),
        default=60,
        title="Request timeout",
        description="Seconds that a server may take to answer, to the last byte.",
    ),
    th.Property(
        "user_agent",
        th.StringType,
        title="User agent",
        description="User-Agent header of requests; tap-analytics/VERSION if not set.",
    ),
    th.Property(
        "complete_records",
        th.BooleanType,
        default=False,
        title="Complete records",
        description="Give each record all fields of its schema, in the schema's order, null where "
        "absent; for loaders that take the columns from the first record.",
    ),
    th.Property(
        "emit_activate_version_messages",
        th.BooleanType,
        default=False,
        title="Activate versions",
        description="Tell the target, for streams with FULL_TABLE replication, which records are "
        "current, so that it can remove the others.",
    ),
).to_dict()
