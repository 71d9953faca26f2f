"""An account that tells that it lacks a product is not asked for it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from scripted_api import (
    BEGINNING,
    CONTENT,
    CREATOR,
    INCOME,
    PER_ACCOUNT,
    Answer,
    Call,
    ScriptedApi,
    stamp,
)
from series import assert_holds_all, at_most, discover, emitted, full_table
from waits import send_ahead_on_loopback, send_nothing_ahead

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runs import Run, RunTap

PRODUCT_OF = {CONTENT: "engagement", INCOME: "income"}
ABSENT = ("NOT_SUPPORTED", "NOT_SYNCED")
REFUSAL = {"error": {"error_code": "PRODUCT_NOT_SUPPORTED", "message": "There is none"}}

each_absence = pytest.mark.parametrize("status", ABSENT)


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    """An API that refuses what an account tells that it lacks."""
    with ScriptedApi() as running, at_most(60):
        running.script = lambda call: refuse(running, call)
        yield running


@pytest.fixture(params=[True, False], ids=["ahead", "not ahead"], autouse=True)
def _is_ahead(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Send requests ahead, or not."""
    send_ahead_on_loopback(monkeypatch)
    if not request.param:
        send_nothing_ahead(monkeypatch)


def refuse(api: ScriptedApi, call: Call) -> Answer | None:
    for row in api.rows["accounts"] if call.account else ():
        if row["id"] == call.account:
            told = (row.get("data") or {}).get(PRODUCT_OF[call.stream]) or {}
            return Answer(400, REFUSAL) if told.get("status") in ABSENT else None
    return None


def tell(api: ScriptedApi, account: str, stream: str, **told: object) -> None:
    """Let an account tell something else of a product, without moving to the front."""
    for number, row in enumerate(api.rows["accounts"]):
        if row["id"] == account:
            name = PRODUCT_OF[stream]
            data = {**row["data"], name: {**row["data"][name], **told}}
            api.rows["accounts"][number] = {**row, "data": data}


def asked(api: ScriptedApi, stream: str) -> set[str | None]:
    """Find whose listings have been asked for since this was last called."""
    accounts = {call.account for call in api.asked(stream)}
    api.calls.clear()
    return accounts


def skipped(run: Run, stream: str) -> int:
    """Find what the table says of skipped listings."""
    header, *lines = run.log.split("This sync in numbers:\n")[1].splitlines()
    place = header.split().index("skipped")
    (row,) = [line.split() for line in lines if line.split()[:1] == [stream]]
    return int(row[place])


def state_of(run: Run, stream: str) -> dict[str, Any]:
    entry: dict[str, Any] = run.state["bookmarks"][stream]
    return entry


@each_absence
@pytest.mark.parametrize("skips", [False, True])
def test_it_is_not_asked_for_and_that_is_no_failure(
    api: ScriptedApi, run_tap: RunTap, status: str, *, skips: bool
) -> None:
    accounts = api.fill(4, contents=3)
    lacking = accounts[1]
    api.rows[CONTENT] = [r for r in api.rows[CONTENT] if r["account"]["id"] != lacking]
    tell(api, lacking, CONTENT, status=status, last_sync_at=None)
    run = run_tap(api.creator(skip_unsynced_accounts=skips))
    assert run.status == 0, run.errors
    assert api.asked(INCOME, lacking)
    assert asked(api, CONTENT) == {*accounts} - {lacking}
    assert (skipped(run, CONTENT), skipped(run, INCOME)) == (1, 0)
    assert lacking not in state_of(run, CONTENT)["accounts"]
    assert lacking not in state_of(run, CONTENT).get("synced", {})
    assert_holds_all(api, CREATOR, run)


@pytest.mark.parametrize(
    "told",
    [
        {"status": "SYNCED"},
        {"status": "IN_PROGRESS"},
        {"status": "PARTIAL_SYNCED"},
        {"status": "not_supported"},
        {"status": None},
        {"status": ["NOT_SUPPORTED"]},
        {"status": {}},
        {"status": "NEW_STATUS"},
    ],
)
def test_an_account_that_tells_anything_else_is_asked_and_a_refusal_is_a_failure(
    api: ScriptedApi, run_tap: RunTap, told: dict[str, object]
) -> None:
    accounts = api.fill(4, contents=3)
    tell(api, accounts[1], CONTENT, **told)
    api.script = lambda call: (
        Answer(400, REFUSAL) if (call.stream, call.account) == (CONTENT, accounts[1]) else None
    )
    run = run_tap(api.creator())
    assert run.status == 1
    (error,) = run.errors
    assert error == (
        f"content_items (account_id {accounts[1]}): 400 Bad Request for /v1/social/contents: "
        "There is none (code PRODUCT_NOT_SUPPORTED)"
    )
    assert len(run.ids(CONTENT)) == 9


