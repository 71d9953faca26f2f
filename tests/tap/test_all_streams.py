"""`all_streams`: the further listings of both APIs."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from sandboxes import (
    ALL_STREAMS,
    CREATOR_STREAMS,
    EXPERIENCE_STREAMS,
    FURTHER_CREATOR_STREAMS,
    FURTHER_EXPERIENCE_STREAMS,
    STREAMS,
    impatient,
    only,
)
from series import discover, full_table, mentions, select
from waits import send_ahead_on_loopback

from tap_analytics.listing.timestamps import canonical
from tap_analytics.sandbox import Reply, Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runs import Run, RunTap

    from tap_analytics.sandbox import Request

PERIODS = {
    "/v1/social/income/transactions": "transaction",
    "/v1/social/income/payouts": "payout",
    "/v1/commerce/income/transactions": "transaction",
    "/v1/commerce/income/payouts": "payout",
    "/v1/commerce/income/balances": "balance",
}


ROWS = 11


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(rows=ROWS) as running:
        yield running


def every(sandbox: Sandbox, **settings: object) -> dict[str, Any]:
    """Settings with which all streams exist."""
    return impatient(sandbox, all_streams=True, content_by_account=True, **settings)


def streams_of(catalog: dict[str, Any]) -> list[str]:
    return sorted(entry["tap_stream_id"] for entry in catalog["streams"])


def assert_complete(run: Run, sandbox: Sandbox, stream: str) -> None:
    """Assert that each record has arrived once, in the version that is served."""
    served = {
        record["id"]: canonical(record["updated_at"])
        for record in sandbox.data[stream]
        if record.get("updated_at")
    }
    assert Counter(run.ids(stream)) == Counter(record["id"] for record in sandbox.data[stream])
    for record in run.records(stream):
        assert record.get("updated_at") == served[record["id"]]


# Which streams there are


def test_without_the_setting_there_are_thirteen_streams(run_tap: RunTap, sandbox: Sandbox) -> None:
    config = impatient(sandbox, content_by_account=True)
    assert streams_of(discover(run_tap, config)) == sorted(STREAMS)


def test_with_the_setting_there_are_twenty_five(run_tap: RunTap, sandbox: Sandbox) -> None:
    catalog = discover(run_tap, every(sandbox))
    assert streams_of(catalog) == sorted(ALL_STREAMS)
    for entry in catalog["streams"]:
        assert entry["key_properties"] == ["id"]
        assert entry["replication_key"] == "updated_at"


def test_without_content_by_account_the_creator_api_has_no_more(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    run = run_tap(impatient(sandbox, all_streams=True), "--discover")
    expected = {*STREAMS, *FURTHER_EXPERIENCE_STREAMS}
    assert streams_of(json.loads(run.output)) == sorted(expected)
    line = "`all_streams` adds nothing of the creator API without `content_by_account`"
    assert line in run.warnings


@pytest.mark.parametrize(
    ("api", "streams"),
    [
        ("experience", EXPERIENCE_STREAMS + FURTHER_EXPERIENCE_STREAMS),
        ("creator", CREATOR_STREAMS + FURTHER_CREATOR_STREAMS),
    ],
)
def test_each_api_has_its_own(
    run_tap: RunTap, sandbox: Sandbox, api: str, streams: tuple[str, ...]
) -> None:
    config = only(api, sandbox, all_streams=True, content_by_account=True)
    assert streams_of(discover(run_tap, config)) == sorted(streams)


@pytest.mark.parametrize(
    ("settings", "lines"),
    [
        (
            {"content_by_account": True},
            {
                "The catalog selects `mobile`, which does not exist: set `all_streams`",
                "The catalog selects `audience`, which does not exist: set `all_streams`",
            },
        ),
        (
            {},
            {
                "The catalog selects `mobile`, which does not exist: set `all_streams`",
                (
                    "The catalog selects `audience`, which does not exist: set `all_streams` and "
                    "`content_by_account`"
                ),
            },
        ),
        (
            {"all_streams": True},
            {
                "The catalog selects `audience`, which does not exist: set `content_by_account`",
            },
        ),
    ],
)
def test_a_stream_that_is_selected_and_does_not_exist_is_a_failure(
    run_tap: RunTap, sandbox: Sandbox, settings: dict[str, Any], lines: set[str]
) -> None:
    catalog = select(discover(run_tap, every(sandbox)), "users", "mobile", "audience")
    run = run_tap(impatient(sandbox, **settings), catalog=catalog)
    assert run.status == 1
    assert set(run.errors) == lines
    assert len(run.ids("users")) == ROWS


# What arrives


@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize("live", [False, True])
def test_all_that_is_served_arrives_once(
    run_tap: RunTap, monkeypatch: pytest.MonkeyPatch, *, live: bool, ahead: bool
) -> None:
    if ahead:
        send_ahead_on_loopback(monkeypatch)
    with Sandbox(rows=16, live=live) as sandbox:
        run = run_tap(every(sandbox, page_size=3))
        assert run.status == 0, run.errors
        assert {message["stream"] for message in run.of_type("SCHEMA")} == set(ALL_STREAMS)
        for stream in ALL_STREAMS:
            assert sandbox.data[stream], stream
            assert_complete(run, sandbox, stream)
    assert not mentions(run.warnings, "does not list")


@pytest.mark.slow
@pytest.mark.parametrize("live", [False, True])
def test_the_next_sync_emits_what_has_changed(run_tap: RunTap, *, live: bool) -> None:
    with Sandbox(rows=30, live=live) as sandbox:
        first = run_tap(every(sandbox))
        sandbox.advance()
        second = run_tap(every(sandbox), state=first.state)
        assert second.status == 0
        for stream in FURTHER_CREATOR_STREAMS + FURTHER_EXPERIENCE_STREAMS:
            held = {
                r["id"]: r["updated_at"] for r in (*first.records(stream), *second.records(stream))
            }
            listed = {r["id"]: canonical(r["updated_at"]) for r in sandbox.data[stream]}
            assert held.items() >= listed.items(), stream
            assert 0 < len(second.ids(stream)) < len(listed) / 2, stream


def test_ranges_of_dates_hide_nothing_and_are_asked_for_only_where_they_are_required(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    run_tap(every(sandbox, start_date="2026-01-01"))
    for request in sandbox.requests:
        dates = {name: value for name, value in request.query.items() if "date" in name}
        what = PERIODS.get(request.path)
        expected = {f"{what}_from_date": "1900-01-01", f"{what}_to_date": "2999-12-31"}
        assert dates == (expected if what else {}), request.path


def test_an_audience_is_asked_for_once_per_account_and_in_one_piece(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    run_tap(every(sandbox))
    queries = [request.query for request in sandbox.requests if request.path == "/v1/audience"]
    accounts = [account["id"] for account in sandbox.data["accounts"]]
    assert sorted(map(json.dumps, queries)) == sorted(
        json.dumps({"account_id": account}) for account in accounts
    )


# An audience


def audience_reply(sandbox: Sandbox, reply: Reply) -> str:
    """Answer for the audience of one account; return the account."""
    account: str = sandbox.data["accounts"][4]["id"]

    def intercept(request: Request) -> Reply | None:
        is_asked = request.path == "/v1/audience" and request.query["account_id"] == account
        return reply if is_asked else None

    sandbox.intercept = intercept
    return account


def audience_alone(run_tap: RunTap, sandbox: Sandbox) -> Run:
    config = every(sandbox, max_retries=0)
    return run_tap(config, catalog=select(discover(run_tap, config), "audience"))


@pytest.mark.parametrize(
    "reply",
    [
        Reply.json({}),
        Reply.json(None),
        Reply.json([]),
        Reply.json({"data": []}),
        Reply.json({"data": None}),
        Reply(status=204),
    ],
    ids=["object", "null", "list", "data", "no data", "204"],
)
def test_an_account_may_have_no_audience(run_tap: RunTap, sandbox: Sandbox, reply: Reply) -> None:
    account = audience_reply(sandbox, reply)
    run = audience_alone(run_tap, sandbox)
    assert run.status == 0, run.errors
    assert len(run.ids("audience")) == ROWS - 1
    assert account not in run.account_bookmarks("audience")


RECORD = {"id": "7", "updated_at": "2025-01-01T00:00:00", "countries": None}


@pytest.mark.parametrize("body", [{"data": [RECORD]}, [RECORD]], ids=["data", "list"])
def test_an_audience_may_come_as_other_listings_do(
    run_tap: RunTap, sandbox: Sandbox, body: object
) -> None:
    audience_reply(sandbox, Reply.json(body))
    run = audience_alone(run_tap, sandbox)
    assert run.status == 0
    assert "7" in run.ids("audience")


@pytest.mark.parametrize(
    ("reply", "line"),
    [
        (
            Reply.json({"error": {"message": "no"}}),
            "record 0 of the listing has no `id`; its fields: `error`",
        ),
        (Reply.json({"countries": []}), "record 0 of the listing has no `id`"),
        (Reply.json("none"), "the response holds a text where a list is expected"),
        (Reply(body=b"<html>"), "the response is not JSON"),
        (
            Reply.json({"error": {"message": "no"}}, status=404),
            "404 Not Found for /v1/audience: no",
        ),
    ],
    ids=["error", "no id", "text", "html", "404"],
)
def test_an_audience_that_is_none_is_a_failure_of_its_account(
    run_tap: RunTap, sandbox: Sandbox, reply: Reply, line: str
) -> None:
    account = audience_reply(sandbox, reply)
    run = audience_alone(run_tap, sandbox)
    assert run.status == 1
    (error,) = run.errors
    assert error.startswith(f"audience (account_id {account}): {line}")
    assert "check" not in error
    assert len(run.ids("audience")) == ROWS - 1


def test_one_object_is_no_listing_for_other_streams(run_tap: RunTap, sandbox: Sandbox) -> None:
    sandbox.intercept = lambda request: (
        Reply.json({"id": "1"}) if request.path == "/v1/users" else None
    )
    run = run_tap(only("creator", sandbox))
    assert run.status == 1
    assert run.errors[0].startswith("users: the response has no `data`")


# Other ways to sync


@pytest.mark.slow
def test_a_full_table_is_activated(run_tap: RunTap, sandbox: Sandbox) -> None:
    config = every(sandbox, emit_activate_version_messages=True)
    further = (*FURTHER_EXPERIENCE_STREAMS, *FURTHER_CREATOR_STREAMS)
    catalog = full_table(discover(run_tap, config), *further)
    first = run_tap(config, catalog=catalog)
    second = run_tap(config, catalog=catalog, state=first.state)
    for run in (first, second):
        assert run.status == 0
        for stream in further:
            (activated,) = run.of_type("ACTIVATE_VERSION", stream)
            assert {m["version"] for m in run.of_type("RECORD", stream)} == {activated["version"]}
            assert_complete(run, sandbox, stream)


def test_fields_of_a_further_stream_can_be_left_out(run_tap: RunTap, sandbox: Sandbox) -> None:
    config = every(sandbox)
    catalog = select(discover(run_tap, config), "commerce_income_balances")
    for entry in catalog["streams"]:
        for item in entry["metadata"]:
            if item["breadcrumb"][1:2] == ["balance"]:
                item["metadata"]["selected"] = False
    run = run_tap(config, catalog=catalog)
    assert run.status == 0
    records = run.records("commerce_income_balances")
    assert len(records) == ROWS
    assert not any("balance" in record for record in records)
    # Of other listings only the accounts are asked for.
    assert {request.path for request in sandbox.requests} == {
        "/v1/accounts",
        "/v1/commerce/income/balances",
    }


def test_the_connection_test_asks_each_for_a_record(run_tap: RunTap, sandbox: Sandbox) -> None:
    run = run_tap(every(sandbox), "--test")
    assert run.status == 0
    lines = [line.split(" | ", 3)[-1] for line in run.log.splitlines()]
    for stream in ALL_STREAMS:
        assert any(line.startswith(f"{stream}: ") for line in lines), stream
    assert "audience: 1 record arrived" in lines


@pytest.mark.slow
def test_one_bad_account_of_a_further_stream_is_named_and_keeps_its_bookmark(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    first = run_tap(every(sandbox))
    failing = min(first.account_bookmarks("activity_artists"))
    sandbox.advance()
    sandbox.intercept = lambda request: (
        Reply(status=400)
        if request.path == "/v1/media/activity/artists" and request.query["account_id"] == failing
        else None
    )
    second = run_tap(every(sandbox), state=first.state)
    assert second.status == 1
    (error,) = second.errors
    assert error.startswith(f"activity_artists (account_id {failing}): 400 Bad Request")
    before, after = (run.account_bookmarks("activity_artists") for run in (first, second))
    assert after[failing] == before[failing]
    assert all(after[account] > before[account] for account in before.keys() - {failing})


@pytest.mark.slow
def test_unsynced_accounts_are_skipped(run_tap: RunTap) -> None:
    with Sandbox(rows=46, live=True) as sandbox:
        config = every(sandbox, skip_unsynced_accounts=True)
        state = run_tap(config).state
        sandbox.requests.clear()
        second = run_tap(config, state=state)
        assert second.status == 0
        asked = {request.path for request in sandbox.requests if "account_id" in request.query}
        # Only the accounts of which the service is still adding content, or has just done so.
        per_path = Counter(r.path for r in sandbox.requests if "account_id" in r.query)
        assert all(count < 46 for count in per_path.values()), per_path
        assert "/v1/media/activity/artists" not in asked
        assert "/v1/audience" not in asked
