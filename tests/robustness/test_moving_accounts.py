"""Accounts, listed by `updated_at` with the latest first, that change while they are listed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from scripted_api import CONTENT, CREATOR, PER_ACCOUNT, Answer, Call, ScriptedApi
from series import (
    account_bookmark,
    assert_holds_all,
    at_most,
    discover,
    emitted,
    full_table,
    mentions,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runs import RunTap


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi() as running, at_most(60):
        yield running


def touching_the_last(
    api: ScriptedApi, *, at_offset: int, times: int = 1
) -> Callable[[Call], None]:
    """Let the last account change when a later page of the accounts has been asked for."""
    left = times

    def touch(call: Call) -> None:
        nonlocal left
        if call.stream == "accounts" and call.offset >= at_offset and left:
            left -= 1
            api.wait(seconds=1)
            api.change("accounts", api.rows["accounts"][-1]["id"])

    return touch


@pytest.mark.parametrize("at_offset", [1, 10, 20, 28])
@pytest.mark.parametrize("concurrent", [1, 8])
def test_an_account_that_jumps_to_the_front_is_met_and_its_content_read(
    api: ScriptedApi, run_tap: RunTap, at_offset: int, concurrent: int
) -> None:
    api.fill(35, contents=2)
    api.latency = 0.003 if concurrent > 1 else 0
    api.script = touching_the_last(api, at_offset=at_offset)
    run = run_tap(api.creator(max_concurrent_requests=concurrent))
    assert run.status == 0, run.log
    assert_holds_all(api, CREATOR, run)


def test_an_account_that_jumps_to_the_front_is_not_stale_after_the_next_sync(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    accounts = api.fill(35, contents=2)
    first = run_tap(api.creator())
    api.wait(days=1)
    api.publish(CONTENT, accounts[-1], 1, age=-60 * 23)
    api.publish(CONTENT, accounts[0], 1, age=-60 * 24)
    api.script = touching_the_last(api, at_offset=10)
    second = run_tap(api.creator(), state=first.state)
    api.script = None
    api.wait(days=1)
    third = run_tap(api.creator(), state=second.state)
    assert_holds_all(api, CREATOR, first, second, third)


@pytest.mark.slow
def test_one_request_in_ten_moves_one_of_200_accounts_and_none_is_missed(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    api.fill(200, contents=1)
    runs = [run_tap(api.creator(page_size=50))]
    for day in range(2):
        api.wait(days=1)
        for stream in ("accounts", CONTENT):
            for key in [row["id"] for row in api.rows[stream]][day::2]:
                api.wait(seconds=1)
                api.change(stream, key)
        api.wait(hours=1)
        asked = 0

        def move(call: Call) -> None:
            nonlocal asked
            asked += call.stream in {"accounts", CONTENT}
            if asked % 10 == 0:
                # Always those that come next to last, until the listing is over.
                api.wait(milliseconds=1)
                api.change("accounts", api.rows["accounts"][-7]["id"])

        api.script = move
        runs.append(run_tap(api.creator(page_size=50), state=runs[-1].state))
        api.script = None
    api.wait(hours=1)
    runs.append(run_tap(api.creator(page_size=50), state=runs[-1].state))
    assert runs[-1].status == 0, runs[-1].log
    assert_holds_all(api, CREATOR, *runs)


def test_the_content_of_an_account_that_has_moved_is_read_once(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    accounts = api.fill(35, contents=2)
    moved = [accounts[-1], accounts[0], accounts[12]]

    def touch(call: Call) -> None:
        # One that has been met, one that is being met, and one that has not been met.
        if call.stream == "accounts" and call.offset > 12 and moved:
            api.wait(seconds=1)
            api.change("accounts", moved.pop())

    api.script = touch
    run = run_tap(api.creator(max_concurrent_requests=1))
    assert run.status == 0, run.log
    assert_holds_all(api, CREATOR, run)
    beginnings = Counter(call.account for call in api.asked(CONTENT) if call.offset == 0)
    assert beginnings == Counter(accounts)
    assert Counter(run.ids(CONTENT)) == Counter(api.versions(CONTENT).keys())


def test_the_new_version_of_an_account_that_was_met_before_is_emitted(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    accounts = api.fill(25)
    done = False

    def touch(call: Call) -> None:
        nonlocal done
        if call.stream == "accounts" and call.offset > 8 and not done:
            done = True
            api.wait(seconds=1)
            api.change("accounts", accounts[2])

    api.script = touch
    run = run_tap(api.creator())
    assert_holds_all(api, ["accounts"], run)


@pytest.mark.parametrize("stream", ["accounts", "users", "profiles"])
def test_a_full_table_is_activated_with_the_row_that_has_moved(
    api: ScriptedApi, run_tap: RunTap, stream: str
) -> None:
    api.fill(35, contents=1)
    config = api.creator(emit_activate_version_messages=True)
    catalog = full_table(discover(run_tap, config), stream)
    done = False

    def touch(call: Call) -> None:
        nonlocal done
        if call.stream == stream and call.offset > 15 and not done:
            done = True
            api.wait(seconds=1)
            api.change(stream, api.rows[stream][-1]["id"])

    api.script = touch
    run = run_tap(config, catalog=catalog)
    assert run.status == 0, run.log
    assert len(run.of_type("ACTIVATE_VERSION", stream)) == 1
    assert (
        run.of_type("RECORD", stream)[-1]["version"]
        == (run.of_type("ACTIVATE_VERSION", stream)[0]["version"])
    )
    assert_holds_all(api, [stream], run)


def test_a_full_table_of_content_is_activated_with_that_of_an_account_that_has_moved(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    api.fill(35, contents=2)
    config = api.creator(emit_activate_version_messages=True)
    catalog = full_table(discover(run_tap, config), *PER_ACCOUNT)
    api.script = touching_the_last(api, at_offset=15)
    run = run_tap(config, catalog=catalog)
    for stream in PER_ACCOUNT:
        kinds = [message["type"] for message in run.messages if message.get("stream") == stream]
        assert kinds.count("ACTIVATE_VERSION") == 1
        assert kinds[-1] == "ACTIVATE_VERSION"
    assert_holds_all(api, PER_ACCOUNT, run)


def test_a_listing_that_never_rests_is_not_activated_and_a_line_says_so(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    api.fill(35)

    def touch(call: Call) -> None:
        if call.stream == "users":
            api.wait(seconds=1)
            api.change("users", api.rows["users"][-1]["id"])

    api.script = touch
    config = api.creator(emit_activate_version_messages=True, max_concurrent_requests=1)
    catalog = full_table(discover(run_tap, config), "users", "profiles")
    run = run_tap(config, catalog=catalog)
    assert run.of_type("ACTIVATE_VERSION", "users") == []
    assert len(run.of_type("ACTIVATE_VERSION", "profiles")) == 1
    assert len(mentions([*run.warnings, *run.errors], "users")) == 1
    # The listing itself, and five times its beginning.
    assert sum(call.offset == 0 for call in api.asked("users")) == 6
    api.script = None
    again = run_tap(config, catalog=catalog, state=run.state)
    assert again.status == 0
    assert len(again.of_type("ACTIVATE_VERSION", "users")) == 1
    assert_holds_all(api, ["users"], run, again)


def test_accounts_that_never_rest_are_all_met_by_the_first_sync_that_finds_them_at_rest(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    api.fill(35, contents=2)

    def touch(call: Call) -> None:
        if call.stream == "accounts":
            api.wait(seconds=1)
            api.change("accounts", api.rows["accounts"][-1]["id"])

    api.script = touch
    run = run_tap(api.creator())
    assert mentions([*run.warnings, *run.errors], "accounts")
    api.script = None
    again = run_tap(api.creator(), state=run.state)
    assert again.status == 0
    assert_holds_all(api, CREATOR, run, again)


def test_a_listing_at_rest_is_read_again_only_for_its_first_page(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    api.fill(60, contents=1)
    run = run_tap(api.creator(max_concurrent_requests=1))
    assert run.status == 0
    assert sum(call.offset == 0 for call in api.asked("accounts")) <= 2
    assert sum(call.offset == 0 for call in api.asked("users")) == 1


def test_an_account_that_was_never_met_is_read_from_its_beginning(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    accounts = api.fill(12, contents=3)
    hidden = accounts[7]
    api.paging.is_hidden = lambda row: row["id"] == hidden
    first = run_tap(api.creator())
    assert account_bookmark(first.state, CONTENT, hidden) is None
    api.paging.is_hidden = lambda _: False
    api.wait(hours=1)
    api.change("accounts", hidden)
    second = run_tap(api.creator(), state=first.state)
    assert len(emitted(second, CONTENT, hidden)) == 3
    assert_holds_all(api, CREATOR, first, second)


def test_accounts_that_are_deselected_are_met_all_the_same(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    api.fill(35, contents=2)
    catalog = discover(run_tap, api.creator())
    for item in catalog["streams"]:
        for data in item["metadata"]:
            if not data["breadcrumb"]:
                data["metadata"]["selected"] = item["tap_stream_id"] in PER_ACCOUNT
    api.script = touching_the_last(api, at_offset=10)
    run = run_tap(api.creator(), catalog=catalog)
    assert run.status == 0
    assert_holds_all(api, PER_ACCOUNT, run)


def test_accounts_that_can_not_be_read_again_are_an_error(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    api.fill(35, contents=1)
    has_ended = False

    def fail(call: Call) -> Answer | None:
        nonlocal has_ended
        if call.stream != "accounts":
            return None
        if has_ended and call.offset == 0:
            return Answer(500)
        has_ended = has_ended or call.offset > 27
        return None

    api.script = fail
    run = run_tap(api.creator(max_concurrent_requests=1))
    assert run.status == 1
    assert mentions(run.errors, "accounts", "500")
    api.script = None
    again = run_tap(api.creator(), state=run.state)
    assert again.status == 0
    assert_holds_all(api, CREATOR, run, again)
