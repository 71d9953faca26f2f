"""The settings, and what can be wrong with them."""

from __future__ import annotations

import difflib
import json
import os
import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from singer_sdk import typing as th
from singer_sdk.plugin_base import JSONSchemaValidator

from tap_analytics.errors import listed
from tap_analytics.timestamps import canonical

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jsonschema import ValidationError


@dataclass(frozen=True, slots=True)
class Api:
    """What it takes to reach an API.

    Attributes:
        url_setting: The setting that holds its base URL.
        credentials: The settings that it needs: user name and password of its Basic
            authentication first, then what else is part of its address.
    """

    url_setting: str
    credentials: tuple[str, ...]

    def is_configured(self, config: Mapping[str, Any]) -> bool:
        """Tell whether all credentials are set."""
        return all(config.get(name) for name in self.credentials)


EXPERIENCE_API = Api("experience_api_url", ("username", "password", "account_id"))
CREATOR_API = Api("creator_api_url", ("client_id", "client_secret"))
APIS = (EXPERIENCE_API, CREATOR_API)

# One segment of a path, of characters that mean themselves in a URL.
_ACCOUNT_ID = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*")

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
        th.IntegerType(minimum=1, maximum=100),
        default=10,
        title="Page size",
        description="Records per page of the creator API, 1 to 100.",
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
        "0 waits not at all.",
    ),
    th.Property(
        "request_timeout",
        th.IntegerType(minimum=1),
        default=60,
        title="Request timeout",
        description="Seconds that a server may take to answer.",
    ),
    th.Property(
        "user_agent",
        th.StringType,
        title="User agent",
        description="User-Agent header of requests; tap-analytics/VERSION if not set.",
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


def find_errors(config: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    """Find what is wrong with the settings. Defaults are filled in on the way.

    Args:
        config: The settings.
        schema: Their JSON schema.

    Returns:
        A line for each error. None repeats a secret, as the SDK's own would.
    """
    errors = [_explain(error) for error in JSONSchemaValidator(schema).iter_errors(config)]
    return errors or [*_find_rule_errors(config)]


def find_environment_errors(prefix: str, schema: dict[str, Any]) -> Iterator[str]:
    """Find environment variables that the SDK can't convert, which doesn't say which.

    Args:
        prefix: What the names of the variables begin with.
        schema: The JSON schema of the settings.

    Yields:
        A line for each.
    """
    for name, definition in schema["properties"].items():
        variable = prefix + name.upper()
        value = os.environ.get(variable)
        types = definition.get("type", "string")
        try:
            if value is not None and "integer" in types:
                int(value)
            elif value is not None and "object" in types:
                json.loads(value)
        except ValueError:
            what = "a whole number" if "integer" in types else "JSON"
            yield f"The environment variable {variable} is not {what}: {value!r}"


def find_warnings(config: Mapping[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    """Find what is not wrong, but probably not meant either.

    Args:
        config: The settings, without errors.
        schema: Their JSON schema.

    Yields:
        A line for each.
    """
    for name in sorted(config.keys() - schema["properties"].keys()):
        close = difflib.get_close_matches(name, schema["properties"], n=1)
        hint = f"; did you mean `{close[0]}`?" if close else ""
        yield f"There is no setting `{name}`, it is ignored{hint}"
    for api in APIS:
        url = urlsplit(config[api.url_setting])
        if url.scheme == "http" and not _is_loopback(url.hostname or ""):
            yield f"`{api.url_setting}` is not https: credentials travel in the clear"


def _explain(error: ValidationError) -> str:
    name = ".".join(str(part) for part in error.absolute_path) or "the configuration"
    if error.validator == "type":
        expected: Any = error.validator_value
        types = [expected] if isinstance(expected, str) else [t for t in expected if t != "null"]
        return f"`{name}` must be of type {' or '.join(types)}"
    return f"`{name}`: {error.message}"


def _find_rule_errors(config: Mapping[str, Any]) -> Iterator[str]:
    for api in APIS:
        names = api.credentials
        missing = [name for name in names if not config.get(name)]
        if 0 < len(missing) < len(names):
            verb = "is" if len(missing) == 1 else "are"
            yield f"{listed(missing)} {verb} missing: set {listed(names)}, or none of them"
        problem = _find_url_error(config[api.url_setting])
        if problem:
            yield f"`{api.url_setting}` {problem}"
    account_id = config.get("account_id")
    if account_id and not _ACCOUNT_ID.fullmatch(account_id):
        yield f"`account_id` is not one segment of a URL path: {account_id!r}"
    start_date = config.get("start_date")
    try:
        canonical(start_date)
    except ValueError:
        yield f"`start_date` is no date or timestamp such as 2026-01-31: {start_date!r}"


def _find_url_error(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        return f"is no URL ({error}): {url!r}"
    if parts.username is not None:
        return "must not hold credentials, there are settings for them"
    if parts.scheme not in {"http", "https"} or not host or re.search(r"\s", url):
        return f"is no http or https URL: {url!r}"
    if parts.query or parts.fragment:
        return f"must end with the path: {url!r}"
    return None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
