"""Accounts that the service has not synced since they were read are not asked for."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

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
    products,
    stamp,
)
from series import (
    assert_holds_all,
    at_most,
    discover,
    emitted,
    full_table,
    mentions,
    select,
)
from waits import send_ahead_on_loopback, send_nothing_ahead

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runs import Run, RunTap

ONE_DAY = 24 * 60

PRODUCT_OF = {CONTENT: "engagement", INCOME: "income"}


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi() as running, at_most(60):
        yield running


@pytest.fixture(
    params=[True, pytest.param(False, marks=pytest.mark.slow)],
    ids=["ahead", "not ahead"],
    autouse=True,
)
def _is_ahead(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Send requests ahead, or not."""
    send_ahead_on_loopback(monkeypatch)
    if not request.param:
        send_nothing_ahead(monkeypatch)


AHEAD = pytest.mark.parametrize("_is_ahead", [True], indirect=True)
"""Marks a test that is about the state, and need not be run both ways."""


def skipping(api: ScriptedApi, **settings: object) -> dict[str, Any]:
    return api.creator(skip_unsynced_accounts=True, **settings)


def tell(api: ScriptedApi, account: str, stream: str, **told: object) -> None:
    """Let an account tell something else of a product, without moving to the front."""
    for number, row in enumerate(api.rows["accounts"]):
        if row["id"] == account:
            name = PRODUCT_OF[stream]
            data = {**row["data"], name: {**row["data"][name], **told}}
            api.rows["accounts"][number] = {**row, "data": data}


def synchronise(api: ScriptedApi, account: str, stream: str) -> None:
    """Let the service sync an account, an hour ago."""
    tell(api, account, stream, last_sync_at=stamp(api.moment - timedelta(hours=1)))


def tokens(run: Run, stream: str) -> dict[str, str]:
    found: dict[str, str] = run.state["bookmarks"][stream].get("synced", {})
    return found


def asked(api: ScriptedApi, stream: str) -> set[str | None]:
    """Find whose listings have been asked for since this was last called."""
    accounts = {call.account for call in api.asked(stream)}
    api.calls = [call for call in api.calls if call.stream != stream]
    return accounts


def skipped(run: Run) -> dict[str, int]:
    """Find what the table says of skipped listings."""
    header, *lines = run.log.split("This sync in numbers:\n")[1].splitlines()
    place = header.split().index("skipped")
    rows = [line.split() for line in lines if len(line.split()) == len(header.split())]
    return {row[0]: int(row[place]) for row in rows if row[0] in {*CREATOR, "total"}}


# What is asked for


