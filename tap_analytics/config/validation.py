"""What can be wrong with the settings, in one line each."""

from __future__ import annotations

import difflib
import json
import os
import re
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from singer_sdk.plugin_base import JSONSchemaValidator

from tap_analytics.config import maps
from tap_analytics.listing.timestamps import canonical
from tap_analytics.log.wording import listed, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from jsonschema import ValidationError

    from tap_analytics.config.access import Access

# One segment of a path, of characters that mean themselves in a URL.
_ACCOUNT_ID = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*")

# Latin-1 without control characters, not beginning with a space.
_HEADER_VALUE = re.compile(r"[!-~\xa1-\xff][ -~\xa0-\xff]*")

# What the SDK takes for true, and what says that the opposite is meant.
_BOOLEANS = ("true", "1", "yes", "on", "false", "0", "no", "off", "")


def find_errors(
    config: dict[str, Any],
    schema: dict[str, Any],
    apis: Iterable[Access],
    find_batch_errors: Callable[[Mapping[str, Any]], Iterator[str]],
) -> list[str]:
    """Find what is wrong with the settings. Defaults are filled in on the way.

    A setting that is null is one that is not set. A part of an address may be a number.

    Args:
        config: The settings.
        schema: Their JSON schema.
        apis: The APIs and the settings that each needs.
        find_batch_errors: Finds what is wrong with `batch_config`.

    Returns:
        One line per error. Unlike the SDK's messages, they never contain secrets.
    """
    for name in [name for name, value in config.items() if value is None]:
        del config[name]
    for name in {name for api in apis for name in api.location}:
        value = config.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            config[name] = str(value)
    stream_maps = config.get("stream_maps")
    # The SDK's schema of maps fails on some of these errors, and says little of the others.
    errors = [*maps.find_errors(stream_maps)] if isinstance(stream_maps, dict) else []
    errors = errors or [
        _explain(error) for error in JSONSchemaValidator(schema).iter_errors(config)
    ]
    if errors:
        return errors
    errors = [*_find_rule_errors(config, apis)]
    if config.get("batch_config"):
        errors += find_batch_errors(config["batch_config"])
    return errors


def find_environment_errors(prefix: str, schema: dict[str, Any]) -> Iterator[str]:
    """Find environment variables that the SDK can't convert. The SDK doesn't say which.

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
            if value is None:
                continue
            if "integer" in types:
                what = "a whole number"
                int(value)
            elif "boolean" in types:
                what = "true or false"
                _BOOLEANS.index(value.lower())
            elif "object" in types:
                what = "JSON"
                json.loads(value)
        except ValueError:
            yield f"The environment variable {variable} is not {what}: {one_line(repr(value), 100)}"


def find_warnings(
    config: Mapping[str, Any], schema: dict[str, Any], apis: Iterable[Access]
) -> Iterator[str]:
    """Find settings that are valid but probably not meant.

    Args:
        config: The settings, without errors.
        schema: Their JSON schema.
        apis: The APIs and the settings that each needs.

    Yields:
        A line for each.
    """
    for name in sorted(config.keys() - schema["properties"].keys()):
        close = difflib.get_close_matches(name, schema["properties"], n=1)
        hint = f"; did you mean `{close[0]}`?" if close else ""
        yield f"There is no setting `{name}`, it is ignored{hint}"
    start_date = canonical(config.get("start_date"))
    if start_date and start_date > datetime.now(UTC).isoformat(timespec="microseconds"):
        yield f"`start_date` lies in the future: {config['start_date']}"
    if config["skip_unsynced_accounts"] and not config["content_by_account"]:
        yield "`skip_unsynced_accounts` does nothing without `content_by_account`"
    if config["all_streams"] and not config["content_by_account"]:
        yield "`all_streams` adds nothing of the creator API without `content_by_account`"
    if config["emit_activate_version_messages"] and config.get("batch_config"):
        yield (
            "`emit_activate_version_messages` does nothing with `batch_config`: files hold no "
            "versions, and loaders would delete what they have loaded from them"
        )
    for api in apis:
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


def _find_rule_errors(config: Mapping[str, Any], apis: Iterable[Access]) -> Iterator[str]:
    for api in apis:
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
    user_agent = config.get("user_agent")
    if user_agent and not _HEADER_VALUE.fullmatch(user_agent):
        yield f"`user_agent` holds characters that a header can't hold: {user_agent!r}"
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
