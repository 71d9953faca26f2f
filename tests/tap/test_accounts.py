"""`content_by_account`: listings read once per account, as the live creator API requires."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sandboxes import only

from tap_analytics.sandbox import Reply, Request, Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runs import RunTap

LISTINGS = {
    "content_items": "/v1/social/contents",
    "social_income_transactions": "/v1/social/income/transactions",
}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(rows=25, live=True) as running:
        yield running


def visited(sandbox: Sandbox, stream: str) -> set[str]:
    return {
        request.query["account_id"]
        for request in sandbox.requests
        if request.path == LISTINGS[stream]
    }


def accounts_of(sandbox: Sandbox) -> set[str]:
    return {account["id"] for account in sandbox.data["accounts"]}


def test_the_live_service_refuses_a_listing_of_all_accounts(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    run = run_tap(only("creator", sandbox))
    assert run.status == 1
    assert "content_items: 400 Bad Request for /v1/social/contents" in run.errors[0]
    assert "account_id" in run.errors[0]


@pytest.mark.parametrize("stream", LISTINGS)
def test_every_account_is_listed_and_every_record_arrives_once(
    run_tap: RunTap, sandbox: Sandbox, stream: str
) -> None:
    run = run_tap(only("creator", sandbox, content_by_account=True))
    assert run.status == 0, run.log
    assert visited(sandbox, stream) == accounts_of(sandbox)
    assert Counter(run.ids(stream)) == Counter(r["id"] for r in sandbox.data[stream])
    assert len(run.of_type("SCHEMA", stream)) == 1


def test_transactions_are_asked_for_with_both_ends_of_the_period(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    days = {datetime.now(UTC).date()}
    run_tap(only("creator", sandbox, content_by_account=True))
    run_tap(only("creator", sandbox, content_by_account=True, start_date="2023-04-05T23:00:00Z"))
    days.add(datetime.now(UTC).date())
    queries = [
        request.query
        for request in sandbox.requests
        if request.path == LISTINGS["social_income_transactions"]
    ]
    assert {query["transaction_from_date"] for query in queries} == {"2000-01-01", "2023-04-05"}
    assert {query["transaction_to_date"] for query in queries} <= {
        str(day + timedelta(days=1)) for day in days
    }
    contents = [r.query for r in sandbox.requests if r.path == LISTINGS["content_items"]]
    assert {tuple(query) for query in contents} == {("limit", "offset", "account_id")}


def test_content_of_unchanged_accounts_is_read_though_they_are_not_emitted(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    config = only("creator", sandbox, content_by_account=True)
    first = run_tap(config)
    unchanged = {account["id"]: account["updated_at"] for account in sandbox.data["accounts"]}
    sandbox.advance()
    sandbox.requests.clear()
    second = run_tap(config, state=first.state)
    for stream in LISTINGS:
        assert visited(sandbox, stream) == accounts_of(sandbox)
        assert 0 < len(second.ids(stream)) < 25
    assert 0 < len(second.ids("accounts")) < len(unchanged)
    changed_content = {r["account"]["id"] for r in second.records("content_items")}
    assert changed_content - set(second.ids("accounts"))


def test_content_of_every_account_is_read_when_accounts_are_deselected(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    config = only("creator", sandbox, content_by_account=True)
    catalog = json.loads(run_tap(config, "--discover").output)
    for entry in catalog["streams"]:
        for item in entry["metadata"]:
            if not item["breadcrumb"]:
                item["metadata"]["selected"] = entry["tap_stream_id"] == "content_items"
    first = run_tap(config, catalog=catalog)
    assert {message["stream"] for message in first.of_type("RECORD")} == {"content_items"}
    assert visited(sandbox, "content_items") == accounts_of(sandbox)
    assert not any(r.path == LISTINGS["social_income_transactions"] for r in sandbox.requests)
    sandbox.advance()
    sandbox.requests.clear()
    second = run_tap(config, catalog=catalog, state=first.state)
    assert visited(sandbox, "content_items") == accounts_of(sandbox)
    assert 0 < len(second.ids("content_items")) < 25


def test_the_state_of_300_accounts_is_as_small_as_that_of_one(run_tap: RunTap) -> None:
    with Sandbox(rows=300, live=True) as sandbox:
        run = run_tap(only("creator", sandbox, content_by_account=True, page_size=100))
        assert visited(sandbox, "content_items") == accounts_of(sandbox)
        assert len(accounts_of(sandbox)) == 300
    sizes = [len(json.dumps(message["value"])) for message in run.of_type("STATE")]
    assert max(sizes) < 3000
    assert sizes[-1] < 1000
    for stream in LISTINGS:
        bookmark = run.state["bookmarks"][stream]
        assert bookmark.keys() == {"replication_key", "replication_key_value"}


def test_a_failure_at_one_account_moves_no_bookmark(run_tap: RunTap, sandbox: Sandbox) -> None:
    config = only("creator", sandbox, content_by_account=True, max_retries=0)
    first = run_tap(config)
    sandbox.advance()
    last = sandbox.data["accounts"][-1]["id"]

    def fail(request: Request) -> Reply | None:
        return Reply(status=503) if request.query.get("account_id") == last else None

    sandbox.intercept = fail
    failed = run_tap(config, state=first.state)
    assert failed.status == 1
    for stream in LISTINGS:
        assert failed.bookmark(stream) == first.bookmark(stream)
    # The accounts themselves could be read, and are visited all the same next time.
    assert (failed.bookmark("accounts") or "") > (first.bookmark("accounts") or "")