def test_listings_per_sync_are_the_accounts_synced_since_per_product(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    accounts = api.fill(12, contents=3)
    runs = [run_tap(skipping(api))]
    assert asked(api, CONTENT) == asked(api, INCOME) == set(accounts)
    assert skipped(runs[0])["total"] == 0
    kept = {stream for stream, entry in runs[0].state["bookmarks"].items() if "synced" in entry}
    assert kept == set(PER_ACCOUNT)
    api.wait(days=1)
    for number, streams in {2: [CONTENT], 5: [INCOME], 7: PER_ACCOUNT}.items():
        for stream in streams:
            api.publish(stream, accounts[number], 2, age=-ONE_DAY / 2)
            synchronise(api, accounts[number], stream)
    runs.append(run_tap(skipping(api), state=runs[-1].state))
    assert runs[-1].status == 0
    assert asked(api, CONTENT) == {accounts[2], accounts[7]}
    assert asked(api, INCOME) == {accounts[5], accounts[7]}
    assert skipped(runs[-1]) == {
        **dict.fromkeys(CREATOR, 0),
        CONTENT: 10,
        INCOME: 10,
        "total": 20,
    }
    api.wait(days=1)
    runs.append(run_tap(skipping(api), state=runs[-1].state))
    assert asked(api, CONTENT) == asked(api, INCOME) == set()
    assert skipped(runs[-1])["total"] == 24
    assert_holds_all(api, CREATOR, *runs)


def test_the_bookmark_of_a_skipped_account_stays(api: ScriptedApi, run_tap: RunTap) -> None:
    accounts = api.fill(4, contents=3)
    first = run_tap(skipping(api))
    api.wait(days=1)
    api.publish(CONTENT, accounts[1], 1, age=-ONE_DAY / 2)
    synchronise(api, accounts[1], CONTENT)
    second = run_tap(skipping(api), state=first.state)
    before, after = (run.account_bookmarks(CONTENT) for run in (first, second))
    assert before.pop(accounts[1]) < after.pop(accounts[1])
    assert before == after


def test_without_the_setting_all_accounts_are_asked_for(api: ScriptedApi, run_tap: RunTap) -> None:
    accounts = api.fill(4, contents=3)
    first = run_tap(api.creator())
    asked(api, CONTENT)
    second = run_tap(api.creator(), state=first.state)
    assert asked(api, CONTENT) == set(accounts)
    assert "synced" not in json.dumps(second.state)


@pytest.mark.parametrize(
    "told",
    [
        {"status": "FULLY_SYNCED"},
        {"last_sync_at": stamp(BEGINNING - timedelta(days=9))},
        {"last_sync_at": None},
        {"status": None},
        {"last_sync_at": "2024-06-01T00:00:00.000001"},
    ],
)
def test_an_account_that_tells_anything_else_is_asked_for(
    api: ScriptedApi, run_tap: RunTap, told: dict[str, object]
) -> None:
    accounts = api.fill(4, contents=3)
    first = run_tap(skipping(api))
    asked(api, CONTENT)
    api.wait(days=1)
    tell(api, accounts[2], CONTENT, **told)
    run_tap(skipping(api), state=first.state)
    assert asked(api, CONTENT) == {accounts[2]}


TELL_NOTHING: list[object] = [
    {},
    None,
    [],
    "text",
    {"engagement": None},
    {"engagement": "SYNCED"},
    {"engagement": {}},
    {"engagement": {"status": "SYNCED"}},
    {"engagement": {"status": "SYNCED", "last_sync_at": None}},
    {"engagement": {"status": "SYNCED", "last_sync_at": ""}},
    {"engagement": {"status": "SYNCED", "last_sync_at": " "}},
    {"engagement": {"status": "SYNCED", "last_sync_at": "yesterday"}},
    {"engagement": {"status": "SYNCED", "last_sync_at": {"at": "2024-05-01T00:00:00"}}},
    {"engagement": {"status": "SYNCED", "last_sync_at": True}},
    {"engagement": {"status": "SYNCED", "last_sync_at": 1_700_000_000_000}},
    {"engagement": {"last_sync_at": "2024-05-01T00:00:00"}},
    {"engagement": {"status": None, "last_sync_at": "2024-05-01T00:00:00"}},
    {"engagement": {"status": ["SYNCED"], "last_sync_at": "2024-05-01T00:00:00"}},
    {"engagement": {"status": "IN_PROGRESS", "last_sync_at": "2024-05-01T00:00:00"}},
    {"engagement": {"status": "PARTIAL_SYNCED", "last_sync_at": "2024-05-01T00:00:00"}},
    {"income": {"status": "SYNCED", "last_sync_at": "2024-05-01T00:00:00"}},
]


@AHEAD
@pytest.mark.parametrize("data", TELL_NOTHING)
def test_an_account_that_does_not_tell_that_it_is_done_is_always_asked_for(
    api: ScriptedApi, run_tap: RunTap, data: object
) -> None:
    accounts = api.fill(3, contents=2)
    api.rows["accounts"][1]["data"] = data
    runs = [run_tap(skipping(api))]
    assert runs[0].status == 0, runs[0].log
    for _ in range(2):
        asked(api, CONTENT)
        api.wait(days=1)
        api.publish(CONTENT, accounts[1], 1, age=-ONE_DAY * len(runs) + 60)
        runs.append(run_tap(skipping(api), state=runs[-1].state))
        assert asked(api, CONTENT) == {accounts[1]}
        assert accounts[1] not in tokens(runs[-1], CONTENT)
    assert_holds_all(api, [CONTENT], *runs)


def test_an_account_that_has_just_been_synced_is_asked_for_once_more(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    accounts = api.fill(4, contents=3)
    tell(api, accounts[1], CONTENT, last_sync_at=stamp(api.moment - timedelta(minutes=4)))
    runs = [run_tap(skipping(api))]
    for expected in ({accounts[1]}, set()):
        asked(api, CONTENT)
        api.wait(hours=1)
        runs.append(run_tap(skipping(api), state=runs[-1].state))
        assert asked(api, CONTENT) == expected
    assert_holds_all(api, CREATOR, *runs)


# Accounts without content


def test_an_account_without_content_is_not_asked_for_again(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    accounts = api.fill(3, contents=2)
    api.rows[CONTENT] = [row for row in api.rows[CONTENT] if row["account"]["id"] != accounts[1]]
    runs = [run_tap(skipping(api))]
    asked(api, CONTENT)
    api.wait(days=1)
    runs.append(run_tap(skipping(api), state=runs[-1].state))
    assert asked(api, CONTENT) == set()
    assert accounts[1] not in runs[-1].account_bookmarks(CONTENT)
    old = api.publish(CONTENT, accounts[1], 3, age=100 * ONE_DAY)
    synchronise(api, accounts[1], CONTENT)
    api.wait(hours=1)
    runs.append(run_tap(skipping(api), state=runs[-1].state))
    assert emitted(runs[-1], CONTENT, accounts[1]) == old
    assert_holds_all(api, CREATOR, *runs)


def test_where_all_accounts_are_empty_none_is_asked_for_again(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    api.fill(3)
    first = run_tap(skipping(api))
    asked(api, CONTENT)
    api.wait(days=1)
    second = run_tap(skipping(api), state=first.state)
    assert asked(api, CONTENT) == set()
    assert second.account_bookmarks(CONTENT) == {}


def test_an_account_that_becomes_empty_is_read_from_its_beginning_when_it_is_synced_again(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    accounts = api.fill(3, contents=2)
    runs = [run_tap(skipping(api))]
    api.rows[CONTENT] = [row for row in api.rows[CONTENT] if row["account"]["id"] != accounts[1]]
    for expected in ({accounts[1]}, set()):
        asked(api, CONTENT)
        if expected:
            api.wait(days=1)
            synchronise(api, accounts[1], CONTENT)
        runs.append(run_tap(skipping(api), state=runs[-1].state))
        assert asked(api, CONTENT) == expected
        assert accounts[1] not in runs[-1].account_bookmarks(CONTENT)
    late = api.publish(CONTENT, accounts[1], 3, age=100 * ONE_DAY)
    api.wait(days=1)
    synchronise(api, accounts[1], CONTENT)
    runs.append(run_tap(skipping(api), state=runs[-1].state))
    assert emitted(runs[-1], CONTENT, accounts[1]) == late


@pytest.mark.parametrize("moves", [True, False])
def test_an_account_that_was_empty_is_asked_for_when_the_account_itself_has_changed(
    api: ScriptedApi, run_tap: RunTap, *, moves: bool
) -> None:
    accounts = api.fill(3, contents=2)
    rows = api.rows[CONTENT]
    # It may be in the middle of being deleted, and come back.
    api.rows[CONTENT] = [row for row in rows if row["account"]["id"] != accounts[1]]
    first = run_tap(skipping(api))
    asked(api, CONTENT)
    api.wait(days=1)
    api.rows[CONTENT] = rows
    if moves:
        api.change("accounts", accounts[1])
    second = run_tap(skipping(api), state=first.state)
    assert asked(api, CONTENT) == ({accounts[1]} if moves else set())
    assert len(emitted(second, CONTENT, accounts[1])) == (2 if moves else 0)


# What is read, and what is not


@pytest.mark.parametrize("offset", [0, 9])
def test_an_account_that_was_not_read_to_its_end_is_asked_for_until_it_is(
    api: ScriptedApi, run_tap: RunTap, offset: int
) -> None:
    accounts = api.fill(4, contents=15)
    runs = [run_tap(skipping(api))]
    api.wait(days=1)
    api.publish(CONTENT, accounts[1], 1, age=-ONE_DAY / 2)
    synchronise(api, accounts[1], CONTENT)
    api.script = lambda call: (
        Answer(500)
        if (call.stream, call.account) == (CONTENT, accounts[1]) and call.offset >= offset
        else None
    )
    for _ in range(2):
        asked(api, CONTENT)
        runs.append(run_tap(skipping(api), state=runs[-1].state))
        assert runs[-1].status == 1
        assert asked(api, CONTENT) == {accounts[1]}
        assert accounts[1] not in tokens(runs[-1], CONTENT)
    api.script = None
    runs.append(run_tap(skipping(api), state=runs[-1].state))
    assert_holds_all(api, CREATOR, *runs)
    asked(api, CONTENT)
    run_tap(skipping(api), state=runs[-1].state)
    assert asked(api, CONTENT) == set()


def test_a_sync_of_the_service_after_the_account_was_listed_is_met_by_the_next_sync(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    accounts = api.fill(15, contents=2)
    changed = accounts[12]
    before = products(BEGINNING - timedelta(hours=12))

    def script(call: Call) -> None:
        # It has been listed. Now it changes, and is met again at the front. It tells of a time
        # before this sync, as the service's clocks may differ.
        row = next(row for row in api.rows["accounts"] if row["id"] == changed)
        if call.account == accounts[13] and row["updated_at"] < stamp(BEGINNING):
            when = products(BEGINNING - timedelta(hours=1))
            api.delete("accounts", changed)
            front = {**row, "data": when, "updated_at": stamp(BEGINNING)}
            api.rows["accounts"].insert(0, front)
            api.publish(CONTENT, changed, 1, age=-22 * 60)

    api.script = script
    runs = [run_tap(skipping(api))]
    api.script = None
    assert runs[0].ids("accounts").count(changed) == 2
    token = before["engagement"]
    assert tokens(runs[0], CONTENT)[changed] == f"{token['last_sync_at']} {token['status']}"
    api.wait(days=1)
    runs.append(run_tap(skipping(api), state=runs[-1].state))
    assert_holds_all(api, CREATOR, *runs)


def test_a_token_is_in_no_state_before_the_batch_with_its_rows(
    api: ScriptedApi, run_tap: RunTap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tap_analytics.singer.state.INTERVAL", 0)
    accounts = api.fill(6, contents=2)
    storage = {"root": f"file://{tmp_path}/batches"}
    encoding = {"format": "jsonl", "compression": "none"}
    batches = {"encoding": encoding, "storage": storage, "batch_size": 5}
    run = run_tap(skipping(api, batch_config=batches))
    assert run.status == 0, run.log
    announced = 0
    for message in run.messages:
        if message["type"] == "BATCH" and message["stream"] == CONTENT:
            announced += 5
        elif message["type"] == "STATE":
            kept = message["value"]["bookmarks"][CONTENT]["synced"]
            assert 2 * len(kept) <= announced
    assert set(tokens(run, CONTENT)) == set(accounts)


def test_in_full_table_nothing_is_skipped(api: ScriptedApi, run_tap: RunTap) -> None:
    accounts = api.fill(4, contents=3)
    catalog = full_table(discover(run_tap, skipping(api)), CONTENT)
    state = run_tap(skipping(api)).state
    for _ in range(2):
        for stream in PER_ACCOUNT:
            asked(api, stream)
        run = run_tap(skipping(api), catalog=catalog, state=state)
        assert asked(api, CONTENT) == set(accounts)
        assert asked(api, INCOME) == set()
        assert set(run.ids(CONTENT)) == api.versions(CONTENT).keys()
        state = run.state


def test_a_connection_test_skips_nothing(api: ScriptedApi, run_tap: RunTap) -> None:
    accounts = api.fill(1, contents=3)
    first = run_tap(skipping(api))
    asked(api, CONTENT)
    assert run_tap(skipping(api), "--test", state=first.state).status == 0
    assert asked(api, CONTENT) == set(accounts)


# States


@pytest.mark.parametrize("stream", PER_ACCOUNT)
def test_an_account_whose_bookmark_was_taken_out_is_read_again(
    api: ScriptedApi, run_tap: RunTap, stream: str
) -> None:
    accounts = api.fill(4, contents=3)
    state = run_tap(skipping(api)).state
    del state["bookmarks"][stream]["accounts"][accounts[1]]
    asked(api, stream)
    api.wait(days=1)
    second = run_tap(skipping(api), state=state)
    assert asked(api, stream) == {accounts[1]}
    assert len(emitted(second, stream, accounts[1])) == 3


def test_an_account_that_is_no_longer_listed_leaves_the_state(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    accounts = api.fill(15, contents=2)
    api.rows[CONTENT] = [row for row in api.rows[CONTENT] if row["account"]["id"] != accounts[3]]
    runs = [run_tap(skipping(api))]
    gone = api.rows["accounts"][3]
    api.delete("accounts", accounts[3])
    api.wait(days=1)
    runs.append(run_tap(skipping(api), state=runs[-1].state))
    assert accounts[3] in tokens(runs[0], CONTENT)
    assert accounts[3] not in json.dumps(runs[1].state)
    api.rows["accounts"].insert(3, gone)
    for stream in PER_ACCOUNT:
        asked(api, stream)
    runs.append(run_tap(skipping(api), state=runs[-1].state))
    assert asked(api, CONTENT) == asked(api, INCOME) == {accounts[3]}


def test_tokens_stay_if_the_accounts_were_not_listed_to_the_end(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    api.fill(25, contents=2)
    runs = [run_tap(skipping(api))]
    api.script = lambda call: (
        Answer(500) if call.stream == "accounts" and call.offset > 10 else None
    )
    api.wait(days=1)
    runs.append(run_tap(skipping(api), state=runs[-1].state))
    assert runs[-1].status == 1
    api.script = None
    asked(api, CONTENT)
    runs.append(run_tap(skipping(api), state=runs[-1].state))
    assert runs[-1].status == 0
    assert asked(api, CONTENT) == set()


@pytest.mark.parametrize(
    "change",
    [
        {"start_date": "2024-01-01"},
        {"lookback_window": 86_400},
    ],
)
def test_when_more_may_be_due_by_another_setting_all_accounts_are_asked_for_once(
    api: ScriptedApi, run_tap: RunTap, change: dict[str, object]
) -> None:
    accounts = api.fill(4, contents=3)
    state = run_tap(skipping(api, start_date="2024-03-01")).state
    for expected in (set(accounts), set[str]()):
        asked(api, CONTENT)
        api.wait(days=1)
        run = run_tap(skipping(api, **{"start_date": "2024-03-01", **change}), state=state)
        assert asked(api, CONTENT) == expected
        state = run.state


def test_when_skipping_is_switched_off_and_on_again_all_accounts_are_asked_for_once(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    accounts = api.fill(4, contents=3)
    runs = [run_tap(skipping(api))]
    for is_on, expected in ((False, accounts), (True, accounts), (True, [])):
        asked(api, CONTENT)
        api.wait(days=1)
        if expected:
            api.publish(CONTENT, accounts[1], 1, age=-ONE_DAY * len(runs) + 60)
            synchronise(api, accounts[1], CONTENT)
        config = api.creator(skip_unsynced_accounts=is_on)
        runs.append(run_tap(config, state=runs[-1].state))
        assert asked(api, CONTENT) == set(expected)
        assert bool(mentions([json.dumps(runs[-1].state)], "synced")) == is_on
    assert_holds_all(api, CREATOR, *runs)


@pytest.mark.parametrize("stream", PER_ACCOUNT)
def test_when_listing_by_account_is_switched_off_and_on_again_nothing_is_skipped(
    api: ScriptedApi, run_tap: RunTap, stream: str
) -> None:
    accounts = api.fill(4, contents=3)
    runs = [run_tap(skipping(api))]
    for by_account in (False, True):
        asked(api, stream)
        api.wait(days=1)
        late = api.publish(stream, accounts[1], 1, age=50 * ONE_DAY)
        synchronise(api, accounts[1], stream)
        config = skipping(api, content_by_account=by_account)
        runs.append(run_tap(config, state=runs[-1].state))
        assert asked(api, stream) == (set(accounts) if by_account else {None})
        assert set(late) <= set(runs[-1].ids(stream))
    assert_holds_all(api, CREATOR, *runs)


SPOILT: dict[str, Any] = {
    "no object": "2024-05-01T00:00:00 SYNCED",
    "null": None,
    "a list": ["2024-05-01T00:00:00 SYNCED"],
    "numbers": dict.fromkeys([f"accounts-000{n}" for n in range(4)], 7),
    "nulls": dict.fromkeys([f"accounts-000{n}" for n in range(4)]),
    "booleans": dict.fromkeys([f"accounts-000{n}" for n in range(4)], True),
    "objects": {f"accounts-000{n}": {"status": "SYNCED"} for n in range(4)},
}


@AHEAD
@pytest.mark.parametrize("spoilt", SPOILT.values(), ids=SPOILT)
@pytest.mark.parametrize("key", ["synced", "synced_with"])
def test_tokens_of_another_form_do_not_count(
    api: ScriptedApi, run_tap: RunTap, spoilt: object, key: str
) -> None:
    accounts = api.fill(4, contents=1)
    state = run_tap(skipping(api)).state
    state["bookmarks"][CONTENT][key] = spoilt
    for expected in (set(accounts), set[str]()):
        asked(api, CONTENT)
        api.wait(days=1)
        run = run_tap(skipping(api), state=state)
        assert run.status == 0, run.log
        assert asked(api, CONTENT) == expected
        state = run.state


def test_an_account_takes_150_bytes_of_the_state_at_most(api: ScriptedApi, run_tap: RunTap) -> None:
    count = 200
    keys = [str(UUID(int=number * 2**90 + 7, version=4)) for number in range(1, count + 1)]
    api.rows["accounts"] = [api.row("accounts", key, age=n) for n, key in enumerate(keys)]
    for key in keys[::2]:
        api.publish(CONTENT, key, 1)
    config = skipping(api, page_size=100)
    run = run_tap(config, catalog=select(discover(run_tap, config), CONTENT))
    text = json.dumps(run.state["bookmarks"][CONTENT], separators=(",", ":"))
    assert re.search(rf'"{keys[0]}":"2024-06-01T00:00:00.000000 SYNCED"', text)
    of_the_stream = 200
    assert len(text) <= 150 * count / 2 + 115 * count / 2 + of_the_stream
