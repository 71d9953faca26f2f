"""Clocks that differ, and rows from the future: what changes during a sync is in the next one."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest
from scripted_api import BEGINNING, CONTENT, CREATOR, EXPERIENCE, Call, ScriptedApi, stamp
from series import account_bookmark, assert_holds_all, at_most, latest_bookmark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runs import RunTap

FIVE_MINUTES = timedelta(minutes=5)


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi() as running, at_most(60):
        yield running


def changed_at(api: ScriptedApi, moment: datetime) -> None:
    """Have a row of each stream that has been changed at a moment."""
    for stream in CREATOR:
        api.rows[stream][1]["updated_at"] = stamp(moment)
    for stream in EXPERIENCE:
        api.rows[stream][1]["updated_at"] = f"{stamp(moment)}Z"


@pytest.mark.parametrize("before", [0, 1, 4])
def test_no_bookmark_is_later_than_five_minutes_before_the_first_response(
    api: ScriptedApi, run_tap: RunTap, before: int
) -> None:
    api.fill(4, contents=2)
    changed_at(api, BEGINNING - timedelta(minutes=before))

    # The answers that follow don't count; several may have been asked for at once.
    api.script = lambda _: api.wait(minutes=10) if len(api.calls) > 12 else None
    run = run_tap(api.both(max_concurrent_requests=1))
    assert run.status == 0
    for stream in (*CREATOR, *EXPERIENCE):
        bookmark = latest_bookmark(run.state, stream)
        assert bookmark is not None
        # The experience API is asked later, so it has a first response of its own.
        latest = api.moment if stream in EXPERIENCE else BEGINNING
        assert bookmark <= latest - FIVE_MINUTES, stream


def test_what_changed_more_than_five_minutes_ago_is_the_bookmark(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    api.fill(4, contents=2)
    moment = BEGINNING - timedelta(minutes=6)
    changed_at(api, moment)
    run = run_tap(api.both())
    for stream in (*CREATOR, *EXPERIENCE):
        assert latest_bookmark(run.state, stream) == moment, stream


@pytest.mark.parametrize("minutes", [0.0, 0.5, 2, 4.9])
def test_a_row_that_is_stamped_by_a_clock_that_is_behind_is_in_the_next_sync(
    api: ScriptedApi, run_tap: RunTap, minutes: float
) -> None:
    """One row is the newest when the sync begins; others change while it goes on."""
    api.fill(4, contents=3)
    changed_at(api, BEGINNING)
    runs = []
    done = False

    def change(call: Call) -> None:
        nonlocal done
        if call.stream == CONTENT and call.account == "accounts-0003" and not done:
            done = True
            for stream in ("work_platforms", "users", "profiles", CONTENT):
                # Already read, or not, as the order of streams has it.
                row = next(r for r in api.rows[stream] if r["id"].endswith("0000"))
                row["updated_at"] = stamp(BEGINNING - timedelta(minutes=minutes))

    api.script = change
    runs.append(run_tap(api.creator()))
    api.script = None
    api.wait(hours=1)
    runs.append(run_tap(api.creator(), state=runs[-1].state))
    assert_holds_all(api, CREATOR, *runs)


DATES: dict[str, Callable[[datetime], str | None]] = {
    "is absent": lambda _: None,
    "is no date": lambda _: "yesterday",
    "is empty": lambda _: "",
    "is an hour ahead": lambda now: format_datetime(now + timedelta(hours=1), usegmt=True),
    "is years ahead": lambda now: format_datetime(now.replace(year=2998), usegmt=True),
}


@pytest.mark.parametrize("date", DATES.values(), ids=DATES)
def test_our_own_clock_counts_where_the_date_of_the_answer(
    api: ScriptedApi, run_tap: RunTap, date: Callable[[datetime], str | None]
) -> None:
    api.fill(4, contents=2)
    api.now = None
    api.date = date
    changed_at(api, api.moment + timedelta(minutes=30))
    begun = datetime.now(UTC)
    run = run_tap(api.both())
    limit = datetime.now(UTC) - FIVE_MINUTES
    assert run.status == 0, run.log
    for stream in (*CREATOR, *EXPERIENCE):
        bookmark = latest_bookmark(run.state, stream)
        assert bookmark is not None
        assert BEGINNING - timedelta(days=2) < bookmark <= limit, stream
    assert begun > limit


@pytest.mark.parametrize("behind", [timedelta(minutes=1), timedelta(hours=3), timedelta(days=900)])
def test_a_server_whose_clock_is_behind_loses_nothing_that_changes_during_a_sync(
    api: ScriptedApi, run_tap: RunTap, behind: timedelta
) -> None:
    api.fill(4, contents=3)
    api.now = datetime.now(UTC) - behind
    done = False

    def change(call: Call) -> None:
        nonlocal done
        if call.stream == CONTENT and call.account == "accounts-0002" and not done:
            done = True
            for account in ("accounts-0000", "accounts-0003"):
                # By the clock of the server, of which one row has been changed just before.
                row = next(r for r in api.rows[CONTENT] if r["account"]["id"] == account)
                age = 2 if account == "accounts-0000" else 1
                row["updated_at"] = stamp(api.moment - timedelta(seconds=age))

    api.script = change
    first = run_tap(api.creator())
    api.script = None
    api.wait(minutes=30)
    second = run_tap(api.creator(), state=first.state)
    assert_holds_all(api, CREATOR, first, second)


@pytest.mark.parametrize("year", [2999, 9999])
def test_a_row_from_the_far_future_moves_no_bookmark_and_loses_nothing(
    api: ScriptedApi, run_tap: RunTap, year: int
) -> None:
    api.fill(4, contents=3)
    for stream in CREATOR:
        api.rows[stream][0]["updated_at"] = f"{year}-01-01T00:00:00"
    runs = [run_tap(api.creator())]
    for _ in range(2):
        changed = [(s, api.rows[s][2]["id"]) for s in ("users", "profiles", CONTENT)]
        for stream, key in changed:
            api.change(stream, key)
        # What is changed during a sync that begins a minute later.
        api.wait(minutes=1)
        runs.append(run_tap(api.creator(), state=runs[-1].state))
        for stream in CREATOR:
            bookmark = latest_bookmark(runs[-1].state, stream)
            assert bookmark is not None
            assert bookmark <= api.moment - FIVE_MINUTES
    assert_holds_all(api, CREATOR, *runs)
    api.wait(days=1)
    runs.append(run_tap(api.creator(), state=runs[-1].state))
    for stream in CREATOR:
        # It is emitted each time, with the last one that changed.
        assert len(runs[-1].ids(stream)) <= 2 + 2, stream


def test_a_bookmark_is_not_taken_back_by_a_clock_that_is(api: ScriptedApi, run_tap: RunTap) -> None:
    accounts = api.fill(4, contents=3)
    first = run_tap(api.creator())
    api.wait(days=-30)
    second = run_tap(api.creator(), state=first.state)
    assert second.status == 0
    for stream in CREATOR:
        before, after = (latest_bookmark(run.state, stream) for run in (first, second))
        assert before is not None
        assert after is not None
        assert after >= before
    assert account_bookmark(second.state, CONTENT, accounts[0]) is not None


@pytest.mark.parametrize(
    "settings",
    [{"start_date": "2999-01-01"}, {"start_date": "9999-12-31T23:59:59Z"}],
)
def test_a_start_date_in_the_future_is_warned_of(
    api: ScriptedApi, run_tap: RunTap, settings: dict[str, str]
) -> None:
    api.fill(2, contents=1)
    run = run_tap(api.creator(**settings))
    (warning,) = [line for line in run.warnings if "start_date" in line]
    assert re.search("future|later than now", warning)


def test_a_bookmark_in_the_future_is_warned_of(api: ScriptedApi, run_tap: RunTap) -> None:
    api.fill(2, contents=1)
    value = {"replication_key": "updated_at", "replication_key_value": "2999-01-01T00:00:00Z"}
    run = run_tap(api.creator(), state={"bookmarks": {"users": value}})
    (warning,) = [line for line in run.warnings if "users" in line]
    assert re.search("future|later than now", warning)


def test_the_bookmark_of_an_account_in_the_future_is_warned_of(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    api.fill(3, contents=2)
    text = run_tap(api.creator()).output.splitlines()[-1].decode()
    assert "2024-05-31" in text
    state = text.replace("2024-05-31", "2999-05-31")
    run = run_tap(api.creator(), state=json.loads(state)["value"])
    assert [line for line in run.warnings if CONTENT in line and re.search("future", line)]
