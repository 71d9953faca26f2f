"""What is counted, and how the rows and the table say it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import requests

from tap_analytics.log.row import Row
from tap_analytics.singer.progress import SyncProgress
from tap_analytics.singer.statistics import RequestStatistics, StreamStatistics

if TYPE_CHECKING:
    from collections.abc import Callable

URL = "https://api.example/v1/users"


def response(status: int, hops: int = 0) -> requests.Response:
    answer = requests.Response()
    answer.status_code = status
    answer.history = [requests.Response()] * hops
    return answer


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let time pass; no other does."""
    now = 1000.0

    def wait(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr("tap_analytics.singer.progress.monotonic", lambda: now)
    return wait


def test_requests_are_counted_for_the_stream_that_has_registered_the_url() -> None:
    users, accounts = StreamStatistics("users"), StreamStatistics("accounts")
    observer = RequestStatistics()
    observer.register(URL, users)
    observer.register("https://api.example/v1/accounts/1", accounts)
    observer.register("https://api.example/v1/accounts/2", accounts)
    for url in (URL, "https://api.example/v1/accounts/1", "https://api.example/v1/accounts/2"):
        observer.request_sent(url)
    observer.request_sent("https://api.example/v1")
    observer.answer_received("https://api.example/v1", response(429, hops=1))
    assert (users.requests, accounts.requests) == (1, 2)
    assert (users.throttled, accounts.throttled) == (0, 0)


def test_redirects_are_requests() -> None:
    users = StreamStatistics("users")
    observer = RequestStatistics()
    observer.register(URL, users)
    observer.request_sent(URL)
    observer.answer_received(URL, response(200, hops=3))
    assert (users.requests, users.throttled) == (4, 0)


@pytest.mark.parametrize(("status", "count"), [(200, 0), (429, 1), (500, 0), (502, 0), (503, 1)])
def test_429_and_503_are_throttled(status: int, count: int) -> None:
    users = StreamStatistics("users")
    observer = RequestStatistics()
    observer.register(URL, users)
    observer.answer_received(URL, response(status))
    assert (users.requests, users.throttled) == (0, count)


def test_the_time_of_children_is_theirs(wait: Callable[[float], None]) -> None:
    parent, child, other = map(StreamStatistics, ("accounts", "content_items", "users"))
    progress = SyncProgress([parent, child, other], {"content_items": "accounts"})
    with progress.reading(parent):
        wait(1)
        for _ in range(3):
            with progress.reading(child):
                wait(10)
            wait(100)
    wait(1000)
    with progress.reading(other):
        wait(10_000)
    assert [stream.seconds for stream in (parent, child, other)] == [301, 30, 10_000]


def begun(progress: SyncProgress) -> dict[str, Row]:
    """Return the rows of streams that have begun, and the last row, by name."""
    *rows, total = progress.rows()
    return {row.name: row for row in [*rows, total] if row.seconds is not None}


def test_the_rows_say_how_far_each_stream_is(wait: Callable[[float], None]) -> None:
    names = ("accounts", "content_items", "comments", "users", "tags")
    parent, child, grandchild, other, unread = map(StreamStatistics, names)
    parents = {"content_items": "accounts", "comments": "content_items"}
    progress = SyncProgress([parent, child, grandchild, other, unread], parents)
    assert [row.name for row in progress.rows()] == [*names, "0/5 streams"]
    assert begun(progress) == {"0/5 streams": Row("0/5 streams", 0, 0, 0)}
    with progress.reading(parent):
        wait(1)
        assert begun(progress)["accounts"] == Row("accounts", 0, 0, 1, is_current=True)
        with progress.reading(child):
            child.records, child.requests = 1234, 56_789
            wait(61)
            assert begun(progress) == {
                "accounts": Row("accounts", 0, 0, 1),
                "content_items": Row("content_items", 1234, 56_789, 61, (0, 0), is_current=True),
                "0/5 streams": Row("0/5 streams", 1234, 56_789, 62),
            }
        wait(2)
        assert begun(progress)["accounts"] == Row("accounts", 0, 0, 3, is_current=True)
    with progress.reading(other):
        wait(36_000)
        # Nothing of comments was to be listed, and yet they are done.
        assert [*begun(progress)] == [*names[:4], "3/5 streams"]
        assert begun(progress)["3/5 streams"].seconds == 36_064


def test_a_row_of_a_stream_by_account_counts_accounts() -> None:
    parent, child, other = map(StreamStatistics, ("accounts", "content_items", "users"))
    # A child that is not selected is not synced.
    parents = {"content_items": "accounts", "social_income_transactions": "accounts"}
    progress = SyncProgress([parent, child, other], parents)

    def accounts() -> tuple[int, int] | None:
        return progress.rows()[1].accounts

    with progress.reading(parent):
        assert accounts() is None
        parent.listed = 10
        with progress.reading(child):
            assert accounts() == (0, 10)
        parent.passed = 9
        assert accounts() == (9, 10)
        # The state knows of more than the pages so far, or the next page brings even more.
        child.expected = 15
        assert accounts() == (9, 15)
        parent.listed = 20
        assert accounts() == (9, 20)
        # An account that is met only when the accounts are read again is known, too.
        parent.passed = 21
        assert accounts() == (21, 21)
        parent.listed, parent.passed, child.expected = 3, 3, 15
        assert accounts() == (3, 15)
    # The accounts are read to their end, and there are fewer than last time.
    assert accounts() == (3, 3)
    assert progress.rows()[0].accounts is None
    assert progress.rows()[2].accounts is None


def test_the_report_says_how_far_the_sync_is(wait: Callable[[float], None]) -> None:
    names = ("accounts", "content_items", "users")
    parent, child, other = map(StreamStatistics, names)
    progress = SyncProgress([parent, child, other], {"content_items": "accounts"})
    assert not progress.report()
    with progress.reading(parent):
        for number in range(1, 1_235):
            with progress.reading(child):
                child.records, child.requests = number, 2 * number
        parent.records, parent.requests = 1_200, 13
        wait(61)
        assert progress.report() == (
            "After 1:01: 2,434 records, 2,481 requests, 0 of 3 streams done; "
            "now accounts, 1,200 records"
        )
        with progress.reading(child):
            assert progress.report().endswith("now content_items of account 1,235, 1,234 records")
    with progress.reading(other):
        assert progress.report() == (
            "After 1:01: 2,434 records, 2,481 requests, 2 of 3 streams done; now users, 0 records"
        )
    assert not progress.report()


def test_a_stream_that_fails_is_charged_and_done(wait: Callable[[float], None]) -> None:
    users, tags = map(StreamStatistics, ("users", "tags"))
    progress = SyncProgress([users, tags])
    with suppress(KeyError), progress.reading(users):
        wait(2)
        raise KeyError
    with progress.reading(tags):
        assert begun(progress)["1/2 streams"].seconds == 2
    assert users.seconds == 2
