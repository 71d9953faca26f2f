"""The independent picture of the live services, held against what is known of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from account_changes import Connect, Remove, Return, Synchronise, Touch
from living_answers import HINTS, is_whole
from living_api import EXPERIENCE, PATHS, PRODUCTS, LivingApi, Quirks
from living_changes import Change, Delete, Insert, Misdate, Pass, Update
from living_visit import Visit
from living_weather import Fault, Step, Trouble, Weather

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DATES = {"transaction_from_date": "1900-01-01", "transaction_to_date": "9999-12-31"}
PATH_OF = {stream: path for path, stream in PATHS.items()}


def service(*changes: Change, **quirks: Any) -> LivingApi:
    api = LivingApi(NOON, Quirks(**quirks))
    for change in changes:
        change.apply(api)
    return api


def ask(visit: LivingApi | Visit, stream: str, **query: object) -> tuple[int, Any, dict[str, str]]:
    """Return status, body and head of an answer."""
    visit = Visit(visit) if isinstance(visit, LivingApi) else visit
    path = PATH_OF.get(stream, f"/accounts/123/{stream}")
    answer = visit.answer(f"/1{path}?{urlencode(query)}").removeprefix(HINTS)
    assert is_whole(answer)
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return int(status.split()[1]), json.loads(body), dict(line.split(": ", 1) for line in lines)


def records(api: LivingApi | Visit, stream: str, **query: object) -> list[dict[str, Any]]:
    body = ask(api, stream, **query)[1]
    found: list[dict[str, Any]] = body["data"] if isinstance(body, dict) else body
    return found


def ids(api: LivingApi | Visit, stream: str, **query: object) -> list[str]:
    return [record["id"] for record in records(api, stream, **query)]


@pytest.mark.parametrize("stream", EXPERIENCE)
def test_one_response_of_the_experience_api_is_a_bare_array_of_all(stream: str) -> None:
    assert len(ids(service(Insert(stream, count=120)), stream)) == 120


def test_launchpads_tell_milliseconds_and_flows_text_with_a_zone() -> None:
    api = service(Insert("launchpads"), Insert("flows"))
    assert records(api, "launchpads")[0]["updated_at"] == NOON.timestamp() * 1000 + 1
    assert records(api, "flows")[0]["updated_at"].endswith("Z")


def test_a_page_echoes_the_parameters_and_tells_no_total() -> None:
    body = ask(service(Insert("users", count=12)), "users", limit=5, offset=10)[1]
    assert len(body.pop("data")) == 2
    echo = {"offset": 10, "limit": 5, "from_date": None, "to_date": None}
    assert body == {"metadata": echo}


def test_the_limit_is_10_by_default_and_100_at_most() -> None:
    api = service(Insert("users", count=120))
    assert len(ids(api, "users")) == 10
    assert len(ids(api, "users", limit=100)) == 100
    for limit in (0, 101):
        status, body, _ = ask(api, "users", limit=limit)
        assert status == 400
        assert body["error"].keys() >= {"type", "error_code", "message", "request_id"}


def test_accounts_come_by_the_time_they_changed_latest_first() -> None:
    api = service(Connect(), Connect(), Connect(), Touch(1))
    assert ids(api, "accounts") == ["account-1", "account-2", "account-0"]


def test_contents_come_by_the_time_they_were_published_latest_first() -> None:
    api = service(Connect(), *(Insert(days=days) for days in (2, -400, 400)))
    days = [row["published_at"] for row in records(api, "content_items", account_id="account-0")]
    assert days == sorted(days, reverse=True)
    assert len(days) == 3


@pytest.mark.parametrize("status", ["NOT_CONNECTED", "SESSION_EXPIRED"])
def test_disconnected_accounts_stay_listed_and_as_they_are(status: str) -> None:
    api = service(Connect(3), Touch(0, status))
    before = records(api, "content_items", account_id="account-0")
    for change in (Update(), Insert(), Synchronise()):
        change.apply(api)
    assert [row["status"] for row in records(api, "accounts")] == [status]
    assert records(api, "content_items", account_id="account-0") == before


def test_a_sync_of_the_service_moves_last_sync_at_and_not_the_account() -> None:
    api = service(Connect(1))
    (before,) = records(api, "accounts")
    for change in (Pass(60), Synchronise()):
        change.apply(api)
    (after,) = records(api, "accounts")
    assert after["updated_at"] == before["updated_at"]
    products = [row["data"]["engagement"]["last_sync_at"] for row in (before, after)]
    assert products[0] < products[1]
    assert after["data"]["income"] == before["data"]["income"]


@pytest.mark.parametrize("change", [Connect(2, 2, 3), Update(), Insert(late=60), Synchronise()])
def test_no_record_is_later_than_the_sync_of_its_product(change: Change) -> None:
    api = service(Connect(3, 3, 700), Pass(4000), change)
    for account in records(api, "accounts"):
        for stream, product in PRODUCTS.items():
            for row in records(api, stream, account_id=account["id"], **DATES):
                assert row["updated_at"] <= account["data"][product]["last_sync_at"]


@pytest.mark.parametrize("change", [Update(late=60, trails=True), Insert(late=5, trails=True)])
def test_rows_may_show_up_after_the_account_has_told_of_their_sync(change: Change) -> None:
    api = service(Connect(3, 0, 3), Pass(4000), Synchronise())
    told = api.accounts["account-0"].products["content_items"].told
    for event in (Pass(50), change):
        event.apply(api)
    assert api.accounts["account-0"].products["content_items"].told == told
    assert told
    assert told[1]
    newest = max(row.stamp for row in api.in_order("content_items"))
    assert told[1] - timedelta(minutes=2) <= newest <= told[1]


@pytest.mark.parametrize("late", [0, 60])
def test_rows_that_come_long_after_a_sync_are_of_another(late: int) -> None:
    api = service(Connect(3, 0, 3), Pass(4000), Synchronise(), Pass(130))
    before = api.accounts["account-0"].products["content_items"].told
    Update(late=late, trails=True).apply(api)
    assert api.accounts["account-0"].products["content_items"].told != before


def test_an_account_may_not_tell_when_it_was_synced() -> None:
    api = service(Connect(1, status="UNTOLD"), Update(), Synchronise())
    (account,) = records(api, "accounts")
    assert account["data"]["engagement"] == {"status": "SYNCED", "last_sync_at": None}


def test_timestamps_of_the_creator_api_tell_no_zone() -> None:
    (account,) = records(service(Connect(1)), "accounts")
    assert account["updated_at"] == "2026-03-01T12:00:00.001000"


@pytest.mark.parametrize("missing", ["account_id", *DATES])
def test_income_takes_an_account_and_both_dates(missing: str) -> None:
    query = {"account_id": "account-0", **DATES}
    api = service(Connect(0, 2))
    assert len(ids(api, "social_income_transactions", **query)) == 2
    del query[missing]
    assert ask(api, "social_income_transactions", **query)[0] == 400


def test_the_dates_of_income_are_those_of_the_transactions() -> None:
    api = service(Connect(), *(Insert("social_income_transactions", days=d) for d in (-400, 2)))
    dates = {"transaction_from_date": "2026-03-01", "transaction_to_date": "2026-03-02"}
    query = {"account_id": "account-0"}
    assert len(ids(api, "social_income_transactions", **query, **DATES)) == 2
    assert ids(api, "social_income_transactions", **query, **dates) == []


def test_a_product_that_an_account_does_not_have_is_a_4xx() -> None:
    api = service(Connect(status="NOT_SUPPORTED"))
    assert ask(api, "content_items", account_id="account-0")[0] == 400


def test_rows_come_late_only_where_the_service_says_so_or_nothing_was() -> None:
    late = Insert(late=90_000)
    at_rest = service(Connect(1), Pass(90_000), late)
    fetching = service(
        Connect(1), Pass(3600), Synchronise(0, status="IN_PROGRESS"), Pass(600), late
    )
    empty = service(Connect(0), late)
    ages = [
        api.now - min(row.stamp for row in api.in_order("content_items")[:1])
        for api in (at_rest, fetching, empty)
    ]
    assert [
        age <= timedelta(minutes=limit) for age, limit in zip(ages, (2, 11, 2), strict=True)
    ] == [
        True,
        True,
        False,
    ]


def test_a_deleted_account_has_nothing_and_has_it_again_when_it_comes_back() -> None:
    api = service(Connect(2), Connect(1), Remove(0))
    assert ids(api, "accounts") == ["account-1"]
    assert ids(api, "content_items", account_id="account-0") == []
    Return().apply(api)
    assert ids(api, "accounts") == ["account-0", "account-1"]
    assert len(ids(api, "content_items", account_id="account-0")) == 2


def test_hidden_rows_take_up_room_on_their_page() -> None:
    hidden = Insert("users", place="middle", is_hidden=True)
    api = service(Insert("users", count=4), hidden, caps=(5,))
    assert len(ids(api, "users", limit=4)) == 3
    assert ids(api, "users", limit=4, offset=4)


def test_caps_differ_by_account_and_the_echo_may_not_tell() -> None:
    api = service(Connect(9), Connect(9), caps=(4, 2))
    pages = [ask(api, "content_items", account_id=f"account-{n}")[1] for n in (0, 1)]
    assert [len(page["data"]) for page in pages] == [4, 2]
    assert [page["metadata"]["limit"] for page in pages] == [10, 10]


def test_clocks_differ() -> None:
    api = service(Insert("users"), database_skew=60, front_skew=-60)
    assert api.in_order("users")[0].stamp - NOON >= timedelta(seconds=60)
    assert ask(api, "users")[2]["Date"] == "Sun, 01 Mar 2026 11:59:01 GMT"
    assert "Date" not in ask(service(has_date=False), "users")[2]


def test_a_row_may_say_that_it_is_from_the_year_2999() -> None:
    (user,) = records(service(Misdate("users")), "users")
    assert user["updated_at"].startswith("2999")


def test_changes_happen_before_the_request_that_they_are_for() -> None:
    step = Step(1, Delete("users", count=1), "users")
    visit = Visit(service(Insert("users", count=3)), Weather((step,)))
    assert [len(ids(visit, stream)) for stream in ("users", "profiles", "users")] == [3, 0, 2]
    assert len(visit.sight.before["users"]) == 3


def test_a_fault_is_of_one_request_and_a_trouble_of_a_whole_sync() -> None:
    api = service(Connect(1), Connect(1))
    weather = Weather((), (Fault(1, "500"),), (Trouble(1, "content_items", "403"),))
    visit = Visit(api, weather)
    asked = [ask(visit, "content_items", account_id=f"account-{n}")[0] for n in (0, 0, 0, 1, 1)]
    assert asked == [200, 500, 200, 403, 403]
