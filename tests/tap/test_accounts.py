"""`content_by_account`: listings read once per account, as the live creator API requires."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from sandboxes import only

from tap_analytics.listing.timestamps import canonical
from tap_analytics.sandbox import Reply, Sandbox

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runs import RunTap

LISTINGS = {
    "content_items": "/v1/social/contents",
    "social_income_transactions": "/v1/social/income/transactions",
}


def visited(sandbox: Sandbox, stream: str) -> set[str]:
    return {
        request.query["account_id"]
        for request in sandbox.requests
        if request.path == LISTINGS[stream]
    }


def accounts_of(sandbox: Sandbox) -> set[str]:
    return {account["id"] for account in sandbox.data["accounts"]}


def owners(sandbox: Sandbox, stream: str) -> set[str]:
    """Return the accounts that have records in a stream."""
    return {record["account"]["id"] for record in sandbox.data[stream]}


def test_the_live_service_refuses_a_listing_of_all_accounts(run_tap: RunTap) -> None:
    with Sandbox(rows=25, live=True) as sandbox:
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


def test_transactions_are_asked_for_with_dates_that_hide_nothing(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    run_tap(only("creator", sandbox, content_by_account=True))
    run_tap(only("creator", sandbox, content_by_account=True, start_date="2023-04-05T23:00:00Z"))
    queries = [
        request.query
        for request in sandbox.requests
        if request.path == LISTINGS["social_income_transactions"]
    ]
    assert {
        (query["transaction_from_date"], query["transaction_to_date"]) for query in queries
    } == {("1900-01-01", "2999-12-31")}
    contents = [r.query for r in sandbox.requests if r.path == LISTINGS["content_items"]]
    assert {tuple(query) for query in contents} == {("limit", "offset", "account_id")}


@pytest.mark.parametrize("day", ["1999-12-31", "2030-06-01"])
def test_income_of_any_day_arrives(run_tap: RunTap, sandbox: Sandbox, day: str) -> None:
    # It was changed after `start_date`, whenever it is or was earned.
    record = sandbox.data["social_income_transactions"][3]
    record.update(transaction_at=f"{day}T10:00:00", updated_at="2025-06-01T10:00:00")
    run = run_tap(
        only("creator", sandbox, content_by_account=True, start_date="2025-05-01T00:00:00Z")
    )
    assert record["id"] in run.ids("social_income_transactions")


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


def size(value: object) -> int:
    return len(json.dumps(value, separators=(",", ":")))


@pytest.mark.slow
def test_the_state_takes_at_most_90_bytes_per_stream_and_account(run_tap: RunTap) -> None:
    with Sandbox(rows=300) as sandbox:
        run = run_tap(only("creator", sandbox, content_by_account=True, page_size=100))
        assert len(accounts_of(sandbox)) == 300
        for stream in LISTINGS:
            assert visited(sandbox, stream) == accounts_of(sandbox)
            accounts = run.account_bookmarks(stream)
            assert accounts.keys() == owners(sandbox, stream)
            assert run.state["bookmarks"][stream].keys() == {"replication_key", "accounts"}
            assert size(accounts) / len(accounts) <= 90
    sizes = [size(message["value"]) for message in run.of_type("STATE")]
    assert sum(sizes) < 20 * sizes[-1]


@pytest.mark.slow
@pytest.mark.parametrize("stream", LISTINGS)
def test_an_account_that_fails_keeps_its_bookmark_and_only_that_one(
    run_tap: RunTap, sandbox: Sandbox, stream: str
) -> None:
    config = only("creator", sandbox, content_by_account=True, max_retries=0)
    first = run_tap(config)
    before = first.account_bookmarks(stream)
    sandbox.advance()
    failing = max(before)
    path = LISTINGS[stream]
    sandbox.intercept = lambda request: (
        Reply(status=503)
        if request.path == path and request.query["account_id"] == failing
        else None
    )
    failed = run_tap(config, state=first.state)
    assert failed.status == 1
    assert [line.split(":")[0] for line in failed.errors] == [f"{stream} (account_id {failing})"]
    after = failed.account_bookmarks(stream)
    assert after[failing] == before[failing]
    assert all(after[account] > before[account] for account in before.keys() - {failing})
    sandbox.intercept = None
    sandbox.requests.clear()
    again = run_tap(config, state=failed.state)
    assert again.status == 0
    due = {
        record["id"]
        for record in sandbox.data[stream]
        if record["account"]["id"] == failing
        and (canonical(record["updated_at"]) or "") >= before[failing]
    }
    assert due <= {*again.ids(stream)}
    # Of the others nothing is emitted twice but what may have changed since the bookmark.
    latest = max(after.values())
    others = [r for r in again.records(stream) if r["account"]["id"] != failing]
    assert all(record["updated_at"] >= latest for record in others)


def test_accounts_are_caught_up_from_their_own_bookmarks(run_tap: RunTap, sandbox: Sandbox) -> None:
    config = only("creator", sandbox, content_by_account=True)
    first = run_tap(config)
    bookmarks = first.account_bookmarks("content_items")
    account = min(bookmarks)
    state = json.loads(json.dumps(first.state))
    del state["bookmarks"]["content_items"]["accounts"][account]
    again = run_tap(config, state=state)
    expected = {r["id"] for r in sandbox.data["content_items"] if r["account"]["id"] == account}
    assert expected <= {*again.ids("content_items")}
    assert again.account_bookmarks("content_items") == bookmarks


def test_an_account_that_is_no_longer_listed_leaves_the_state(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    config = only("creator", sandbox, content_by_account=True)
    first = run_tap(config)
    gone = sandbox.data["content_items"][0]["account"]["id"]
    accounts = sandbox.data["accounts"]
    sandbox.data["accounts"] = [account for account in accounts if account["id"] != gone]
    second = run_tap(config, state=first.state)
    assert first.account_bookmarks("content_items").keys() - second.account_bookmarks(
        "content_items"
    ).keys() == {gone}
    # When it comes back it is read from the start.
    sandbox.data["accounts"] = accounts
    third = run_tap(config, state=second.state)
    expected = {r["id"] for r in sandbox.data["content_items"] if r["account"]["id"] == gone}
    assert expected <= {*third.ids("content_items")}


def test_a_state_with_one_bookmark_for_all_accounts_is_read_again_and_that_is_said(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    config = only("creator", sandbox, content_by_account=True)
    first = run_tap(only("creator", sandbox))
    second = run_tap(config, state=first.state)
    for stream in LISTINGS:
        assert {*second.ids(stream)} == {record["id"] for record in sandbox.data[stream]}
        assert any(
            line.startswith(f"{stream}: the state has one bookmark for all accounts")
            for line in second.warnings
        )
    third = run_tap(only("creator", sandbox), state=second.state)
    assert {*third.ids("content_items")} == {r["id"] for r in sandbox.data["content_items"]}
    assert any(
        line.startswith("content_items: the state has bookmarks by account")
        for line in third.warnings
    )


def test_an_account_whose_product_is_still_being_synced_keeps_its_bookmark(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    busy = sandbox.data["content_items"][0]["account"]["id"]
    (account,) = (a for a in sandbox.data["accounts"] if a["id"] == busy)
    settled: Mapping[str, object] = account.get("data") or {}
    account["data"] = {**settled, "engagement": {"status": "IN_PROGRESS", "last_sync_at": None}}
    run = run_tap(only("creator", sandbox, content_by_account=True))
    assert {*run.ids("content_items")} == {r["id"] for r in sandbox.data["content_items"]}
    bookmarks = run.account_bookmarks("content_items")
    assert bookmarks.keys() == owners(sandbox, "content_items") - {busy}


def engagement(sandbox: Sandbox) -> dict[str, tuple[str, str]]:
    """Return what accounts whose content is synced tell of that, by account."""
    entries = {account["id"]: account["data"]["engagement"] for account in sandbox.data["accounts"]}
    return {
        account: (entry["status"], entry["last_sync_at"])
        for account, entry in entries.items()
        if entry["status"] == "SYNCED"
    }


def versions(sandbox: Sandbox) -> dict[str, str]:
    return {account["id"]: account["updated_at"] for account in sandbox.data["accounts"]}


@pytest.mark.slow
def test_a_live_service_is_asked_for_what_it_has_synced_since(run_tap: RunTap) -> None:
    with Sandbox(rows=92, live=True) as sandbox:
        config = only("creator", sandbox, content_by_account=True, skip_unsynced_accounts=True)
        done = engagement(sandbox)
        state = run_tap(config).state
        sandbox.requests.clear()
        state = run_tap(config, state=state).state
        assert not visited(sandbox, "content_items") & done.keys()
        synced = next(iter(done))
        sandbox.life.syncs.begin(synced, "engagement")
        sandbox.life.syncs.finish(synced, "engagement")
        sandbox.requests.clear()
        run = run_tap(config, state=state)
        assert visited(sandbox, "content_items") & done.keys() == {synced}
        before, listed = engagement(sandbox), versions(sandbox)
        sandbox.advance()
        after = engagement(sandbox)
        sandbox.requests.clear()
        run_tap(config, state=run.state)
        stayed = {account for account in after if after[account] == before.get(account)}
        assert len(stayed) > len(after) / 4
        # What has just been synced, and might not have been complete, is asked for once more. So
        # is an account without content that has changed itself.
        changed = {account for account in stayed if versions(sandbox)[account] != listed[account]}
        empty = after.keys() - owners(sandbox, "content_items")
        asked = visited(sandbox, "content_items") & after.keys() - {synced}
        assert asked == after.keys() - stayed - {synced} | (changed & empty)
