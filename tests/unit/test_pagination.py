"""Paging by limit and offset, against a server whose listing changes while it is read."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st

from tap_analytics.exceptions import OffsetIgnoredError, UnsteadyListingError
from tap_analytics.listing.pagination import LimitOffsetPaginator, Slice
from tap_analytics.listing.paging import LimitOffset
from tap_analytics.listing.probe import FAR_OFFSET
from tap_analytics.listing.seen import SeenVersions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def response(records: Iterable[Any], status: int = 200, **extra: Any) -> requests.Response:
    made = requests.Response()
    made.status_code = status
    made.raw = BytesIO(json.dumps({"data": list(records), **extra}).encode())
    return made


def row(number: int, version: int = 0) -> dict[str, Any]:
    return {"id": f"r{number}", "updated_at": f"2025-01-01T00:00:{version:02}"}


@dataclass
class Server:
    """A listing, and how it is cut into pages.

    Attributes:
        rows: The rows in the listing's order.
        hidden: The ids of rows that are left out after the limit was applied.
        caps: How many rows a page may have, for one request after another, then without end.
        changes: What happens before the request of a number.
        asked: The slices that have been asked for.
    """

    rows: list[dict[str, Any]]
    hidden: set[str] = field(default_factory=set)
    caps: list[int] = field(default_factory=list)
    changes: dict[int, list[Callable[[Server], None]]] = field(default_factory=dict)
    asked: list[Slice] = field(default_factory=list)

    def answer(self, part: Slice) -> requests.Response:
        number = len(self.asked)
        for change in self.changes.get(number, ()):
            change(self)
        self.asked.append(part)
        cap = self.caps[number % len(self.caps)] if self.caps else 100
        page = self.rows[part.offset : part.offset + min(part.limit, cap)]
        return response(dict(r) for r in page if r["id"] not in self.hidden)


def read(server: Server, limit: int = 10, *, rereads: bool = False) -> list[dict[str, Any]]:
    paginator = LimitOffsetPaginator(limit, rereads=rereads)
    read_records: list[dict[str, Any]] = []
    while not paginator.finished:
        assert len(server.asked) < 2_000, "the listing has no end"
        read_records += paginator.read(server.answer(paginator.current_value))
    return read_records


def exhaust(
    paginator: LimitOffsetPaginator, answer: Callable[[Slice], requests.Response]
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while not paginator.finished:
        found += paginator.read(answer(paginator.current_value))
    return found


def ids(records: Iterable[dict[str, Any]]) -> list[str]:
    return [record["id"] for record in records]


# A listing that stands still


@pytest.mark.parametrize("count", [0, 1, 2, 9, 10, 11, 19, 25, 200])
def test_every_row_is_read_once_in_order(count: int) -> None:
    rows = [row(number) for number in range(count)]
    assert read(Server(rows)) == rows


def test_pages_overlap_by_one_record_and_an_empty_page_ends_the_listing() -> None:
    server = Server([row(number) for number in range(25)])
    read(server)
    assert server.asked == [(0, 10), (9, 10), (18, 10), (24, 100), (25, 100)]


def test_an_empty_page_to_a_small_limit_is_asked_for_again_with_the_largest() -> None:
    server = Server([row(number) for number in range(30)], hidden={f"r{n}" for n in range(12)})
    assert len(read(server)) == 18
    assert server.asked[:2] == [(0, 10), (0, 100)]


@given(
    count=st.integers(0, 60),
    hidden=st.sets(st.integers(0, 59)),
    caps=st.lists(st.integers(1, 30), max_size=5),
    limit=st.integers(2, 20),
)
def test_caps_and_hidden_rows_hide_nothing_else(
    count: int, hidden: set[int], caps: list[int], limit: int
) -> None:
    rows = [row(number) for number in range(count)]
    hidden_ids = {f"r{number}" for number in hidden} if not caps else set()
    server = Server(rows, hidden=hidden_ids, caps=caps)
    assert ids(read(server, limit)) == [r["id"] for r in rows if r["id"] not in hidden_ids]


@pytest.mark.parametrize("total", [0, 5, 10, 1_000])
def test_a_total_is_not_believed(total: int) -> None:
    rows = [row(number) for number in range(25)]
    paginator = LimitOffsetPaginator(10)
    found = []
    while not paginator.finished:
        offset, limit = paginator.current_value
        page = response(rows[offset : offset + limit], total=total, metadata={"limit": limit})
        found += paginator.read(page)
    assert found == rows


# A server that ignores `offset`


@pytest.mark.parametrize("limit", [10, 100])
@pytest.mark.parametrize("count", [1, 2, 9, 10, 11, 57])
def test_a_server_that_gives_the_whole_listing_for_every_offset_is_read(
    count: int, limit: int
) -> None:
    rows = [row(number) for number in range(count)]
    paginator = LimitOffsetPaginator(limit)
    assert exhaust(paginator, lambda _: response(rows)) == rows


def test_a_server_that_ignores_offsets_but_not_limits_is_read_if_the_listing_is_short() -> None:
    rows = [row(number) for number in range(57)]
    paginator = LimitOffsetPaginator(10)
    assert exhaust(paginator, lambda part: response(rows[: part.limit])) == rows


def test_a_server_that_ignores_offsets_and_may_hold_more_is_an_error() -> None:
    rows = [row(number) for number in range(300)]
    paginator = LimitOffsetPaginator(10)
    with pytest.raises(OffsetIgnoredError, match="ignores `offset`"):
        exhaust(paginator, lambda part: response(rows[: part.limit]))


def test_a_server_that_ignores_offsets_and_renews_its_timestamps_has_an_end() -> None:
    paginator = LimitOffsetPaginator(10)
    for version in range(40):
        if paginator.finished:
            break
        paginator.read(response(row(number, version) for number in range(7)))
    assert paginator.finished


def test_an_equal_page_is_no_proof_of_a_server_that_ignores_offsets() -> None:
    rows = [row(number) for number in range(25)]
    # As many rows as a page adds are inserted: the second page equals the first.
    inserted = [row(100 + number) for number in range(9)]
    server = Server(
        rows, changes={1: [lambda server: server.rows.__setitem__(slice(0, 0), inserted)]}
    )
    assert {f"r{number}" for number in range(25)} <= set(ids(read(server)))
    assert Slice(FAR_OFFSET, 100) in server.asked


def test_a_server_that_rejects_a_far_offset_honours_offsets() -> None:
    rows = [row(number) for number in range(25)]
    inserted = [row(100 + number) for number in range(9)]
    server = Server(
        rows, changes={1: [lambda server: server.rows.__setitem__(slice(0, 0), inserted)]}
    )
    paginator = LimitOffsetPaginator(10)
    found = []
    while not paginator.finished:
        answer = server.answer(paginator.current_value)
        found += paginator.read(response([], 400) if paginator.is_probe else answer)
    assert {f"r{number}" for number in range(25)} <= set(ids(found))


@pytest.mark.parametrize("status", [200, 403, 404])
def test_a_server_that_ignores_offsets_and_denies_it_is_an_error(status: int) -> None:
    rows = [row(number) for number in range(10)]
    paginator = LimitOffsetPaginator(10)
    with pytest.raises(OffsetIgnoredError, match="1,000 pages in a row"):
        exhaust(
            paginator,
            lambda part: response([], status) if part.offset == FAR_OFFSET else response(rows),
        )


def test_a_server_whose_pages_never_fit_together_is_an_error() -> None:
    rows = [row(number) for number in range(5)]
    paginator = LimitOffsetPaginator(10)
    with pytest.raises(UnsteadyListingError, match="offset 4 held no record"):
        exhaust(paginator, lambda part: response([] if part.offset else rows))


# A listing that changes


@dataclass(frozen=True)
class Change:
    """Something that happens before a request: a row is deleted, inserted, or touched."""

    request: int
    kind: str
    place: int


changes = st.lists(
    st.builds(
        Change,
        request=st.integers(0, 12),
        kind=st.sampled_from(["delete", "insert", "touch"]),
        place=st.integers(0, 40),
    ),
    max_size=8,
)


def changing_server(
    count: int, happenings: list[Change], **options: Any
) -> tuple[Server, set[str]]:
    """A server, and the ids of the rows that nothing happens to."""
    server = Server([row(number) for number in range(count)], **options)
    numbers = iter(range(1_000, 2_000))

    def apply(change: Change, server: Server) -> None:
        rows = server.rows
        if change.kind == "insert":
            rows.insert(change.place % (len(rows) + 1), row(next(numbers)))
        elif rows:
            gone = rows.pop(change.place % len(rows))
            untouched.discard(gone["id"])
            if change.kind == "touch":
                # The accounts are listed by `updated_at`, latest first.
                number = int(gone["id"][1:])
                version = 1 + int(gone["updated_at"][-2:])
                rows.insert(0, row(number, version))

    untouched = {r["id"] for r in server.rows}
    for change in happenings:
        server.changes.setdefault(change.request, []).append(
            lambda server, change=change: apply(change, server)  # type: ignore[misc]
        )
    return server, untouched


@given(
    count=st.integers(0, 40),
    happenings=changes,
    limit=st.integers(2, 12),
    caps=st.lists(st.integers(2, 12), max_size=3),
    rereads=st.booleans(),
)
@example(count=12, happenings=[Change(1, "delete", 0)] * 3, limit=10, caps=[], rereads=False)
def test_rows_that_are_listed_throughout_are_read_whatever_happens_to_others(
    count: int, happenings: list[Change], limit: int, caps: list[int], *, rereads: bool
) -> None:
    server, untouched = changing_server(count, happenings, caps=caps)
    assert untouched <= set(ids(read(server, limit, rereads=rereads)))


touches = st.lists(
    st.builds(Change, request=st.integers(0, 12), kind=st.just("touch"), place=st.integers(0, 40)),
    max_size=8,
)


@given(count=st.integers(0, 40), happenings=touches, limit=st.integers(2, 12))
def test_rereads_meet_every_version_that_is_listed_before_the_last_look_at_the_front(
    count: int, happenings: list[Change], limit: int
) -> None:
    server, _ = changing_server(count, happenings)
    paginator = LimitOffsetPaginator(limit, rereads=True)
    found = exhaust(paginator, server.answer)
    is_quiet = all(change.request < len(server.asked) for change in happenings)
    if is_quiet and not paginator.is_unsteady:
        listed = {(r["id"], r["updated_at"]) for r in server.rows}
        assert listed <= {(r["id"], r["updated_at"]) for r in found}


@given(
    count=st.integers(20, 60),
    happenings=changes,
    ahead=st.integers(1, 6),
)
def test_pages_sent_ahead_lose_nothing(count: int, happenings: list[Change], ahead: int) -> None:
    """Pages are answered in groups before the page before them is, as when a page is retried."""
    server, untouched = changing_server(count, happenings)
    paginator, paging = LimitOffsetPaginator(10), LimitOffset({"page_size": 10})
    answered: dict[Slice, requests.Response] = {}
    found: list[dict[str, Any]] = []
    while not paginator.finished:
        part = paginator.current_value
        # The pages after this one are answered first.
        for number in range(1, ahead):
            guess = Slice(part.offset + 9 * number, 10)
            answered.setdefault(guess, server.answer(guess))
        early = answered.pop(part, None)
        answer = early or server.answer(part)
        found += paginator.read(answer, is_sent_ahead=early is not None)
        if paginator.has_shifted:
            answered.clear()
        assert len(server.asked) < 2_000
    assert untouched <= set(ids(found))
    assert paging.first == Slice(0, 10)


def test_a_page_sent_ahead_that_does_not_fit_is_asked_for_again() -> None:
    rows = [row(number) for number in range(30)]
    paginator = LimitOffsetPaginator(10)
    paginator.read(response(rows[:10]))
    # A row has been inserted after this page was answered and before the first one was.
    assert paginator.read(response(rows[10:20]), is_sent_ahead=True) == []
    assert paginator.has_shifted
    assert paginator.current_value == (9, 10)
    assert paginator.read(response(rows[9:19])) == rows[10:19]


def test_a_touched_row_that_jumps_to_the_front_is_met_when_the_front_is_read_again() -> None:
    def touch(server: Server) -> None:
        server.rows.insert(0, row(24, 1) if server.rows.pop(24) else row(0))

    server = Server([row(number) for number in range(25)], changes={2: [touch]})
    found = read(server, rereads=True)
    assert row(24, 1) in found


def test_five_rereads_that_find_something_are_enough() -> None:
    def touch_last(server: Server) -> None:
        last = server.rows.pop()
        version = 1 + int(last["updated_at"][-2:])
        server.rows.insert(0, row(int(last["id"][1:]), version))

    server = Server(
        [row(number) for number in range(25)],
        changes={number: [touch_last] for number in range(50)},
    )
    paginator = LimitOffsetPaginator(10, rereads=True)
    exhaust(paginator, server.answer)
    assert paginator.is_unsteady
    assert sum(part.offset == 0 for part in server.asked) == 6


def test_a_listing_that_stands_still_is_reread_by_one_request() -> None:
    server = Server([row(number) for number in range(25)])
    read(server, rereads=True)
    assert server.asked[-2:] == [(25, 100), (0, 10)]


# Memory


def test_only_the_latest_versions_are_remembered() -> None:
    seen = SeenVersions(3)
    assert seen.add(["a", "b", "c", "d"], [1, 2, 3, 4]) == ["a", "b", "c", "d"]
    assert not seen.is_any_of_this_pass([1])
    assert seen.is_any_of_this_pass([2])
    assert seen.add(["b", "e"], [2, 5]) == ["e"]
    assert seen.is_any_of_this_pass([2])


# What is asked for next


@pytest.mark.parametrize(
    ("page", "size", "expected"),
    [
        (Slice(0, 10), 10, [(9, 10), (18, 10), (27, 10)]),
        (Slice(18, 10), 7, [(24, 100), (25, 100)]),
        (Slice(0, 10), 1, [(0, 100), (1, 100)]),
        (Slice(0, 10), 0, [(0, 100)]),
        (Slice(0, 100), 0, []),
    ],
)
def test_the_next_pages_are_foreseen(
    page: Slice, size: int, expected: list[tuple[int, int]]
) -> None:
    answer = response(row(number) for number in range(size))
    assert LimitOffset({"page_size": 10}).following(page, answer, 3) == expected


# Pages of one record


@given(
    # Of two rows given one at a time, the second is missed if the first is deleted in between.
    count=st.integers(6, 25),
    happenings=st.lists(
        st.builds(
            Change, request=st.integers(0, 60), kind=st.just("delete"), place=st.integers(0, 25)
        ),
        max_size=4,
    ),
    limit=st.integers(2, 12),
    caps=st.lists(st.integers(1, 12), min_size=1, max_size=4),
)
@example(count=6, happenings=[Change(1, "delete", 0)], limit=5, caps=[1, 100])
@example(count=14, happenings=[Change(4, "delete", 0)], limit=2, caps=[1, 2, 12])
@example(
    count=6,
    happenings=[Change(11, "delete", 0), Change(19, "delete", 0), Change(19, "delete", 0)],
    limit=2,
    caps=[1],
)
def test_pages_of_one_record_lose_nothing_when_others_are_deleted(
    count: int, happenings: list[Change], limit: int, caps: list[int]
) -> None:
    server, untouched = changing_server(count, happenings, caps=caps)
    assert untouched <= set(ids(read(server, limit)))


def test_a_lone_record_is_asked_for_once_where_the_largest_limit_was_asked_for() -> None:
    server = Server([row(0)])
    assert read(server, 100) == server.rows
    assert server.asked == [(0, 100), (1, 100)]


def test_a_page_of_one_record_overlaps_with_the_next_like_any_other() -> None:
    server = Server([row(number) for number in range(5)], caps=[1, 100])
    assert read(server, 5) == server.rows
    assert server.asked[:2] == [(0, 5), (0, 100)]
