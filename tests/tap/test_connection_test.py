"""`--test` ends with a line per stream: what arrived, or why nothing did."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from sandboxes import CREATOR_STREAMS, EXPERIENCE_STREAMS, STREAMS, impatient, only
from series import mentions

from tap_analytics.sandbox import Reply, Sandbox

if TYPE_CHECKING:
    from runs import Run, RunTap


def report(run: Run) -> dict[str, tuple[str, str]]:
    """Return the last lines of the log, one for each stream: its level, and what it says."""
    lines = [line.split(" | ", 3) for line in run.log.splitlines()]
    told = [(level.strip(), text) for _, level, _, text in lines]
    names = [text.split(":")[0].split(" (")[0] for _, text in told]
    streams = len(set(names) & set(STREAMS))
    last = dict(zip(names[-streams:], told[-streams:], strict=True))
    assert len(last) == streams
    return last


def test_every_stream_of_which_a_record_arrived_is_named(run_tap: RunTap, sandbox: Sandbox) -> None:
    run = run_tap(impatient(sandbox), "--test")
    assert run.status == 0
    assert report(run) == {name: ("INFO", f"{name}: 1 record arrived") for name in STREAMS}


def test_an_empty_listing_is_no_failure(run_tap: RunTap, sandbox: Sandbox) -> None:
    sandbox.data["flows"] = []
    run = run_tap(only("experience", sandbox), "--test")
    assert run.status == 0
    level, line = report(run)["flows"]
    assert level == "INFO"
    assert line.startswith("flows: it can be read, but no record arrived: its listing is empty, or")
    assert len(report(run)) == 7


def test_a_stream_that_fails_says_why_and_the_others_what_arrived(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    sandbox.intercept = lambda request: Reply(status=403) if request.path == "/v1/users" else None
    run = run_tap(only("creator", sandbox), "--test")
    assert run.status == 1
    told = report(run)
    assert told.keys() == set(CREATOR_STREAMS)
    level, line = told.pop("users")
    assert level == "ERROR"
    assert line.startswith("users: 403 Forbidden for /v1/users")
    assert told == {name: ("INFO", f"{name}: 1 record arrived") for name in told}


@pytest.mark.parametrize("secret", ["password", "client_secret"])
def test_a_wrong_secret_of_one_api_fails_though_the_other_is_tested(
    run_tap: RunTap, sandbox: Sandbox, secret: str
) -> None:
    run = run_tap(impatient(sandbox, **{secret: "mistyped"}), "--test")
    assert run.status == 1
    refused, fine = (
        (EXPERIENCE_STREAMS, CREATOR_STREAMS)
        if secret == "password"  # noqa: S105
        else (CREATOR_STREAMS, EXPERIENCE_STREAMS)
    )
    told = report(run)
    assert told.keys() == set(STREAMS)
    for name in fine:
        assert told[name] == ("INFO", f"{name}: 1 record arrived")
    first = min(refused)
    assert told[first][0] == "ERROR"
    assert told[first][1].startswith(f"{first}: 401 Unauthorized")
    assert f"`{secret}`" in told[first][1]
    for name in {*refused} - {first}:
        line = f"{name}: not tried, as nothing more is asked of this API"
        assert told[name] == ("WARNING", line)
    assert len(run.errors) == 1


def test_an_api_that_can_t_be_reached_is_told_once_and_soon(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    run = run_tap(impatient(sandbox, creator_api_url=url, max_retries=3), "--test")
    assert run.status == 1
    (error,) = run.errors
    assert error.startswith("accounts: no answer from 127.0.0.1")
    assert [line.split(":")[0] for line in mentions(run.warnings, "; retry ")] == ["accounts"] * 3
    told = report(run)
    assert {name for name in told if told[name][1].startswith(f"{name}: not tried")} == {
        *CREATOR_STREAMS
    } - {"accounts"}
    assert all(told[name] == ("INFO", f"{name}: 1 record arrived") for name in EXPERIENCE_STREAMS)


@pytest.mark.parametrize(("reply", "status"), [(Reply(status=403), 1), (Reply(body=[]), 0)])
def test_streams_without_an_account_to_read_them_for_are_named(
    run_tap: RunTap, sandbox: Sandbox, reply: Reply, status: int
) -> None:
    sandbox.intercept = lambda request: reply if request.path == "/v1/accounts" else None
    run = run_tap(only("creator", sandbox, content_by_account=True), "--test")
    assert run.status == status
    told = report(run)
    assert told.keys() == set(CREATOR_STREAMS)
    for name in ("content_items", "social_income_transactions"):
        line = f"{name}: not tried, as there is no record of `accounts` to read it for"
        assert told[name] == ("WARNING", line)


def test_a_stream_map_that_drops_the_first_account_is_not_said_to_drop_all(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    first = sandbox.data["accounts"][0]["id"]
    maps = {"accounts": {"__filter__": f"id != '{first}'"}}
    run = run_tap(only("creator", sandbox, content_by_account=True, stream_maps=maps), "--test")
    assert run.status == 0
    assert mentions(run.warnings, "drops all") == []
    assert report(run)["accounts"][1].startswith("accounts: it can be read, but no record arrived")


def test_content_of_an_account_that_fails_says_why(run_tap: RunTap, sandbox: Sandbox) -> None:
    account = sandbox.data["accounts"][0]["id"]
    sandbox.intercept = lambda request: (
        Reply(status=400) if request.path == "/v1/social/contents" else None
    )
    run = run_tap(only("creator", sandbox, content_by_account=True), "--test")
    assert run.status == 1
    assert report(run)["content_items"][1].startswith(f"content_items (account_id {account}): 400")
    assert report(run)["social_income_transactions"][0] == "INFO"
