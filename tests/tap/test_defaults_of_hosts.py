"""Settings that are not set are what the service at `creator_api_url` needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from live_host import live_host
from sandboxes import CREATOR_STREAMS, FURTHER_CREATOR_STREAMS, impatient, only
from series import mentions

from tap_analytics.sandbox import Reply, Sandbox

if TYPE_CHECKING:
    from pathlib import Path

    from runs import RunTap


def credentials(sandbox: Sandbox, **settings: object) -> dict[str, Any]:
    """The creator API's credentials and nothing else, as a user begins."""
    names = ("client_id", "client_secret")
    return {**{name: sandbox.settings[name] for name in names}, **settings}


def test_the_default_configuration_reads_the_live_service(run_tap: RunTap, tmp_path: Path) -> None:
    with live_host("api.getphyllo.com", tmp_path, rows=25, live=True) as sandbox:
        run = run_tap(credentials(sandbox))
        assert run.status == 0, run.errors
        for stream in CREATOR_STREAMS:
            listed = {record["id"] for record in sandbox.data[stream]}
            assert listed
            assert {*run.ids(stream)} == listed
        assert {request.query["limit"] for request in sandbox.requests} == {"100"}
        assert {r.headers["Host"] for r in sandbox.requests} == {"api.getphyllo.com"}
    line = "Not set, so chosen for the live service: `content_by_account` true, `page_size` 100"
    assert len(mentions(run.log.splitlines(), "INFO", line)) == 1


def test_all_streams_of_another_host_of_the_service_need_one_setting_more(
    run_tap: RunTap, tmp_path: Path
) -> None:
    with live_host("api.sandbox.insightiq.ai", tmp_path, rows=25, live=True) as sandbox:
        url = "https://API.sandbox.InsightIQ.ai"
        run = run_tap(credentials(sandbox, all_streams=True, creator_api_url=url))
        assert run.status == 0, run.errors
        for stream in (*CREATOR_STREAMS, *FURTHER_CREATOR_STREAMS):
            assert {*run.ids(stream)} == {record["id"] for record in sandbox.data[stream]}


def test_what_is_set_is_what_it_is_set_to(run_tap: RunTap, tmp_path: Path) -> None:
    with live_host("api.getphyllo.com", tmp_path, rows=25, live=True) as sandbox:
        settings = {"content_by_account": False, "page_size": 20, "max_retries": 0}
        run = run_tap(credentials(sandbox, **settings))
        assert run.status == 1
        assert [line.split(":")[0] for line in run.errors] == [
            "content_items",
            "social_income_transactions",
        ]
        assert {request.query["limit"] for request in sandbox.requests} >= {"20"}
    assert mentions(run.log.splitlines(), "Not set") == []


def test_elsewhere_they_are_as_in_the_seeds(run_tap: RunTap, sandbox: Sandbox) -> None:
    run = run_tap(credentials(sandbox, creator_api_url=sandbox.url))
    assert run.status == 0
    assert sandbox.requests[0].query["limit"] == "10"
    assert not any("account_id" in request.query for request in sandbox.requests)
    line = (
        "Not set, so chosen for another host than the live service's: `content_by_account` false, "
        "`page_size` 10"
    )
    assert len(mentions(run.log.splitlines(), line)) == 1


def test_the_environment_may_set_them(
    run_tap: RunTap, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in credentials(sandbox, creator_api_url=sandbox.url, page_size=33).items():
        monkeypatch.setenv(f"TAP_ANALYTICS_{name.upper()}", str(value))
    run = run_tap(None, "--config=ENV")
    assert run.status == 0
    assert sandbox.requests[0].query["limit"] == "33"
    assert len(mentions(run.log.splitlines(), "Not set", "`content_by_account` false")) == 1


def test_nothing_is_said_of_an_api_without_credentials(run_tap: RunTap, sandbox: Sandbox) -> None:
    for run in (run_tap(only("experience", sandbox)), run_tap({}, "--discover")):
        assert run.status == 0
        assert mentions(run.log.splitlines(), "Not set") == []


# The advice of a 400


def test_a_400_about_the_account_names_the_setting_that_lists_by_account(
    run_tap: RunTap,
) -> None:
    with Sandbox(rows=25, live=True) as sandbox:
        run = run_tap(impatient(sandbox, content_by_account=False))
    assert run.status == 1
    for line, stream in zip(
        run.errors, ("content_items", "social_income_transactions"), strict=True
    ):
        assert line.startswith(f"{stream}: 400 Bad Request for /v1/social/")
        assert "account_id is required. (code MISSING_FIELDS, request id " in line
        assert line.endswith("; set `content_by_account`: the API lists this once per account")
        assert "`account_id`" not in line


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/social/contents", {"error": {"message": "limit is wrong"}}),
        ("/v2/accounts/64213/flows", {"detail": "account_id is wrong"}),
    ],
)
def test_a_400_about_something_else_does_not_name_it(
    run_tap: RunTap, sandbox: Sandbox, path: str, body: object
) -> None:
    sandbox.intercept = lambda r: Reply.json(body, status=400) if r.path == path else None
    run = run_tap(impatient(sandbox))
    (error,) = run.errors
    assert "content_by_account" not in error


def test_a_400_for_one_account_does_not_advise_what_is_set(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    reply = Reply.json({"error": {"message": "account_id is wrong"}}, status=400)
    sandbox.intercept = lambda r: reply if r.path == "/v1/social/contents" else None
    run = run_tap(impatient(sandbox, content_by_account=True))
    assert run.status == 1
    assert not any("set `" in error for error in run.errors)


# The account of the experience API


@pytest.mark.parametrize("from_environment", [False, True])
def test_the_account_id_may_be_a_number(
    run_tap: RunTap, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, *, from_environment: bool
) -> None:
    config = only("experience", sandbox, account_id=int(sandbox.settings["account_id"]))
    if from_environment:
        for name, value in config.items():
            monkeypatch.setenv(f"TAP_ANALYTICS_{name.upper()}", str(value))
    run = run_tap(None, "--config=ENV") if from_environment else run_tap(config)
    assert run.status == 0, run.errors
    assert len(run.ids("flows")) == 25
    paths = {request.path for request in sandbox.requests}
    assert "/v2/accounts/64213/flows" in paths
