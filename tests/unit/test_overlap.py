"""What counts as the page that goes on where the page before it ended."""

from __future__ import annotations

import json
from io import BytesIO

import requests

from tap_analytics.listing.overlap import Overlap
from tap_analytics.listing.pagination import LimitOffsetPaginator
from tap_analytics.listing.seen import SeenVersions


def page(*names: str) -> requests.Response:
    made = requests.Response()
    made.status_code = 200
    made.raw = BytesIO(json.dumps({"data": [{"id": name} for name in names]}).encode())
    return made


def test_a_known_record_is_enough_of_a_page_in_its_turn_but_not_of_one_sent_ahead() -> None:
    paginator = LimitOffsetPaginator(3)
    paginator.read(page("a", "b", "c"))
    asked = paginator.current_value
    # It should begin with "c": it is from another moment than the page before.
    assert paginator.read(page("b", "c", "d"), is_sent_ahead=True) == []
    assert paginator.has_shifted
    assert paginator.current_value == asked
    assert paginator.read(page("b", "c", "d")) == [{"id": "d"}]
    assert not paginator.has_shifted


def test_a_known_record_is_enough_right_after_going_back_and_no_longer() -> None:
    seen = SeenVersions()
    seen.add(["a", "b", "c", "d"], [1, 2, 3, 4])
    overlap = Overlap(seen)
    overlap.end_page(["a", "b"], is_known=True)
    # "c" may have been skipped: "d" was read before paging went back.
    assert not overlap.is_continued_by(["d"], [4], is_sent_ahead=False)
    overlap.go_back(1)
    assert overlap.is_continued_by(["a", "c"], [1, 3], is_sent_ahead=False)
