"""Listings that change while they are read, and what `detect_shifts` does about it."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from sandboxes import only

from tap_analytics.listing.pagination import LimitOffsetPaginator
from tap_analytics.sandbox import Reply, Request, Sandbox

if TYPE_CHECKING:
    from runs import RunTap

HISTORIES = 3_000


@dataclass
class Shifting:
    """A server whose listing changes between requests: records come and go, none changes place.

    Attributes:
        chance: What decides.
        rows: The listing.
        limit: The most records that it gives at once.
        declares: What it says of the listing besides the records.
        change: How likely something happens before a request.
    """

    chance: random.Random
    rows: list[int]
    limit: int
    declares: str = "nothing"
    change: float = 0.5
    stays: set[int] = field(default_factory=set)
    next_id: int = 1_000_000

    def __post_init__(self) -> None:
        self.stays = set(self.rows)

    def live(self) -> None:
        """Let something happen."""
        while self.chance.random() < self.change:
            if self.rows and self.chance.random() < 0.6:
                for _ in range(self.chance.choice((1, 1, 2, self.limit, 3 * self.limit))):
                    if self.rows:
                        self.stays.discard(self.rows.pop(self.chance.randrange(len(self.rows))))
            else:
                for _ in range(self.chance.choice((1, 1, 2, self.limit, 3 * self.limit))):
                    self.rows.insert(self.chance.randint(0, len(self.rows)), self.next_id)
                    self.next_id += 1

    def page(self, limit: int, offset: int) -> dict[str, Any]:
        size = min(limit, self.limit)
        body: dict[str, Any] = {
            "data": [{"id": str(row)} for row in self.rows[offset : offset + size]]
        }
        if self.declares == "limit":
            body["metadata"] = {"limit": size}
        elif self.declares == "total":
            body["total"] = len(self.rows)
        return body


def response(body: object) -> requests.Response:
    result = requests.Response()
    result.status_code = 200
    result.raw = BytesIO(json.dumps(body).encode())
    return result


def read(server: Shifting, limit: int, ahead: int, *, detect_shifts: bool) -> set[int]:
    """Read a listing as the SDK's loop does, with pages that have been sent for ahead.

    Which of these are there when they are needed, and from when they are, is up to chance.
    """
    paginator = LimitOffsetPaginator(limit, detect_shifts=detect_shifts)
    fetched: dict[int, requests.Response] = {}
    ids: set[int] = set()
    count = 0
    while not paginator.finished:
        count += 1
        assert count < 5_000, "the paginator loops"
        offset = paginator.current_value
        answer = fetched.pop(offset, None)
        if answer is None:
            server.live()
            answer = response(server.page(limit, offset))
        records = paginator.new_records(answer)
        ids.update(int(record["id"]) for record in records)
        if paginator.is_lost:
            fetched.clear()
        else:
            step = limit - paginator.overlap_of(limit)
            guesses = [offset + number * step for number in range(1, ahead + 1)]
            for guess in server.chance.sample(guesses, server.chance.randint(0, len(guesses))):
                if guess not in fetched:
                    server.live()
                    fetched[guess] = response(server.page(limit, guess))
        if not records and not paginator.continue_if_empty(answer):
            break
        paginator.advance(answer)
    return ids


def losses(*, detect_shifts: bool) -> int:
    """Count the histories in which a record that was there all the time is missed."""
    lost = 0
    for seed in range(HISTORIES):
        chance = random.Random(seed)  # noqa: S311 - not for secrets
        limit = chance.randint(2, 12)
        server = Shifting(
            chance,
            list(range(chance.randint(0, 90))),
            # A server that gives one record at a time can't be caught at it.
            limit=chance.choice((limit, max(2, limit // 2), 100)),
            declares=chance.choice(("nothing", "limit", "total")),
            change=chance.choice((0.1, 0.3, 0.5)),
        )
        ids = read(server, limit, chance.choice((0, 1, 4)), detect_shifts=detect_shifts)
        lost += not server.stays <= ids
    return lost


def test_with_detect_shifts_no_record_is_missed_that_was_there_all_the_time() -> None:
    assert losses(detect_shifts=True) == 0


def test_without_detect_shifts_the_same_histories_lose_records() -> None:
    assert losses(detect_shifts=False) > HISTORIES / 10


@given(
    st.integers(0, 60),
    st.integers(2, 20),
    st.integers(1, 20),
    st.sampled_from(["nothing", "limit", "total"]),
)
def test_a_listing_that_stands_still_is_read_once_and_in_order(
    rows: int, limit: int, cap: int, declares: str
) -> None:
    server = Shifting(random.Random(0), list(range(rows)), cap, declares, change=0)  # noqa: S311
    paginator = LimitOffsetPaginator(limit, detect_shifts=True)
    ids: list[int] = []
    asked = 0
    while not paginator.finished:
        asked += 1
        answer = response(server.page(limit, paginator.current_value))
        records = paginator.new_records(answer)
        ids += [int(record["id"]) for record in records]
        if not records and not paginator.continue_if_empty(answer):
            break
        paginator.advance(answer)
    assert ids == list(range(rows))
    size = min(limit, cap)
    assert asked <= rows / max(1, size - 1) + 3


def test_no_record_is_missed_when_more_are_deleted_than_are_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tap_analytics.listing.pagination.MEMORY", 7)
    assert losses(detect_shifts=True) == 0


def test_records_with_the_same_id_all_arrive_from_a_listing_that_stands_still() -> None:
    paginator = LimitOffsetPaginator(3, detect_shifts=True)
    pages = [["a", "b", "a"], ["a", "c", "b"], ["b", "d"], ["d"], []]
    seen: list[str] = []
    for ids in pages:
        answer = response({"data": [{"id": key} for key in ids]})
        seen += [record["id"] for record in paginator.new_records(answer)]
        if ids:
            paginator.advance(answer)
    assert seen == ["a", "b", "a", "c", "b", "d"]


# With the tap


@pytest.fixture(autouse=True)
def _every_hint_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tap_analytics.http.throttle.NOTICEABLE", 0.0)


@pytest.fixture
def shifting(sandbox: Sandbox) -> Sandbox:
    """Users of whom one of the first is deleted with every tenth request."""
    sandbox.data["users"] = [
        {"id": str(row), "updated_at": "2024-05-01T10:00:00"} for row in range(400)
    ]
    asked = 0

    def delete(request: Request) -> None:
        nonlocal asked
        if request.path == "/v1/users":
            asked += 1
            if asked % 10 == 0:
                del sandbox.data["users"][3]

    sandbox.intercept = delete
    return sandbox


@pytest.mark.parametrize("concurrent", [1, 2, 8, 32])
def test_the_tap_misses_no_record_of_a_listing_that_shifts(
    run_tap: RunTap, shifting: Sandbox, concurrent: int
) -> None:
    config = only("creator", shifting, max_concurrent_requests=concurrent)
    run = run_tap({**config, "detect_shifts": True})
    assert run.status == 0, run.log
    assert {record["id"] for record in shifting.data["users"]} <= set(run.ids("users"))
    assert "The listing has shifted at offset" in run.log


def test_the_tap_misses_records_of_a_listing_that_shifts_without_detect_shifts(
    run_tap: RunTap, shifting: Sandbox
) -> None:
    run = run_tap(only("creator", shifting, max_concurrent_requests=1))
    assert run.status == 0
    assert not {record["id"] for record in shifting.data["users"]} <= set(run.ids("users"))


def test_with_detect_shifts_requests_overlap_by_one_record(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    sandbox.data["users"] = sandbox.data["users"][:20]
    plain = run_tap(only("creator", sandbox, max_concurrent_requests=1))
    sandbox.requests.clear()
    run = run_tap(only("creator", sandbox, max_concurrent_requests=1, detect_shifts=True))
    assert run.records("users") == plain.records("users")
    asked = [r.query["offset"] for r in sandbox.requests if r.path == "/v1/users"]
    assert asked == ["0", "9", "18"]


@pytest.mark.parametrize("concurrent", [1, 8])
def test_detect_shifts_does_not_change_the_messages_of_listings_that_stand_still(
    run_tap: RunTap, concurrent: int
) -> None:
    with Sandbox(rows=60, live=True) as sandbox:
        config = only(
            "creator", sandbox, content_by_account=True, max_concurrent_requests=concurrent
        )
        plain = run_tap(config)
        run = run_tap({**config, "detect_shifts": True})
    assert run.status == 0
    for message in (*plain.messages, *run.messages):
        message.pop("time_extracted", None)
    assert [message for message in run.messages if message["type"] != "STATE"] == [
        message for message in plain.messages if message["type"] != "STATE"
    ]
    assert run.state == plain.state


@pytest.mark.parametrize("detect_shifts", [False, True])
def test_an_endless_listing_that_ignores_offset_is_an_error(
    run_tap: RunTap, sandbox: Sandbox, *, detect_shifts: bool
) -> None:
    page = sandbox.page("users")
    sandbox.intercept = lambda request: Reply.json(page) if request.path == "/v1/users" else None
    run = run_tap(only("creator", sandbox, detect_shifts=detect_shifts))
    assert run.status == 1
    assert "users: the server ignores `offset`" in run.errors[-1]


def test_detect_shifts_with_a_page_size_of_1_is_a_wrong_setting(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    run = run_tap(only("creator", sandbox, detect_shifts=True, page_size=1))
    assert run.status == 1
    assert run.errors[0] == (
        "`detect_shifts` needs a `page_size` of 2 or more, for pages to overlap"
    )
    assert sandbox.requests == []
