"""Defaults that depend on the service at `creator_api_url`."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

URL_SETTING = "creator_api_url"
"""The setting that holds the address of the service."""

LIVE_DOMAINS = ("getphyllo.com", "insightiq.ai")
"""The service's own domains. It lists content once per account, and up to 100 records a page."""

AT_LIVE_SERVICE = MappingProxyType({"content_by_account": True, "page_size": 100})
"""What these settings are at the service's own hosts, if they are not set."""

ELSEWHERE = MappingProxyType({"content_by_account": False, "page_size": 10})
"""What they are at any other host."""


def fill_in(config: MutableMapping[str, Any]) -> Iterator[str]:
    """Set what is not set to what the service needs.

    Args:
        config: The settings, which change.

    Yields:
        A line that says what was chosen, if anything was.
    """
    url = config.get(URL_SETTING)
    is_live = isinstance(url, str) and is_at_live_service(url)
    defaults = AT_LIVE_SERVICE if is_live else ELSEWHERE
    chosen = {name: value for name, value in defaults.items() if name not in config}
    config.update(chosen)
    if chosen:
        values = ", ".join(f"`{name}` {json.dumps(value)}" for name, value in chosen.items())
        service = "the live service" if is_live else "another host than the live service's"
        yield f"Not set, so chosen for {service}: {values}"


def is_at_live_service(url: str) -> bool:
    """Return whether a URL leads to one of the service's own hosts.

    Args:
        url: A URL.

    Returns:
        True for its domains and what is below them, in upper or lower case, at any port.
    """
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    host = host.removesuffix(".")
    return any(host == domain or host.endswith(f".{domain}") for domain in LIVE_DOMAINS)
