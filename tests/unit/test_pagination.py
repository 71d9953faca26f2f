"""How a listing is read to its end, whatever its server does with `limit` and `offset`."""

from __future__ import annotations

import io
import json
import logging
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from hypothesis import assume, given
from hypothesis import strategies as st

from tap_analytics.exceptions import OffsetIgnoredError
from tap_analytics.listing.pagination import LimitOffsetPaginator

MAX_REQUESTS = 1000


@dataclass(frozen=True)
class Server:
    """A listing, and how its server deviates from what is asked of it."""

    rows: int
    cap: int = 1_000_000
    declares_limit: str = "asked"  # or "applied", or "" for not at all
    declares_total: bool = False
    ignores_offset: bool = False
    ignores_limit: bool = False
    null_when_empty: bool = False

    def get(self, limit: int, offset: int) -> requests.Response:
        applied = self.rows if self.ignores_limit else min(limit, self.cap)
        start = 0 if self.ignores_offset else offset
        records = [{"id": str(row)} for row in range(self.rows)[start : start + applied]]
        body: dict[str, Any] = {"data": records or (None if self.null_when_empty else [])}
        if self.declares_limit:
            body["metadata"] = {
                "offset": offset,
                "limit": limit if self.declares_limit == "asked" else applied,
            }
        if self.declares_total:
            body["total"] = self.rows
        return response(body)


def response(body: object) -> requests.Response:
    result = requests.Response()
    result.status_code = 200
    result.raw = io.BytesIO(json.dumps(body).encode())
    return result


def read(
    server: Server, limit: int, paginator: LimitOffsetPaginator | None = None
) -> tuple[list[str], int]:
    """Read a listing as the SDK's loop does, and count the requests."""
    paginator = paginator or LimitOffsetPaginator(limit)
    ids: list[str] = []
    requests_made = 0
    while not paginator.finished:
        requests_made += 1
        assert requests_made < MAX_REQUESTS, "the paginator loops"
        answer = server.get(limit, paginator.current_value)
        records = paginator.new_records(answer)
        ids += [record["id"] for record in records]
        if not records and not paginator.continue_if_empty(answer):
            break
        paginator.advance(answer)
    return ids, requests_made


servers = st.builds(
    Server,
    rows=st.integers(0, 60),
    cap=st.integers(1, 30),
    declares_limit=st.sampled_from(["asked", "applied", ""]),
    declares_total=st.booleans(),
    null_when_empty=st.booleans(),
)
limits = st.integers(1, 40)


@given(servers, limits)
def test_every_record_arrives_once_and_in_order_from_any_server_that_pages(
    server: Server, limit: int
) -> None:
    ids, _ = read(server, limit)
    assert ids == [str(row) for row in range(server.rows)]


@given(servers, limits, st.integers(0, 40))
def test_the_longest_page_of_another_listing_costs_no_record(
    server: Server, limit: int, rows: int
) -> None:
    first = LimitOffsetPaginator(limit)
    read(server, limit, first)
    other = Server(**{**vars(server), "rows": rows})
    ids, _ = read(other, limit, LimitOffsetPaginator(limit, longest=first.longest))
    assert ids == [str(row) for row in range(rows)]


@given(servers, limits)
def test_a_server_that_ignores_offset_is_read_whole_or_refused(server: Server, limit: int) -> None:
    server = Server(**{**vars(server), "ignores_offset": True})
    is_whole = server.rows <= min(limit, server.cap)
    # What such a server says of its limit must be true: nothing else tells a short page that is
    # all there is from one that was capped.
    assume(server.declares_limit != "asked" or server.cap >= limit)
    try:
        ids, requests_made = read(server, limit)
    except OffsetIgnoredError as error:
        assert server.rows
        assert "ignores `offset`" in str(error)  # noqa: PT017
        assert "can't be had" in str(error)  # noqa: PT017
    else:
        assert is_whole
        assert ids == [str(row) for row in range(server.rows)]
        assert requests_made <= 3


@given(st.integers(1, 60), limits)
def test_a_server_that_does_not_page_at_all_gives_the_whole_listing_once(
    rows: int, limit: int
) -> None:
    assume(rows > limit)
    ids, requests_made = read(Server(rows, ignores_offset=True, ignores_limit=True), limit)
    assert ids == [str(row) for row in range(rows)]
    assert requests_made == 3


def test_a_server_that_does_not_page_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        read(Server(25, ignores_offset=True, ignores_limit=True), 10)
    assert "does not page: it gave 25 records for a limit of 10" in caplog.text


@pytest.mark.parametrize(
    ("server", "requests_made"),
    [
        (Server(25), 3),
        (Server(20), 3),
        (Server(25, declares_limit=""), 4),
        (Server(25, declares_limit="", declares_total=True), 3),
        (Server(20, declares_limit="", declares_total=True), 2),
        (Server(25, cap=5, declares_limit="applied"), 6),
        (Server(0), 1),
        (Server(0, null_when_empty=True), 1),
        # Nothing has shown yet that the server gives more than 7 at once.
        (Server(7), 2),
    ],
)
def test_a_listing_takes_no_more_requests_than_needed_to_find_its_end(
    server: Server, requests_made: int
) -> None:
    ids, count = read(server, 10)
    assert len(ids) == server.rows
    assert count == requests_made


def test_a_short_page_ends_a_listing_once_the_endpoint_has_given_a_longer_one() -> None:
    paginator = LimitOffsetPaginator(10, longest=10)
    assert read(Server(7), 10, paginator) == ([str(row) for row in range(7)], 1)


def test_a_page_seen_twice_because_of_added_records_does_not_end_the_listing() -> None:
    rows = [str(row) for row in range(6)]
    answers = [rows[:3], rows[:3], rows[3:], []]
    paginator = LimitOffsetPaginator(3)
    seen: list[str] = []
    for answer in answers:
        page = response({"data": [{"id": row} for row in answer]})
        seen += [record["id"] for record in paginator.new_records(page)]
        if answer:
            paginator.advance(page)
    assert seen == rows


def test_a_total_in_the_metadata_ends_the_listing() -> None:
    paginator = LimitOffsetPaginator(2)
    page = response({"data": [{"id": "1"}, {"id": "2"}], "metadata": {"total": 2}})
    assert len(paginator.new_records(page)) == 2
    paginator.advance(page)
    assert paginator.finished