@each_absence
@pytest.mark.parametrize("skips", [False, True])
def test_an_account_that_gets_the_product_is_read_from_its_beginning(
    api: ScriptedApi, run_tap: RunTap, status: str, *, skips: bool
) -> None:
    accounts = api.fill(4, contents=3)
    late = accounts[1]
    tell(api, late, CONTENT, status=status, last_sync_at=None)
    config = api.creator(skip_unsynced_accounts=skips, start_date=stamp(BEGINNING - timedelta(9)))
    first = run_tap(config)
    assert emitted(first, CONTENT, late) == []
    api.wait(days=1)
    # Much older than the bookmarks of the others.
    tell(api, late, CONTENT, status="SYNCED", last_sync_at=stamp(api.moment - timedelta(hours=1)))
    second = run_tap(config, state=first.state)
    assert second.status == 0
    assert len(emitted(second, CONTENT, late)) == 3
    assert_holds_all(api, CREATOR, first, second)


@each_absence
@pytest.mark.parametrize("skips", [False, True])
def test_an_account_that_loses_a_product_and_gets_it_back_is_read_from_its_beginning(
    api: ScriptedApi, run_tap: RunTap, status: str, *, skips: bool
) -> None:
    accounts = api.fill(4, contents=3)
    lost = accounts[1]
    (before,) = [row["data"]["engagement"] for row in api.rows["accounts"] if row["id"] == lost]
    config = api.creator(skip_unsynced_accounts=skips)
    first = run_tap(config)
    assert lost in state_of(first, CONTENT)["accounts"]
    api.wait(days=1)
    tell(api, lost, CONTENT, status=status)
    second = run_tap(config, state=first.state)
    assert second.status == 0
    assert lost not in state_of(second, CONTENT)["accounts"]
    assert lost not in state_of(second, CONTENT).get("synced", {})
    # The bookmarks of the others, and of its other product, stay or rise.
    for stream in PER_ACCOUNT:
        kept = {*accounts} - ({lost} if stream == CONTENT else set())
        assert state_of(second, stream)["accounts"].keys() == kept
    api.wait(days=1)
    # What comes back tells the very same as before, with a row that was stamped long ago.
    tell(api, lost, CONTENT, **before)
    api.publish(CONTENT, lost, 1, age=500)
    third = run_tap(config, state=second.state)
    assert third.status == 0
    assert len(emitted(third, CONTENT, lost)) == 4
    assert lost in state_of(third, CONTENT)["accounts"]
    assert_holds_all(api, CREATOR, first, second, third)


@each_absence
def test_it_does_not_keep_a_full_table_from_being_activated(
    api: ScriptedApi, run_tap: RunTap, status: str
) -> None:
    accounts = api.fill(3, contents=2)
    for account in accounts[:2]:
        tell(api, account, CONTENT, status=status)
    config = api.creator(emit_activate_version_messages=True)
    catalog = full_table(discover(run_tap, config), CONTENT)
    run = run_tap(config, catalog=catalog)
    assert run.status == 0
    assert len(run.of_type("ACTIVATE_VERSION", CONTENT)) == 1
    assert len(run.ids(CONTENT)) == 2
    # Even if there is none that has it.
    tell(api, accounts[2], CONTENT, status=status)
    run = run_tap(config, catalog=catalog)
    assert len(run.of_type("SCHEMA", CONTENT)) == 1
    assert len(run.of_type("ACTIVATE_VERSION", CONTENT)) == 1
    assert run.ids(CONTENT) == []


@each_absence
def test_an_account_that_changes_while_it_is_read_is_not_asked_after_all(
    api: ScriptedApi, run_tap: RunTap, status: str
) -> None:
    accounts = api.fill(6, contents=2)
    tell(api, accounts[4], CONTENT, status=status, last_sync_at=None)

    def script(call: Call) -> Answer | None:
        if call.stream == CONTENT and call.account == accounts[0] and call.offset == 0:
            # It jumps to the front, still without its content.
            api.change("accounts", accounts[4])
        return refuse(api, call)

    api.script = script
    run = run_tap(api.creator(page_size=2))
    assert run.status == 0, run.errors
    assert asked(api, CONTENT) == {*accounts} - {accounts[4]}


def test_the_connection_test_tells_why_a_stream_was_not_tried(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    accounts = api.fill(3, contents=2)
    tell(api, accounts[0], CONTENT, status="NOT_SUPPORTED", last_sync_at=None)
    run = run_tap(api.creator(), "--test")
    assert run.status == 0, run.errors
    line = (
        "content_items: not tried, as the first record of `accounts` tells that nothing would "
        "arrive"
    )
    assert line in run.warnings
    assert api.asked(CONTENT) == []
