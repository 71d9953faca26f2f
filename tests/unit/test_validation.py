"""What is wrong with settings, in one line each."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest

from tap_analytics.config.settings import SETTINGS
from tap_analytics.config.validation import find_environment_errors, find_errors, find_warnings
from tap_analytics.singer.batches import find_errors as find_batch_errors
from tap_analytics.streams import APIS

if TYPE_CHECKING:
    from collections.abc import Mapping

VALID = {
    "username": "me",
    "password": "a password",
    "account_id": "12345",
    "client_id": "a client",
    "client_secret": "a secret",
}


def errors_of(settings: Mapping[str, Any]) -> list[str]:
    config = {name: value for name, value in {**VALID, **settings}.items() if value is not None}
    return find_errors(config, deepcopy(SETTINGS), APIS, find_batch_errors)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"username": None, "password": None, "account_id": None},
        {"client_id": "", "client_secret": ""},
        {"start_date": "2024-05-01"},
        {"start_date": "2024-05-01T10:00:00+02:00"},
        {"page_size": 2},
        {"page_size": 100},
        {"lookback_window": 0, "max_retries": 0, "backoff_factor": 0, "request_timeout": 1},
        {"account_id": "a-b_c~d.1"},
        {"creator_api_url": "http://127.0.0.1:8000/base/"},
        {"user_agent": ""},
        {"user_agent": "nightly/1.0 (Zürich; +https://example.org)"},
    ],
    ids=json.dumps,
)
def test_valid_settings_have_no_errors(settings: dict[str, Any]) -> None:
    assert errors_of(settings) == []


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            {"password": None},
            "`password` is missing: set `username`, `password` and `account_id`, or none of them",
        ),
        (
            {"username": None, "password": ""},
            (
                "`username` and `password` are missing: "
                "set `username`, `password` and `account_id`, or none of them"
            ),
        ),
        (
            {"client_secret": None},
            "`client_secret` is missing: set `client_id` and `client_secret`, or none of them",
        ),
        (
            {"start_date": "last week"},
            "`start_date` is no date or timestamp such as 2026-01-31: 'last week'",
        ),
        ({"page_size": 1}, "`page_size`: 1 is less than the minimum of 2"),
        ({"page_size": 101}, "`page_size`: 101 is greater than the maximum of 100"),
        (
            {"max_concurrent_requests": 0},
            "`max_concurrent_requests`: 0 is less than the minimum of 1",
        ),
        (
            {"max_concurrent_requests": 33},
            "`max_concurrent_requests`: 33 is greater than the maximum of 32",
        ),
        ({"page_size": "many"}, "`page_size` must be of type integer"),
        ({"lookback_window": -1}, "`lookback_window`: -1 is less than the minimum of 0"),
        ({"max_retries": -1}, "`max_retries`: -1 is less than the minimum of 0"),
        ({"backoff_factor": -1}, "`backoff_factor`: -1 is less than the minimum of 0"),
        ({"request_timeout": 0}, "`request_timeout`: 0 is less than the minimum of 1"),
        ({"content_by_account": "yes"}, "`content_by_account` must be of type boolean"),
        ({"password": 1234567}, "`password` must be of type string"),
        ({"account_id": "12/34"}, "`account_id` is not one segment of a URL path: '12/34'"),
        ({"account_id": ".."}, "`account_id` is not one segment of a URL path: '..'"),
        (
            {"account_id": "{password}"},
            "`account_id` is not one segment of a URL path: '{password}'",
        ),
        ({"creator_api_url": "api"}, "`creator_api_url` is no http or https URL: 'api'"),
        (
            {"experience_api_url": "ftp://api.example"},
            "`experience_api_url` is no http or https URL: 'ftp://api.example'",
        ),
        (
            {"creator_api_url": "https://api.example:port"},
            (
                "`creator_api_url` is no URL (Port could not be cast to integer value as 'port'): "
                "'https://api.example:port'"
            ),
        ),
        (
            {"creator_api_url": "https://me:pw@api.example"},
            "`creator_api_url` must not hold credentials, there are settings for them",
        ),
        (
            {"creator_api_url": "https://api.example?v=2"},
            "`creator_api_url` must end with the path: 'https://api.example?v=2'",
        ),
    ],
    ids=lambda value: None if isinstance(value, str) else json.dumps(value),
)
def test_a_wrong_setting_has_one_line_that_says_what_is_wrong(
    settings: dict[str, Any], line: str
) -> None:
    assert errors_of(settings) == [line]


@pytest.mark.parametrize(
    "user_agent",
    ["a\nb", "a\r\nX-Forged: 1", "a\n", " a", "a\x00b", "a\x7f", "日本", "a\u2028b", "\t"],
)
def test_a_user_agent_that_no_header_can_hold_has_one_line(user_agent: str) -> None:
    line = f"`user_agent` holds characters that a header can't hold: {user_agent!r}"
    assert errors_of({"user_agent": user_agent}) == [line]
    assert "\n" not in line


@pytest.mark.parametrize("name", SETTINGS["properties"])
def test_a_setting_that_is_null_is_one_that_is_not_set(name: str) -> None:
    given: dict[str, Any] = {name: None}
    unset: dict[str, Any] = {}
    for config in (given, unset):
        assert find_errors(config, deepcopy(SETTINGS), APIS, find_batch_errors) == []
    assert given == unset


def test_each_wrong_setting_has_a_line_of_its_own() -> None:
    wrong = {"client_secret": None, "start_date": "soon", "creator_api_url": "x"}
    assert errors_of(wrong) == [
        "`client_secret` is missing: set `client_id` and `client_secret`, or none of them",
        "`creator_api_url` is no http or https URL: 'x'",
        "`start_date` is no date or timestamp such as 2026-01-31: 'soon'",
    ]


@pytest.mark.parametrize("secret", ["password", "client_secret"])
@pytest.mark.parametrize("value", [1234567, ["1234567"], {"1234567": 1}])
def test_no_line_repeats_a_secret(secret: str, value: object) -> None:
    (line,) = errors_of({secret: value})
    assert line == f"`{secret}` must be of type string"


def test_validation_fills_in_defaults() -> None:
    config: dict[str, Any] = {}
    find_errors(config, deepcopy(SETTINGS), APIS, find_batch_errors)
    assert config["max_retries"] == 3
    assert config["all_streams"] is False


@pytest.mark.parametrize("given", [64213, 0])
def test_an_account_id_may_be_a_number(given: int) -> None:
    config: dict[str, Any] = {"username": "u", "password": "p", "account_id": given}
    assert not find_errors(config, deepcopy(SETTINGS), APIS, find_batch_errors)
    assert config["account_id"] == str(given)


@pytest.mark.parametrize("given", [True, 64213.5, ["64213"]])
def test_an_account_id_is_text_or_a_whole_number(given: object) -> None:
    config: dict[str, Any] = {"username": "u", "password": "p", "account_id": given}
    errors = find_errors(config, deepcopy(SETTINGS), APIS, find_batch_errors)
    assert errors == ["`account_id` must be of type string"]


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("PAGE_SIZE", "ten", "is not a whole number: 'ten'"),
        ("PAGE_SIZE", "10", None),
        ("CONTENT_BY_ACCOUNT", "maybe", "is not true or false: 'maybe'"),
        ("CONTENT_BY_ACCOUNT", "True", None),
        ("STREAM_MAPS", "{users}", "is not JSON: '{users}'"),
        ("STREAM_MAPS", "{}", None),
        ("USER_AGENT", "ten", None),
    ],
)
def test_an_environment_variable_that_cannot_be_converted_has_a_line(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, problem: str | None
) -> None:
    schema = deepcopy(SETTINGS)
    schema["properties"]["stream_maps"] = {"type": ["object", "null"]}
    monkeypatch.setenv(f"TAP_{variable}", value)
    expected = [f"The environment variable TAP_{variable} {problem}"] if problem else []
    assert [*find_environment_errors("TAP_", schema)] == expected


def warnings_of(settings: Mapping[str, Any]) -> list[str]:
    config = {**VALID, **settings}
    assert find_errors(config, deepcopy(SETTINGS), APIS, find_batch_errors) == []
    return [*find_warnings(config, SETTINGS, APIS)]


@pytest.mark.parametrize(
    ("url", "is_warned_of"),
    [
        ("http://api.example", True),
        ("http://192.0.2.7", True),
        ("https://api.example", False),
        ("http://localhost:8000", False),
        ("http://127.0.0.2", False),
        ("http://[::1]:80/", False),
    ],
)
def test_a_url_without_encryption_is_warned_of_unless_it_is_this_machine(
    url: str, *, is_warned_of: bool
) -> None:
    line = "`creator_api_url` is not https: credentials travel in the clear"
    assert warnings_of({"creator_api_url": url}) == ([line] if is_warned_of else [])


@pytest.mark.parametrize("by_account", [True, False])
@pytest.mark.parametrize("skips", [True, False])
def test_skipping_is_warned_of_where_there_is_nothing_to_skip(
    *, by_account: bool, skips: bool
) -> None:
    line = "`skip_unsynced_accounts` does nothing without `content_by_account`"
    settings = {"content_by_account": by_account, "skip_unsynced_accounts": skips}
    assert warnings_of(settings) == ([line] if skips and not by_account else [])


@pytest.mark.parametrize("activates", [True, False])
@pytest.mark.parametrize("has_batches", [True, False])
def test_versions_of_files_are_warned_of(*, activates: bool, has_batches: bool) -> None:
    files = {"encoding": {"format": "jsonl"}, "storage": {"root": "file:///data"}}
    settings = {"emit_activate_version_messages": activates}
    # The SDK adds `batch_config` to the settings only when the tap runs.
    lines = warnings_of(settings | ({"batch_config": files} if has_batches else {}))
    said = [line for line in lines if "`emit_activate_version_messages` does nothing" in line]
    assert len(said) == (activates and has_batches)


def test_a_setting_that_does_not_exist_is_warned_of_with_the_closest_name() -> None:
    assert warnings_of({"pagesize": 5, "wibble": 1}) == [
        "There is no setting `pagesize`, it is ignored; did you mean `page_size`?",
        "There is no setting `wibble`, it is ignored",
    ]


def test_a_start_date_in_the_future_is_warned_of() -> None:
    assert warnings_of({"start_date": "2999-01-01"}) == [
        "`start_date` lies in the future: 2999-01-01"
    ]
