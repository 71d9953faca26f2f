"""Defaults that depend on the service at `creator_api_url`."""

from __future__ import annotations

from typing import Any

import pytest

from tap_analytics.config.defaults import fill_in, is_at_live_service


@pytest.mark.parametrize(
    "url",
    [
        "https://api.getphyllo.com",
        "https://getphyllo.com",
        "https://api.sandbox.getphyllo.com/",
        "https://api.staging.insightiq.ai",
        "https://API.GetPhyllo.COM",
        "https://api.getphyllo.com.",
        "https://api.getphyllo.com:8443/base",
        "http://api.insightiq.ai",
    ],
)
def test_a_host_of_the_service_is_one_however_it_is_spelled(url: str) -> None:
    assert is_at_live_service(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://evilgetphyllo.com",
        "https://getphyllo.com.evil.example",
        "https://api-getphyllo.com",
        "https://evil.example/api.getphyllo.com",
        "https://evil.example?.getphyllo.com",
        "https://evil.example#.getphyllo.com",
        "https://api.getphyllo.com@evil.example",
        "https://getphyllo.co",
        "https://com",
        "https://api.g\u0435tphyllo.com",  # a Cyrillic letter
        "https://xn--gtphyllo-c8g.com",
        "http://127.0.0.1:8080",
        "http://localhost",
        "http://[::1]:80",
        "https://[api.getphyllo.com",
        "api.getphyllo.com",
        "",
    ],
)
def test_any_other_host_is_none(url: str) -> None:
    assert not is_at_live_service(url)


@pytest.mark.parametrize(
    ("config", "chosen", "line"),
    [
        (
            {"creator_api_url": "https://api.getphyllo.com"},
            {"content_by_account": True, "page_size": 100},
            "the live service: `content_by_account` true, `page_size` 100",
        ),
        (
            {"creator_api_url": "http://127.0.0.1:1"},
            {"content_by_account": False, "page_size": 10},
            "another host than the live service's: `content_by_account` false, `page_size` 10",
        ),
        (
            {"creator_api_url": "https://api.insightiq.ai", "content_by_account": False},
            {"content_by_account": False, "page_size": 100},
            "the live service: `page_size` 100",
        ),
        (
            {"creator_api_url": "https://api.insightiq.ai", "page_size": 7},
            {"content_by_account": True, "page_size": 7},
            "the live service: `content_by_account` true",
        ),
    ],
)
def test_what_is_not_set_is_what_the_service_needs(
    config: dict[str, Any], chosen: dict[str, Any], line: str
) -> None:
    assert [*fill_in(config)] == [f"Not set, so chosen for {line}"]
    assert config.items() >= chosen.items()


def test_what_is_set_stays() -> None:
    config = {
        "creator_api_url": "https://api.getphyllo.com",
        "content_by_account": False,
        "page_size": 10,
    }
    assert [*fill_in(config)] == []
    assert config["content_by_account"] is False


def test_a_url_that_is_none_is_no_host_of_the_service() -> None:
    config: dict[str, Any] = {"creator_api_url": 7}
    assert len([*fill_in(config)]) == 1
    assert config["page_size"] == 10
