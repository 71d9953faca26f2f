"""Ways to page that have been met, or may be: whatever is listed arrives."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from scripted_api import CONTENT, CREATOR, PER_ACCOUNT, Answer, Call, ScriptedApi
from series import assert_holds_all, at_most, mentions, refusals, without_times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runs import RunTap


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi() as running, at_most(60):
        yield running


def users(api: ScriptedApi, count: int) -> list[str]:
    """Have users and nothing else."""
    api.rows["users"] = [api.row("users", f"users-{n:04}", age=n) for n in range(count)]
    return [row["id"] for row in api.rows["users"]]


def hide(*numbers: int) -> Callable[[dict[str, object]], bool]:
    """Hide rows by the numbers in their ids."""
    hidden = {f"{number:04}" for number in numbers}
    return lambda row: str(row["id"])[-4:] in hidden


# What is asked for


def test_pages_are_asked_for_with_one_record_in_common(api: ScriptedApi, run_tap: RunTap) -> None:
    users(api, 60)
    run = run_tap(api.creator(max_concurrent_requests=1))
    assert run.status == 0
    asked = [(call.limit, call.offset) for call in api.asked("users")]
    assert asked[:4] == [(10, 0), (10, 9), (10, 18), (10, 27)]
    assert Counter(run.ids("users")) == Counter(api.versions("users").keys())


def test_after_a_short_page_a_hundred_rows_are_asked_for(api: ScriptedApi, run_tap: RunTap) -> None:
    users(api, 40)
    api.paging.is_hidden = hide(13)
    run = run_tap(api.creator(max_concurrent_requests=1))
    assert [call.limit for call in api.asked("users")][:3] == [10, 10, 100]
    assert_holds_all(api, ["users"], run)


def test_no_answer_may_come_from_a_cache(api: ScriptedApi, run_tap: RunTap) -> None:
    api.fill(3, contents=1)
    run_tap(api.both())
    assert {call.headers.get("cache-control") for call in api.calls} == {"no-cache"}


@pytest.mark.parametrize("by_account", [False, True])
def test_pages_of_one_record_are_refused_in_one_line(
    api: ScriptedApi, run_tap: RunTap, *, by_account: bool
) -> None:
    run = run_tap(api.creator(page_size=1, content_by_account=by_account))
    assert run.status == 1
    (line,) = refusals(run)
    assert "page_size" in line
    assert api.calls == []


def test_pages_of_two_records_arrive_whole(api: ScriptedApi, run_tap: RunTap) -> None:
    api.fill(7, contents=3)
    run = run_tap(api.creator(page_size=2))
    assert run.status == 0
    assert_holds_all(api, CREATOR, run)


# How a listing ends

NEARLY_ALL = {
    "a short page in the middle": hide(13, 14, 15),
    "a page of which one row is left": hide(*range(10, 19)),
    "a first page of which one row is left": hide(*range(1, 10)),
    "a first page of which none is left": hide(*range(10)),
    "a page of which none is left": hide(*range(10, 30)),
    "a row that two pages should have in common": hide(9, 18, 27),
    "most of the rows": hide(*(number for number in range(150) if number % 7)),
    "every other row": hide(*range(0, 150, 2)),
    "ninety rows in a row": hide(*range(23, 113)),
    "the last rows": hide(*range(140, 150)),
}


@pytest.mark.parametrize("is_hidden", NEARLY_ALL.values(), ids=NEARLY_ALL)
@pytest.mark.parametrize("page_size", [10, 100])
def test_rows_that_are_hidden_hide_no_others(
    api: ScriptedApi,
    run_tap: RunTap,
    is_hidden: Callable[[dict[str, object]], bool],
    page_size: int,
) -> None:
    users(api, 150)
    api.paging.is_hidden = is_hidden
    run = run_tap(api.creator(page_size=page_size))
    assert run.status == 0, run.log
    assert_holds_all(api, ["users"], run)


TOTALS: dict[str, Callable[[int, int], int]] = {
    "counts the page": lambda page, _: page,
    "is one": lambda _page, _listing: 1,
    "is zero": lambda _page, _listing: 0,
    "is one too small": lambda _, listing: listing - 1,
    "is too large": lambda _, listing: listing + 1000,
    "is right": lambda _, listing: listing,
}


@pytest.mark.parametrize("total", TOTALS.values(), ids=TOTALS)
def test_a_total_ends_nothing(
    api: ScriptedApi, run_tap: RunTap, total: Callable[[int, int], int]
) -> None:
    api.fill(25, contents=3)
    api.paging.total = total
    run = run_tap(api.creator(page_size=5))
    assert run.status == 0, run.log
    assert_holds_all(api, CREATOR, run)


LIMITS: dict[str, Callable[[Call], int]] = {
    "repeats what was asked for": lambda call: call.limit,
    "is what it gives": lambda call: min(call.limit, 7),
    "is the largest there is": lambda _: 100,
    "is nonsense": lambda _: 0,
}


@pytest.mark.parametrize("declared", LIMITS.values(), ids=LIMITS)
def test_a_declared_limit_ends_nothing(
    api: ScriptedApi, run_tap: RunTap, declared: Callable[[Call], int]
) -> None:
    users(api, 60)
    api.paging.cap = lambda _: 7
    api.paging.is_hidden = hide(20, 21)
    api.paging.declared_limit = declared
    run = run_tap(api.creator(page_size=50))
    assert run.status == 0, run.log
    assert_holds_all(api, ["users"], run)


def test_a_cap_that_differs_by_account_cuts_no_account_short(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    accounts = api.fill(6, contents=40)
    caps = dict(zip(accounts, [100, 3, 20, 2, 39, 7], strict=True))
    api.paging.cap = lambda call: caps.get(call.account or "", 100)
    run = run_tap(api.creator(page_size=50))
    assert run.status == 0, run.log
    assert_holds_all(api, CREATOR, run)


def test_a_cap_that_shrinks_while_a_listing_is_read_cuts_nothing_short(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    users(api, 150)
    api.paging.cap = lambda call: 50 if call.offset < 90 else 6
    run = run_tap(api.creator(page_size=100))
    assert run.status == 0, run.log
    assert_holds_all(api, ["users"], run)


def test_a_record_that_is_listed_twice_hides_no_other(api: ScriptedApi, run_tap: RunTap) -> None:
    keys = users(api, 40)
    rows = api.rows["users"]
    # Next to itself, at the end of a page, on the next page, far away.
    for place, number in ((4, 3), (9, 9), (10, 9), (18, 2), (19, 18), (30, 30)):
        rows.insert(place, dict(rows[number]))
    run = run_tap(api.creator())
    assert run.status == 0, run.log
    assert set(run.ids("users")) == set(keys)


# A listing that changes


def change_at(
    api: ScriptedApi, number: int, change: Callable[[], None], stream: str = "users"
) -> None:
    """Let something happen before the listing is asked for the next time."""
    asked = 0

    def script(call: Call) -> None:
        nonlocal asked
        if call.stream == stream:
            asked += 1
            if asked == number:
                change()

    api.script = script


@pytest.mark.parametrize("number", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("first", [0, 8, 14, 35])
@pytest.mark.parametrize("count", [1, 12])
def test_no_row_is_missed_because_others_are_deleted(
    api: ScriptedApi, run_tap: RunTap, number: int, first: int, count: int
) -> None:
    keys = users(api, 48)
    change_at(api, number, lambda: api.delete("users", *keys[first : first + count]))
    run = run_tap(api.creator(max_concurrent_requests=1))
    assert run.status == 0, run.log
    assert set(run.ids("users")) >= set(api.versions("users"))


@pytest.mark.parametrize("number", [2, 4, 6])
@pytest.mark.parametrize("place", [0, 20, 47])
@pytest.mark.parametrize("count", [1, 9, 30])
def test_no_row_is_missed_because_others_are_inserted(
    api: ScriptedApi, run_tap: RunTap, number: int, place: int, count: int
) -> None:
    keys = users(api, 48)
    new = [api.row("users", f"new-{n}") for n in range(count)]
    change_at(api, number, lambda: api.rows["users"].__setitem__(slice(place, place), new))
    run = run_tap(api.creator(max_concurrent_requests=1))
    assert run.status == 0, run.log
    assert set(run.ids("users")) >= set(keys)


def test_an_empty_page_where_a_known_record_was_due_is_not_the_end(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    keys = users(api, 20)
    # Eight are left: fewer than have been read.
    change_at(api, 2, lambda: api.delete("users", *keys[:12]))
    run = run_tap(api.creator(max_concurrent_requests=1))
    assert run.status == 0, run.log
    assert set(run.ids("users")) >= set(keys[12:])


def test_a_listing_of_which_all_rows_are_exchanged_arrives(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    users(api, 40)
    new = [api.row("users", f"new-{number}") for number in range(40)]
    change_at(api, 3, lambda: api.rows.__setitem__("users", new))
    run = run_tap(api.creator(max_concurrent_requests=1))
    again = run_tap(api.creator(), state=run.state)
    assert again.status == 0
    assert_holds_all(api, ["users"], run, again)


@pytest.mark.parametrize("stream", PER_ACCOUNT)
def test_no_row_of_an_account_is_missed_because_others_are_deleted(
    api: ScriptedApi, run_tap: RunTap, stream: str
) -> None:
    api.fill(3, contents=30)
    asked = 0

    def script(call: Call) -> None:
        nonlocal asked
        if call.stream == stream:
            asked += 1
            if asked % 3 == 0 and asked <= 18:
                first = next(r for r in api.rows[stream] if r["account"]["id"] == call.account)
                api.delete(stream, first["id"])

    api.script = script
    run = run_tap(api.creator(max_concurrent_requests=1))
    assert run.status == 0, run.log
    assert set(run.ids(stream)) >= set(api.versions(stream))


@pytest.mark.parametrize("concurrent", [2, 8])
def test_no_row_is_missed_because_others_are_deleted_while_pages_are_sent_for_ahead(
    api: ScriptedApi, run_tap: RunTap, concurrent: int
) -> None:
    users(api, 300)
    api.latency = 0.003
    asked = 0

    def script(call: Call) -> None:
        nonlocal asked
        if call.stream == "users":
            asked += 1
            if asked % 5 == 0 and asked < 80:
                api.delete("users", api.rows["users"][3]["id"])

    api.script = script
    run = run_tap(api.creator(max_concurrent_requests=concurrent))
    assert run.status == 0, run.log
    assert set(run.ids("users")) >= set(api.versions("users"))


class FailingPage:
    """A page of users that fails once, when those after it have been answered."""

    def __init__(self, api: ScriptedApi, shift: Callable[[], None]) -> None:
        """Take over the script of an API.

        Args:
            api: The API.
            shift: Called before the failure.
        """
        self.is_overtaken = threading.Event()
        self._api = api
        self._shift = shift
        self._offset: int | None = None
        self._has_failed = False
        self._lock = threading.Lock()
        api.gate = self._wait
        api.script = self._fail

    def _wait(self, call: Call) -> None:
        if call.stream == "users" and call.offset >= 90:
            with self._lock:
                is_chosen = self._offset is None
                self._offset = self._offset or call.offset
            if is_chosen:
                # Long enough for what is in flight; soon over if that never comes.
                self.is_overtaken.wait(1)

    def _fail(self, call: Call) -> Answer | None:
        if call.stream != "users" or self._offset is None:
            return None
        if sum(other.offset > self._offset for other in self._api.asked("users")) >= 3:
            self.is_overtaken.set()
        if call.offset != self._offset or self._has_failed:
            return None
        self._has_failed = True
        self._shift()
        return Answer(500)


@pytest.mark.parametrize("change", ["insertion", "deletion"])
def test_a_page_that_is_retried_is_from_another_moment_than_those_sent_for_ahead(
    api: ScriptedApi, run_tap: RunTap, change: str
) -> None:
    keys = users(api, 300)
    api.latency = 0.003

    def shift() -> None:
        if change == "insertion":
            api.rows["users"].insert(0, api.row("users", "new"))
        else:
            api.delete("users", keys[50])

    page = FailingPage(api, shift)
    run = run_tap(api.creator(max_concurrent_requests=8))
    assert run.status == 0, run.log
    assert page.is_overtaken.is_set(), "nothing was sent for ahead of the page that failed"
    assert set(run.ids("users")) >= set(keys) - {keys[50]}


def test_pages_that_never_fit_together_are_an_error_and_not_asked_for_without_end(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    users(api, 15)

    def script(call: Call) -> Answer | None:
        if call.stream != "users" or call.offset == 0 or len(api.asked("users")) > 500:
            return None
        return Answer(body={"data": [api.row("users", f"ghost-{len(api.calls)}")]})

    api.script = script
    run = run_tap(api.creator())
    assert len(api.asked("users")) < 500
    assert run.status == 1
    assert mentions(run.errors, "users")
    assert_holds_all(api, set(CREATOR), run)


def test_two_servers_of_which_one_has_older_rows_are_not_asked_without_end(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    keys = users(api, 45)
    fresh = [*api.rows["users"]]
    behind = [row for row in fresh if row["id"] not in {keys[3], keys[20]}]

    def script(call: Call) -> None:
        if call.stream == "users":
            api.rows["users"] = behind if len(api.asked("users")) % 2 else fresh

    api.script = script
    run = run_tap(api.creator(max_concurrent_requests=1))
    assert len(api.asked("users")) < 500
    # Whichever it is: what is missing is not passed over.
    is_whole = set(run.ids("users")) >= {row["id"] for row in behind}
    assert is_whole or mentions(run.errors, "users")
    assert (run.status == 0) == (run.errors == [])


# A server that ignores `offset`


def test_a_server_that_ignores_offset_is_asked_for_a_page_that_cannot_be(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    users(api, 150)
    api.paging.heeds_offset = lambda _: False
    run = run_tap(api.creator())
    assert run.status == 1
    assert mentions(run.errors, "users", "offset")
    assert any(call.offset == 1_000_000 for call in api.asked("users"))
    assert run.bookmark("users") is None


def test_whether_offset_is_ignored_is_not_guessed_from_pages_that_are_equal(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    keys = users(api, 60)
    count = 0

    def script(call: Call) -> None:
        nonlocal count
        # Each page begins with the same rows as the one before, until a hundred are new.
        if call.stream == "users" and 0 < call.offset < 1_000_000 and count < 100:
            new = [api.row("users", f"new-{n}") for n in range(count, count + 9)]
            count += 9
            api.rows["users"][:0] = new

    api.script = script
    run = run_tap(api.creator(max_concurrent_requests=1))
    assert run.status == 0, run.log
    assert set(run.ids("users")) >= set(keys)


@pytest.mark.parametrize("count", [0, 1, 7, 35])
def test_a_server_that_answers_its_whole_listing_to_every_request_is_accepted(
    api: ScriptedApi, run_tap: RunTap, count: int
) -> None:
    users(api, count)
    api.script = lambda call: (
        Answer(body={"data": api.rows["users"]}) if call.stream == "users" else None
    )
    run = run_tap(api.creator())
    assert run.status == 0, run.log
    assert Counter(run.ids("users")) == Counter(api.versions("users").keys())


def test_one_account_of_which_offset_is_ignored_is_an_error_of_that_account(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    accounts = api.fill(5, contents=120)
    api.paging.heeds_offset = lambda call: call.account != accounts[2] or call.stream != CONTENT
    run = run_tap(api.creator(page_size=100))
    assert run.status == 1
    assert mentions(run.errors, CONTENT, accounts[2])
    missing = api.versions(CONTENT).keys() - set(run.ids(CONTENT))
    assert missing <= api.versions(CONTENT, accounts[2]).keys()


# Sending ahead


@pytest.mark.parametrize("is_odd", [False, True])
def test_the_output_is_the_same_with_and_without_sending_ahead(
    api: ScriptedApi, run_tap: RunTap, *, is_odd: bool
) -> None:
    api.fill(12, contents=12)
    if is_odd:
        api.paging.is_hidden = hide(5, 6, 9, *range(13, 18))
        api.paging.cap = lambda call: 4 if (call.account or "").endswith("7") else 100
        api.paging.total = lambda page, _: page
    plain = run_tap(api.both(max_concurrent_requests=1))
    api.latency = 0.003
    run = run_tap(api.both(max_concurrent_requests=8))
    assert run.status == plain.status == 0
    assert without_times(run) == without_times(plain)
