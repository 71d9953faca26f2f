"""A bookmark for each account: what one sync misses is within reach of the next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from scripted_api import (
    BEGINNING,
    CONTENT,
    CREATOR,
    INCOME,
    PER_ACCOUNT,
    Answer,
    ScriptedApi,
    products,
    stamp,
)
from series import account_bookmark, assert_holds_all, at_most, emitted, latest_bookmark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runs import RunTap

ONE_DAY = 24 * 60


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi() as running, at_most(60):
        yield running


def test_a_sync_with_nothing_new_emits_one_record_per_stream(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    api.fill(12, contents=5)
    runs = [run_tap(api.creator())]
    for _ in range(2):
        api.wait(hours=1)
        runs.append(run_tap(api.creator(), state=runs[-1].state))
        assert runs[-1].status == 0
        for stream in CREATOR:
            assert len(runs[-1].ids(stream)) <= 1, stream
    assert_holds_all(api, CREATOR, *runs)


def test_only_the_accounts_that_have_changed_are_emitted(api: ScriptedApi, run_tap: RunTap) -> None:
    accounts = api.fill(12, contents=5)
    first = run_tap(api.creator())
    api.wait(days=1)
    changed = {row["id"] for row in api.rows[CONTENT] if row["account"]["id"] == accounts[4]}
    for key in changed:
        api.change(CONTENT, key)
    api.wait(hours=1)
    second = run_tap(api.creator(), state=first.state)
    assert changed <= set(second.ids(CONTENT))
    assert len(second.ids(CONTENT)) <= len(changed) + 1
    assert_holds_all(api, CREATOR, first, second)


@pytest.mark.parametrize("stream", PER_ACCOUNT)
def test_the_old_rows_of_an_account_that_is_connected_later_arrive(
    api: ScriptedApi, run_tap: RunTap, stream: str
) -> None:
    api.fill(5, contents=3)
    first = run_tap(api.creator())
    api.wait(days=1)
    new = api.row("accounts", "new", age=-ONE_DAY)
    api.rows["accounts"].insert(0, new)
    rows = api.publish(stream, "new", 4, age=100 * ONE_DAY)
    second = run_tap(api.creator(), state=first.state)
    assert second.status == 0
    assert emitted(second, stream, "new") == rows
    third = run_tap(api.creator(), state=second.state)
    assert len(emitted(third, stream, "new")) <= 1
    assert_holds_all(api, CREATOR, first, second, third)


@pytest.mark.parametrize("stream", PER_ACCOUNT)
@pytest.mark.parametrize("syncs", [1, 2])
def test_the_old_rows_of_an_account_that_was_empty_arrive(
    api: ScriptedApi, run_tap: RunTap, stream: str, syncs: int
) -> None:
    accounts = api.fill(5, contents=3)
    emptied = api.rows[stream]
    api.rows[stream] = [row for row in emptied if row["account"]["id"] != accounts[1]]
    runs = [run_tap(api.creator())]
    for _ in range(syncs - 1):
        api.wait(hours=1)
        runs.append(run_tap(api.creator(), state=runs[-1].state))
    assert account_bookmark(runs[-1].state, stream, accounts[1]) is None
    api.wait(hours=1)
    rows = api.publish(stream, accounts[1], 4, age=100 * ONE_DAY)
    runs.append(run_tap(api.creator(), state=runs[-1].state))
    assert emitted(runs[-1], stream, accounts[1]) == rows
    assert_holds_all(api, CREATOR, *runs)


def test_an_account_that_becomes_empty_is_read_from_its_beginning_when_it_is_filled_again(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    accounts = api.fill(5, contents=3)
    first = run_tap(api.creator())
    rows = api.rows[CONTENT]
    api.rows[CONTENT] = [row for row in rows if row["account"]["id"] != accounts[1]]
    api.wait(hours=1)
    second = run_tap(api.creator(), state=first.state)
    assert account_bookmark(second.state, CONTENT, accounts[1]) is None
    api.wait(hours=1)
    late = api.publish(CONTENT, accounts[1], 4, age=100 * ONE_DAY)
    third = run_tap(api.creator(), state=second.state)
    assert emitted(third, CONTENT, accounts[1]) == late


def test_an_account_without_content_still_has_its_income_remembered(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    accounts = api.fill(5, contents=3)
    api.rows[CONTENT] = [row for row in api.rows[CONTENT] if row["account"]["id"] != accounts[1]]
    first = run_tap(api.creator())
    assert account_bookmark(first.state, INCOME, accounts[1]) is not None
    api.wait(hours=1)
    second = run_tap(api.creator(), state=first.state)
    assert len(second.ids(INCOME)) <= 1


@pytest.mark.parametrize(
    "dated",
    [
        datetime.now(UTC) + timedelta(days=400),
        BEGINNING.replace(year=2099),
        BEGINNING.replace(year=1999),
        BEGINNING.replace(year=1970),
    ],
)
def test_an_income_arrives_whatever_the_date_of_its_transaction(
    api: ScriptedApi, run_tap: RunTap, dated: object
) -> None:
    accounts = api.fill(3, contents=2)
    first = run_tap(api.creator(start_date="2024-03-01"))
    api.wait(days=1)
    changed = stamp(api.moment - timedelta(hours=1))
    odd: dict[str, Any] = {"transaction_at": f"{dated:%Y-%m-%dT%H:%M:%S}", "updated_at": changed}
    for place, key in ((0, "late"), (1, "planned")):
        row = api.row(INCOME, key, account={"id": accounts[0]}, **odd)
        api.rows[INCOME].insert(place, row)
    second = run_tap(api.creator(start_date="2024-03-01"), state=first.state)
    assert second.status == 0
    assert {"late", "planned"} <= set(second.ids(INCOME))


def test_income_from_before_the_start_date_arrives_if_it_has_changed_since(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    accounts = api.fill(3, contents=2)
    row = api.row(INCOME, "old", account={"id": accounts[0]}, transaction_at="2023-01-01T00:00:00")
    api.rows[INCOME].append(row)
    run = run_tap(api.creator(start_date="2024-03-01T00:00:00Z"))
    assert "old" in run.ids(INCOME)


def test_a_start_date_holds_for_accounts_that_are_connected_later(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    api.fill(3, contents=2)
    first = run_tap(api.creator(start_date="2024-03-01"))
    api.wait(days=1)
    api.rows["accounts"].insert(0, api.row("accounts", "new"))
    before, after = (api.publish(CONTENT, "new", 1, age=age * ONE_DAY)[0] for age in (150, 50))
    second = run_tap(api.creator(start_date="2024-03-01"), state=first.state)
    assert emitted(second, CONTENT, "new") == [after]
    assert before not in second.ids(CONTENT)


# Refused and interrupted


@pytest.mark.parametrize("status", [403, 500])
def test_an_account_that_was_refused_goes_on_from_its_own_bookmark(
    api: ScriptedApi, run_tap: RunTap, status: int
) -> None:
    accounts = api.fill(6, contents=5)
    runs = [run_tap(api.creator())]
    own = account_bookmark(runs[0].state, CONTENT, accounts[2])
    assert own is not None
    api.wait(days=1)
    # Older than what the others will have shown meanwhile.
    late = api.publish(CONTENT, accounts[2], 1, age=-ONE_DAY / 2)
    api.publish(CONTENT, accounts[3], 1, age=-ONE_DAY + 1)
    api.script = lambda call: (
        Answer(status) if (call.stream, call.account) == (CONTENT, accounts[2]) else None
    )
    for _ in range(2):
        runs.append(run_tap(api.creator(), state=runs[-1].state))
        assert runs[-1].status == 1
        assert account_bookmark(runs[-1].state, CONTENT, accounts[2]) == own
        api.wait(days=1)
    assert len(runs[-1].ids(CONTENT)) <= 1
    api.script = None
    runs.append(run_tap(api.creator(), state=runs[-1].state))
    assert runs[-1].status == 0
    assert set(late) <= set(emitted(runs[-1], CONTENT, accounts[2]))
    assert len(emitted(runs[-1], CONTENT, accounts[2])) <= 2
    assert_holds_all(api, CREATOR, *runs)


def test_an_account_of_which_the_second_page_fails_keeps_its_bookmark(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    accounts = api.fill(4, contents=15)
    first = run_tap(api.creator())
    api.wait(days=1)
    keys = [row["id"] for row in api.rows[CONTENT] if row["account"]["id"] == accounts[1]]
    for key in (keys[-1], keys[0]):
        api.wait(hours=1)
        api.change(CONTENT, key)
    api.script = lambda call: (
        Answer(500)
        if (call.stream, call.account) == (CONTENT, accounts[1]) and call.offset > 0
        else None
    )
    api.wait(hours=1)
    second = run_tap(api.creator(), state=first.state)
    assert second.status == 1
    assert account_bookmark(second.state, CONTENT, accounts[1]) == (
        account_bookmark(first.state, CONTENT, accounts[1])
    )
    api.script = None
    third = run_tap(api.creator(), state=second.state)
    assert keys[-1] in third.ids(CONTENT)
    assert_holds_all(api, CREATOR, first, second, third)


# Settled and not

UNSETTLED = {
    "is being synced": products(BEGINNING - timedelta(days=1), "IN_PROGRESS"),
    "has been synced in part": products(BEGINNING - timedelta(days=1), "PARTIAL_SYNCED"),
    "has just been synced": products(BEGINNING - timedelta(minutes=4)),
}


@pytest.mark.parametrize("data", UNSETTLED.values(), ids=UNSETTLED)
def test_old_rows_that_are_added_to_an_account_that_is_not_settled_arrive(
    api: ScriptedApi, run_tap: RunTap, data: dict[str, object]
) -> None:
    accounts = api.fill(5, contents=3)
    api.rows["accounts"][2]["data"] = data
    first = run_tap(api.creator())
    assert first.status == 0
    assert len(emitted(first, CONTENT, accounts[2])) == 3
    for stream in PER_ACCOUNT:
        assert account_bookmark(first.state, stream, accounts[2]) is None
    api.wait(hours=1)
    late = api.publish(CONTENT, accounts[2], 2, age=100 * ONE_DAY)
    api.rows["accounts"][2]["data"] = products(api.moment - timedelta(minutes=20))
    second = run_tap(api.creator(), state=first.state)
    assert set(late) <= set(second.ids(CONTENT))
    assert_holds_all(api, CREATOR, first, second)
    api.wait(hours=1)
    third = run_tap(api.creator(), state=second.state)
    assert len(third.ids(CONTENT)) <= 1


def test_an_account_that_is_not_settled_keeps_the_bookmark_it_had(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    accounts = api.fill(5, contents=3)
    first = run_tap(api.creator())
    before = account_bookmark(first.state, CONTENT, accounts[2])
    assert before is not None
    api.wait(days=1)
    api.publish(CONTENT, accounts[2], 1, age=-ONE_DAY / 2)
    api.publish(CONTENT, accounts[3], 1, age=-ONE_DAY / 2 - 60)
    api.rows["accounts"][2]["data"] = products(api.moment, "IN_PROGRESS")
    second = run_tap(api.creator(), state=first.state)
    assert account_bookmark(second.state, CONTENT, accounts[2]) == before
    assert account_bookmark(second.state, CONTENT, accounts[3]) != (
        account_bookmark(first.state, CONTENT, accounts[3])
    )
    assert_holds_all(api, CREATOR, first, second)


@pytest.mark.parametrize(
    "data",
    [
        {},
        None,
        products(None),
        {"engagement": {"status": ["SYNCED"]}, "income": {"status": {}}},
        {"engagement": None, "income": None},
        {"engagement": {"status": "SYNCED", "last_sync_at": "no date"}, "income": "no object"},
    ],
)
def test_an_account_that_tells_nothing_of_its_products_is_read_in_full_once(
    api: ScriptedApi, run_tap: RunTap, data: object
) -> None:
    accounts = api.fill(4, contents=3)
    api.rows["accounts"][1]["data"] = data
    first = run_tap(api.creator())
    assert first.status == 0, first.log
    assert len(emitted(first, CONTENT, accounts[1])) == 3
    api.wait(hours=1)
    second = run_tap(api.creator(), state=first.state)
    assert second.status == 0
    assert len(second.ids("users")) <= 1
    assert_holds_all(api, CREATOR, first, second)


def test_bookmarks_of_settled_accounts_rise_together(api: ScriptedApi, run_tap: RunTap) -> None:
    accounts = api.fill(6, contents=3)
    run = run_tap(api.creator())
    for stream in PER_ACCOUNT:
        bookmarks = {str(account_bookmark(run.state, stream, account)) for account in accounts}
        assert len(bookmarks) == 1
        assert latest_bookmark(run.state, stream) == max(
            version for version in api.versions(stream).values()
        )


def test_the_state_names_accounts_in_the_order_in_which_they_are_read(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    # So equal syncs write equal states, whatever the order in which Python keeps a set.
    api.fill(20, contents=1)
    run = run_tap(api.creator())
    for stream in PER_ACCOUNT:
        assert [*run.state["bookmarks"][stream]["accounts"]] == run.ids("accounts"), stream


# Accounts that are gone


def test_an_account_that_is_no_longer_listed_leaves_the_state(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    accounts = api.fill(15, contents=2)
    first = run_tap(api.creator())
    row = api.rows["accounts"][3]
    api.delete("accounts", accounts[3])
    api.wait(hours=1)
    second = run_tap(api.creator(), state=first.state)
    for stream in PER_ACCOUNT:
        assert account_bookmark(first.state, stream, accounts[3]) is not None
        assert account_bookmark(second.state, stream, accounts[3]) is None
    assert accounts[3] not in str(second.state)
    api.wait(hours=1)
    api.rows["accounts"].insert(3, row)
    third = run_tap(api.creator(), state=second.state)
    assert len(emitted(third, CONTENT, accounts[3])) == 2


def test_an_account_stays_in_the_state_if_the_accounts_were_not_listed_to_the_end(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    accounts = api.fill(25, contents=2)
    first = run_tap(api.creator())
    api.wait(hours=1)
    api.script = lambda call: (
        Answer(500) if call.stream == "accounts" and call.offset > 10 else None
    )
    second = run_tap(api.creator(), state=first.state)
    assert second.status == 1
    for account in accounts:
        assert account_bookmark(second.state, CONTENT, account) is not None
    api.script = None
    third = run_tap(api.creator(), state=second.state)
    assert third.status == 0
    assert len(third.ids(CONTENT)) <= 1
