"""Wrong settings, files and states stop the tap before the first request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from sandboxes import impatient, only

if TYPE_CHECKING:
    from pathlib import Path

    from runs import RunTap

    from tap_analytics.sandbox import Sandbox


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            {"password": None},
            "`password` is missing: set `username`, `password` and `account_id`, or none of them",
        ),
        ({"page_size": 101}, "`page_size`: 101 is greater than the maximum of 100"),
        ({"password": 1234567}, "`password` must be of type string"),
        (
            {"creator_api_url": "https://me:pw@api.example"},
            "`creator_api_url` must not hold credentials, there are settings for them",
        ),
    ],
    ids=lambda value: None if isinstance(value, str) else json.dumps(value),
)
@pytest.mark.parametrize("mode", ["--discover", "--test", ""])
def test_a_wrong_setting_stops_the_tap_before_the_first_request(
    run_tap: RunTap, sandbox: Sandbox, settings: dict[str, Any], line: str, mode: str
) -> None:
    config = {k: v for k, v in {**impatient(sandbox), **settings}.items() if v is not None}
    run = run_tap(config, *([mode] if mode else []))
    assert run.status == 1
    assert any(error.endswith(line) for error in run.errors), run.errors
    assert "Traceback" not in run.log
    assert run.output == b""
    assert sandbox.requests == []
    assert "1234567" not in run.log


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("PAGE_SIZE", "ten", "TAP_ANALYTICS_PAGE_SIZE is not a whole number: 'ten'"),
        (
            "CONTENT_BY_ACCOUNT",
            "maybe",
            "TAP_ANALYTICS_CONTENT_BY_ACCOUNT is not true or false: 'maybe'",
        ),
        ("STREAM_MAPS", "{users}", "TAP_ANALYTICS_STREAM_MAPS is not JSON: '{users}'"),
    ],
)
def test_an_environment_variable_that_cannot_be_read_is_named(
    run_tap: RunTap,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    line: str,
) -> None:
    monkeypatch.setenv(f"TAP_ANALYTICS_{variable}", value)
    run = run_tap(None, "--config=ENV", "--test")
    assert run.status == 1
    assert run.errors == [f"The environment variable {line}"]


@pytest.mark.parametrize("option", ["--config", "--state", "--catalog"])
@pytest.mark.parametrize(
    ("content", "problem"),
    [("{not json", "can't be read: "), ("[1]", "holds no JSON object"), ("", "can't be read: ")],
    ids=["broken", "array", "empty"],
)
def test_a_file_that_cannot_be_read_is_named(
    run_tap: RunTap, tmp_path: Path, sandbox: Sandbox, option: str, content: str, problem: str
) -> None:
    path = tmp_path / "given.json"
    path.write_text(content)
    run = run_tap(impatient(sandbox), option, str(path))
    assert run.status == 1
    assert run.errors[0].startswith(f"{path} {problem}"), run.errors
    assert "Traceback" not in run.log
    assert sandbox.requests == []


@pytest.mark.parametrize(
    ("state", "line"),
    [
        (
            {"type": "STATE", "value": {"bookmarks": {}}},
            "The state is a whole STATE message: pass only its `value`",
        ),
        (
            {"bookmarks": []},
            "The state's `bookmarks` must be an object that holds objects",
        ),
        (
            {"bookmarks": {"users": 7}},
            "The state's `bookmarks` must be an object that holds objects",
        ),
        (
            {"bookmarks": {"content_items": {"partitions": [{"context": {"account_id": "1"}}]}}},
            "The state of `content_items` has `partitions`: it is not of this tap",
        ),
        (
            {"bookmarks": {"content_items": {"accounts": ["1"]}}},
            "The state's `accounts` of `content_items` must be an object",
        ),
        (
            {"bookmarks": {"content_items": {"accounts": {"a-1": "soon"}}}},
            ("The state's bookmark of account a-1 in `content_items` is no timestamp: 'soon'"),
        ),
    ],
    ids=["message", "array", "number", "partitions", "accounts", "timestamp"],
)
def test_a_state_of_another_shape_stops_the_tap_before_the_first_request(
    run_tap: RunTap, sandbox: Sandbox, state: dict[str, Any], line: str
) -> None:
    run = run_tap(impatient(sandbox), state=state)
    assert run.status == 1
    assert run.errors[0] == line
    assert sandbox.requests == []


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"bookmarks": None},
        {"bookmarks": {}},
        {"bookmarks": {"users": None}},
        {"bookmarks": {"users": {"replication_key_value": None}}},
        {"bookmarks": {"content_items": {"accounts": None}}},
        {"bookmarks": {"content_items": {"partitions": None}}},
    ],
    ids=json.dumps,
)
def test_a_state_with_nothing_in_it_is_none(
    run_tap: RunTap, sandbox: Sandbox, state: dict[str, Any]
) -> None:
    run = run_tap(only("creator", sandbox), state=state)
    assert run.status == 0, run.log
    assert len(run.ids("users")) == 25
    assert run.warnings == run_tap(only("creator", sandbox)).warnings


def test_a_bookmark_of_a_stream_that_does_not_exist_is_passed_on(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    state = {"bookmarks": {"of_old": {"replication_key_value": "2024-05-01T10:00:00+00:00"}}}
    run = run_tap(only("experience", sandbox), state=state)
    assert run.status == 0
    assert run.bookmark("of_old") == "2024-05-01T10:00:00+00:00"


def test_a_config_file_that_is_not_there_is_named(run_tap: RunTap) -> None:
    run = run_tap(None, "--config=nowhere.json")
    assert run.status == 1
    assert "nowhere.json can't be read: [Errno 2] No such file or directory" in run.errors[0]


def test_a_setting_that_does_not_exist_is_warned_of(run_tap: RunTap, sandbox: Sandbox) -> None:
    run = run_tap(only("experience", sandbox, pagesize=5, wibble=1), "--test")
    assert run.status == 0
    assert (
        "There is no setting `pagesize`, it is ignored; did you mean `page_size`?" in run.warnings
    )
    assert "There is no setting `wibble`, it is ignored" in run.warnings


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_base_url_may_end_with_a_slash(run_tap: RunTap, sandbox: Sandbox, slash: str) -> None:
    names = ("experience_api_url", "creator_api_url")
    urls = {name: f"{sandbox.settings[name]}{slash}" for name in names}
    run = run_tap(impatient(sandbox, **urls))
    assert run.status == 0
    assert not any("//" in request.path for request in sandbox.requests)
