"""`--live` and `--churn`, held against what is known of the live services, through HTTP."""

from __future__ import annotations

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tap_analytics.sandbox import Sandbox
from tap_analytics.sandbox.__main__ import main

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_analytics.sandbox import Life

Json = dict[str, Any]

ACCOUNTS, PROFILES = "/v1/accounts", "/v1/profiles"
CONTENT, INCOME = "/v1/social/contents", "/v1/social/income/transactions"
EVER = {"transaction_from_date": "1970-01-01", "transaction_to_date": "2099-12-31"}
PRODUCTS = ("identity", "engagement", "income", "activity", "publish")
pytestmark = pytest.mark.slow

LISTINGS = {"engagement": CONTENT, "income": INCOME}
LOCAL_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?")


class Client:
    """Reads a sandbox as a client of the live services has to."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._session = requests.Session()

    def get(self, path: str, **params: str | int) -> requests.Response:
        settings = self._sandbox.settings
        names = (
            ("username", "password") if path.startswith("/v2") else ("client_id", "client_secret")
        )
        login = (settings[names[0]], settings[names[1]])
        return self._session.get(self._sandbox.url + path, params=params, auth=login, timeout=10)

    def experience(self, resource: str) -> Any:  # noqa: ANN401 - JSON
        return self.get(f"/v2/accounts/{self._sandbox.settings['account_id']}/{resource}").json()

    def page(self, path: str, **params: str | int) -> list[Json]:
        response = self.get(path, **params)
        assert response.status_code == 200, response.text
        return response.json()["data"] or []

    def read(self, path: str, **params: str | int) -> list[Json]:
        found: list[Json] = []
        while page := self.page(path, limit=100, offset=len(found), **params):
            found += page
        return found

    def owned(self, product: str, account: Json) -> list[Json]:
        dates = EVER if product == "income" else {}
        return self.read(LISTINGS[product], account_id=account["id"], **dates)

    def with_product(self, product: str) -> list[Json]:
        return [a for a in self.read(ACCOUNTS) if has(a, product)]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(rows=92, live=True) as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    reader = Client(sandbox)
    yield reader
    reader._session.close()  # noqa: SLF001 - its own


@pytest.fixture
def life(sandbox: Sandbox) -> Life:
    return sandbox.life


def status(account: Json, product: str) -> str:
    value: str = account["data"][product]["status"]
    return value


def has(account: Json, product: str) -> bool:
    return status(account, product) not in {"NOT_SUPPORTED", "NOT_SYNCED"}


def time_of(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def find(records: list[Json], record_id: str) -> Json:
    return next(record for record in records if record["id"] == record_id)


def listed_times(records: list[Json], field: str) -> list[str]:
    return [record.get(field) or "" for record in records]


# The experience API


@pytest.mark.parametrize("resource", ["launchpads", "flows", "checklists", "tags", "segments"])
def test_the_experience_api_answers_with_a_bare_list(client: Client, resource: str) -> None:
    found = client.experience(resource)
    assert isinstance(found, list)
    assert len(found) == 92


def test_timestamps_of_the_experience_api_differ_by_resource(client: Client) -> None:
    for resource in ("launchpads", "banners", "pins", "checklists"):
        assert {type(r["updated_at"]) for r in client.experience(resource)} == {int}
        assert all(10**12 < r["updated_at"] < 10**13 for r in client.experience(resource))
    assert {type(r["updated_at"]) for r in client.experience("flows")} == {int, str}
    for resource in ("tags", "segments"):
        assert all(r["updated_at"].endswith("Z") for r in client.experience(resource))


def test_checklists_tell_whether_changes_are_unpublished(client: Client) -> None:
    found = client.experience("checklists")
    assert {r["published_and_dirty"] for r in found} == {False, True}


@pytest.mark.parametrize("live", [False, True])
def test_errors_of_the_experience_api_have_status_title_and_detail(*, live: bool) -> None:
    with Sandbox(live=live) as sandbox:
        response = Client(sandbox).get("/v2/accounts/1/tags")
        assert response.status_code == 404
        error = response.json()
        assert error.keys() == {"error", "status", "title", "detail"}
        assert (error["status"], error["title"]) == (404, "Not Found")
        assert "/v2/accounts/1/tags" in error["detail"]


# The order of listings


def test_accounts_are_listed_by_their_change_latest_first(client: Client) -> None:
    times = listed_times(client.read(ACCOUNTS), "updated_at")
    assert len(times) == 92
    assert times == sorted(times, reverse=True)


def test_content_is_listed_by_its_publishing_latest_first(client: Client) -> None:
    longest = max(
        (client.owned("engagement", account) for account in client.with_product("engagement")),
        key=len,
    )
    times = listed_times(longest, "published_at")
    assert len(times) > 5
    assert times == sorted(times, reverse=True)


def test_without_live_the_order_is_as_it_always_was(sandbox: Sandbox) -> None:
    with Sandbox(rows=92) as still:
        found = Client(still).read(ACCOUNTS)
    assert [r["id"] for r in found] != [r["id"] for r in sandbox.data["accounts"]]
    times = listed_times(found, "updated_at")
    assert times != sorted(times, reverse=True)


def test_what_a_test_changes_is_listed_in_its_place(sandbox: Sandbox, client: Client) -> None:
    last = sandbox.data["accounts"][-1]
    last["updated_at"] = "2099-01-01T00:00:00"
    assert client.page(ACCOUNTS)[0]["id"] == last["id"]


# Accounts and their products


def test_disconnected_accounts_stay_listed_25_of_46(client: Client) -> None:
    counts = Counter(account["status"] for account in client.read(ACCOUNTS))
    assert counts.keys() == {"CONNECTED", "NOT_CONNECTED", "SESSION_EXPIRED"}
    assert counts["CONNECTED"] == 2 * (46 - 25)


def test_only_disconnected_accounts_tell_what_disconnected_them(client: Client) -> None:
    for account in client.read(ACCOUNTS):
        is_connected = account["status"] == "CONNECTED"
        assert (account["data"]["disconnection_source"] is None) == is_connected


def test_an_account_tells_of_each_product_how_far_it_is_synced(client: Client) -> None:
    seen = set()
    for account in client.read(ACCOUNTS):
        for product in PRODUCTS:
            entry = account["data"][product]
            assert entry.keys() == {
                *("status", "last_sync_at", "refresh_since", "monitor_type"),
                *("data_available_from", "audience"),
            }
            assert entry["audience"].keys() == {"status", "last_sync_at"}
            assert (entry["last_sync_at"] is not None) == has(account, product)
            seen.add(entry["status"])
    assert seen == {"SYNCED", "IN_PROGRESS", "NOT_SUPPORTED", "NOT_SYNCED", "PARTIAL_SYNCED"}


def test_connected_accounts_are_synced_daily_and_the_others_stay(
    sandbox: Sandbox, client: Client
) -> None:
    before = {account["id"]: account for account in client.read(ACCOUNTS)}
    content = {a["id"]: client.owned("engagement", a) for a in client.with_product("engagement")}
    sandbox.advance()
    yesterday = sandbox.life.clock.now() - timedelta(days=1, minutes=1)
    seen = set()
    for account in client.with_product("engagement"):
        old = before.get(account["id"])
        is_connected = account["status"] == "CONNECTED"
        if is_connected:
            assert time_of(account["data"]["engagement"]["last_sync_at"]) >= yesterday
        elif old and old["status"] != "CONNECTED":
            assert account["data"] == old["data"]
            assert client.owned("engagement", account) == content[account["id"]]
        seen.add(is_connected)
    assert seen == {False, True}


def test_a_sync_does_not_move_the_account(client: Client, life: Life) -> None:
    account = client.with_product("engagement")[-1]
    place = [a["id"] for a in client.read(ACCOUNTS)].index(account["id"])
    life.syncs.begin(account["id"], "engagement")
    assert status(find(client.read(ACCOUNTS), account["id"]), "engagement") == "IN_PROGRESS"
    life.syncs.finish(account["id"], "engagement")
    synced = client.read(ACCOUNTS)[place]
    assert synced["id"] == account["id"]
    assert status(synced, "engagement") == "SYNCED"
    assert synced["updated_at"] == account["updated_at"]
    # Nothing has changed, and yet it moves.
    assert (
        synced["data"]["engagement"]["last_sync_at"]
        > (account["data"]["engagement"]["last_sync_at"])
    )
    assert synced["data"]["income"] == account["data"]["income"]


def test_no_record_changed_after_the_last_sync_of_its_product(client: Client) -> None:
    hold_the_invariant(client)


def hold_the_invariant(client: Client) -> int:
    accounts = client.read(ACCOUNTS)
    profiles = client.read(PROFILES)
    checked = 0
    for account in accounts:
        records = {
            "identity": [p for p in profiles if p["account"]["id"] == account["id"]],
            **{p: client.owned(p, account) for p in LISTINGS if has(account, p)},
        }
        for product, found in records.items():
            last = account["data"][product]["last_sync_at"]
            for record in found:
                assert time_of(record["updated_at"]) <= time_of(last)
                checked += 1
    assert checked > len(accounts)
    return checked


@pytest.mark.parametrize("product", LISTINGS)
@pytest.mark.parametrize("kind", ["NOT_SUPPORTED", "NOT_SYNCED"])
def test_a_product_that_an_account_lacks_is_refused(
    client: Client, product: str, kind: str
) -> None:
    account = next(a for a in client.read(ACCOUNTS) if status(a, product) == kind)
    response = client.get(LISTINGS[product], account_id=account["id"], **EVER)
    assert 400 <= response.status_code < 500
    error = response.json()["error"]
    assert error.keys() == {"type", "error_code", "message", "request_id", "http_status_code"}
    assert error["http_status_code"] == response.status_code
    assert account["id"] in error["message"]


FURTHER = {
    "/v1/social/content-groups": "engagement",
    "/v1/publications/contents": "engagement",
    "/v1/media/activity/contents": "activity",
    "/v1/media/activity/artists": "activity",
    "/v1/social/income/payouts": "income",
    "/v1/commerce/income/transactions": "income",
    "/v1/commerce/income/payouts": "income",
    "/v1/commerce/income/balances": "income",
}
ANY_TIME = {
    f"{what}_{end}_date": day
    for what in ("transaction", "payout", "balance")
    for end, day in (("from", "1970-01-01"), ("to", "2099-12-31"))
}


@pytest.mark.parametrize(("path", "product"), FURTHER.items())
def test_a_further_listing_is_there_where_the_account_has_the_product(
    client: Client, path: str, product: str
) -> None:
    seen = Counter[str]()
    for account in client.read(ACCOUNTS):
        response = client.get(path, account_id=account["id"], **ANY_TIME)
        if has(account, product):
            assert response.status_code == 200
            for record in response.json()["data"] or []:
                seen["records"] += 1
                assert record["account"]["id"] == account["id"]
                last = account["data"][product]["last_sync_at"]
                assert time_of(record["updated_at"]) <= time_of(last)
        else:
            seen[status(account, product)] += 1
            assert response.status_code in {400, 404}
            assert account["id"] in response.json()["error"]["message"]
    assert seen["records"] > 10
    assert seen["NOT_SUPPORTED"]


def test_an_audience_is_there_where_the_account_has_one(client: Client, life: Life) -> None:
    life.connections.connect()
    seen = Counter[str]()
    for account in client.read(ACCOUNTS):
        audience = account["data"]["identity"]["audience"]
        response = client.get("/v1/audience", account_id=account["id"])
        seen[audience["status"]] += 1
        if audience["status"] == "SYNCED":
            assert response.json()["account"]["id"] == account["id"]
            assert time_of(response.json()["updated_at"]) <= time_of(audience["last_sync_at"])
        else:
            assert response.json()["error"]["error_code"] == "PRODUCT_NOT_SUPPORTED"
            assert audience["last_sync_at"] is None
    assert seen.keys() == {"SYNCED", "NOT_SUPPORTED"}
    assert seen["NOT_SUPPORTED"] > 5


def test_churn_changes_the_further_listings_with_their_syncs() -> None:
    with Sandbox(rows=25, live=True, churn=1.0) as sandbox:
        client = Client(sandbox)
        resources = ("content_groups", "commerce_income_balances", "audience")
        before = {resource: sandbox.data[resource] for resource in resources}
        for _ in range(500):
            client.page("/v1/users")
        changed = {resource for resource in resources if sandbox.data[resource] != before[resource]}
        assert {"content_groups", "commerce_income_balances"} <= changed
        accounts = {account["id"]: account for account in sandbox.data["accounts"]}
        for resource, product in (("content_groups", "engagement"), ("audience", "identity")):
            for record in sandbox.data[resource]:
                last = accounts[record["account"]["id"]]["data"][product]["last_sync_at"]
                assert time_of(record["updated_at"]) <= time_of(last)


def test_a_missing_parameter_is_refused_as_missing_fields(client: Client) -> None:
    account = client.with_product("income")[0]["id"]
    given = {"account_id": account, **EVER}
    assert client.get(INCOME, **given).status_code == 200
    for name in given:
        rest = {key: value for key, value in given.items() if key != name}
        response = client.get(INCOME, **rest)
        assert response.status_code == 400
        assert response.json()["error"]["error_code"] == "MISSING_FIELDS"
        assert name in response.json()["error"]["message"]
    assert client.get(CONTENT, from_date="2025-01-01").status_code == 400
    assert client.get(CONTENT, account_id=account).status_code == 200


def test_the_dates_are_those_of_transactions(client: Client) -> None:
    found = max((client.owned("income", a) for a in client.with_product("income")), key=len)
    days = sorted(r["transaction_at"][:10] for r in found)
    first, last = days[1], days[-2]
    account_id = found[0]["account"]["id"]
    some = client.read(
        INCOME, account_id=account_id, transaction_from_date=first, transaction_to_date=last
    )
    assert sorted(r["transaction_at"][:10] for r in some) == [d for d in days if first <= d <= last]
    assert len(some) < len(found)


def test_the_optional_dates_are_those_of_publishing(client: Client) -> None:
    found = max((client.owned("engagement", a) for a in client.with_product("engagement")), key=len)
    days = sorted(day[:10] for day in listed_times(found, "published_at") if day)
    first, last = days[1], days[-2]
    account_id = found[0]["account"]["id"]
    some = client.read(CONTENT, account_id=account_id, from_date=first, to_date=last)
    assert sorted(r["published_at"][:10] for r in some) == [d for d in days if first <= d <= last]


def test_a_page_echoes_the_parameters_and_tells_no_total(client: Client) -> None:
    account = client.with_product("engagement")[0]["id"]
    params: dict[str, str | int] = {"from_date": "2025-01-01", "to_date": "2026-01-01"}
    answer = client.get(CONTENT, account_id=account, limit=3, offset=1, **params).json()
    assert answer.keys() == {"data", "metadata"}
    assert answer["metadata"] == {"limit": 3, "offset": 1, **params}
    assert len(client.page(ACCOUNTS)) == 10


def test_there_is_no_sorting_no_selection_no_filter_by_change_and_no_etag(client: Client) -> None:
    plain = client.get(ACCOUNTS)
    wanted = {"sort": "id", "fields": "id", "updated_at": "2099-01-01"}
    assert client.get(ACCOUNTS, **wanted).json() == plain.json()
    assert "ETag" not in plain.headers


def test_timestamps_of_the_creator_api_have_no_zone(client: Client) -> None:
    found = client.read(ACCOUNTS) + client.read(PROFILES)
    texts = {r[field] for r in found for field in ("created_at", "updated_at") if r.get(field)}
    texts |= {a["data"]["engagement"]["last_sync_at"] for a in client.with_product("engagement")}
    assert all(LOCAL_TIME.fullmatch(text) for text in texts)
    assert {"." in text for text in texts} == {False, True}


@pytest.mark.parametrize("live", [False, True])
def test_every_answer_has_a_date(*, live: bool) -> None:
    with Sandbox(live=live) as sandbox:
        client = Client(sandbox)
        answers = [client.get(path) for path in (ACCOUNTS, "/v1/nothing", "/v2/nothing")]
        for answer in answers:
            assert parsedate_to_datetime(answer.headers["Date"]).tzinfo is not None
        if live:
            now = sandbox.life.clock.now()
            sandbox.skew = timedelta(seconds=50)
            ahead = parsedate_to_datetime(client.get(ACCOUNTS).headers["Date"])
            assert ahead - now == timedelta(seconds=51)
            assert client.page(ACCOUNTS)[0]["updated_at"] < now.replace(tzinfo=None).isoformat()


def test_addresses_of_files_change_without_anything_else(client: Client, life: Life) -> None:
    account = max(client.with_product("engagement"), key=lambda a: len(client.owned(*of(a))))
    before = client.owned(*of(account))
    life.clock.wait(timedelta(hours=5))
    life.syncs.finish(account["id"], "engagement")
    after = client.owned(*of(account))
    signed = {"thumbnail_url", "media_url"}
    assert before != after
    for old, new in zip(before, after, strict=True):
        assert {key for key in old if old[key] != new[key]} <= signed
        assert all(old[key] != new[key] for key in signed if old.get(key))


def of(account: Json) -> tuple[str, Json]:
    return "engagement", account


def test_content_older_than_90_days_is_not_refreshed() -> None:
    with Sandbox(rows=60, live=True, churn=0.5) as sandbox:
        client = Client(sandbox)
        old = {
            item["id"]: item["updated_at"]
            for item in sandbox.data["content_items"]
            if "" < (item.get("published_at") or "") < "2025-10-01"
        }
        assert len(old) > 20
        for _ in range(300):
            client.page("/v1/users")
        sandbox.advance(3)
        now = {item["id"]: item["updated_at"] for item in sandbox.data["content_items"]}
        assert {key: now[key] for key in old if key in now} == {
            key: value for key, value in old.items() if key in now
        }


# What happens while the service is read


def test_a_touched_account_jumps_to_the_front_and_is_missed(client: Client, life: Life) -> None:
    everyone = {account["id"] for account in client.read(ACCOUNTS)}
    first = client.page(ACCOUNTS, limit=50)
    late = client.page(ACCOUNTS, limit=50, offset=50)[7]
    life.connections.touch(late["id"])
    second = client.page(ACCOUNTS, limit=50, offset=50)
    assert second[0]["id"] == first[-1]["id"]
    met = {account["id"] for account in first + second}
    assert met == everyone - {late["id"]}
    front = client.page(ACCOUNTS, limit=1)[0]
    assert front["id"] == late["id"]
    assert front["updated_at"] > first[0]["updated_at"]
    assert front["data"] == late["data"]


def test_a_deleted_record_shifts_the_rest_of_the_pages(client: Client, life: Life) -> None:
    account = max(client.with_product("engagement"), key=lambda a: len(client.owned(*of(a))))
    items = client.owned(*of(account))
    first = client.page(CONTENT, account_id=account["id"], limit=3)
    life.syncs.delete("content_items", first[1]["id"])
    second = client.page(CONTENT, account_id=account["id"], limit=3, offset=3)
    assert [item["id"] for item in second] == [item["id"] for item in items[4:7]]
    assert items[3]["id"] not in {item["id"] for item in first + second}


def test_a_new_account_has_a_profile_and_its_content_comes_later(
    client: Client, life: Life
) -> None:
    account_id = life.connections.connect()
    account = client.page(ACCOUNTS, limit=1)[0]
    assert (account["id"], account["status"]) == (account_id, "CONNECTED")
    assert account_id in {profile["account"]["id"] for profile in client.read(PROFILES)}
    assert account["user"]["id"] in {user["id"] for user in client.read("/v1/users")}
    assert status(account, "engagement") == "IN_PROGRESS"
    assert account["data"]["engagement"]["last_sync_at"] is None
    assert client.owned("engagement", account) == []
    item = life.syncs.add("content_items", account_id, age=timedelta(days=200))
    (added,) = client.owned("engagement", account)
    assert added["id"] == item
    assert time_of(added["updated_at"]) < life.clock.now() - timedelta(days=199)
    life.syncs.finish(account_id, "engagement")
    assert status(client.page(ACCOUNTS, limit=1)[0], "engagement") == "SYNCED"


def test_accounts_are_disconnected_and_connected_again(client: Client, life: Life) -> None:
    account = next(a for a in client.read(ACCOUNTS) if status(a, "engagement") == "IN_PROGRESS")
    life.connections.disconnect(account["id"], "SESSION_EXPIRED")
    gone = client.page(ACCOUNTS, limit=1)[0]
    assert (gone["id"], gone["status"]) == (account["id"], "SESSION_EXPIRED")
    assert status(gone, "engagement") == "PARTIAL_SYNCED"
    assert client.owned("engagement", gone) == client.owned("engagement", account)
    life.connections.reconnect(account["id"])
    assert client.page(ACCOUNTS, limit=1)[0]["status"] == "CONNECTED"


def test_changed_and_added_records_are_served_at_once(client: Client, life: Life) -> None:
    account = max(client.with_product("income"), key=lambda a: len(client.owned("income", a)))
    first = client.owned("income", account)[0]
    life.syncs.change("social_income_transactions", first["id"])
    added = life.syncs.add("social_income_transactions", account["id"])
    found = client.owned("income", account)
    assert find(found, first["id"])["amount"] != first["amount"]
    assert find(found, first["id"])["updated_at"] > first["updated_at"]
    assert find(found, added)["account"]["id"] == account["id"]
    assert find(found, added)["user"] == account["user"]


def test_what_is_not_there_cannot_change(life: Life, client: Client) -> None:
    with pytest.raises(LookupError, match="no record nobody in accounts"):
        life.connections.touch("nobody")
    with pytest.raises(LookupError, match="nobody is none of the sandbox's own accounts"):
        life.syncs.add("content_items", "nobody")
    account = next(a for a in client.read(ACCOUNTS) if status(a, "income") == "NOT_SUPPORTED")
    with pytest.raises(ValueError, match="does not support income"):
        life.syncs.begin(account["id"], "income")


@pytest.mark.slow
def test_the_invariant_holds_after_much_churn() -> None:
    with Sandbox(rows=25, live=True, churn=1.0, seed=3) as sandbox:
        client = Client(sandbox)
        seen: set[str] = set()
        for _ in range(4):
            sandbox.life.churn = 1.0
            for _ in range(40):
                for account in client.page(ACCOUNTS, limit=100):
                    seen.add(status(account, "engagement"))
            sandbox.life.churn = 0.0
            assert hold_the_invariant(client) > 60
            sandbox.advance()
            assert hold_the_invariant(client) > 60
        assert {"SYNCED", "IN_PROGRESS"} <= seen


def test_churn_does_everything_that_a_living_service_does() -> None:
    events: Counter[str] = Counter()
    with Sandbox(rows=46, live=True, churn=1.0) as sandbox:
        client = Client(sandbox)
        before, items = snapshot(sandbox)
        for _ in range(400):
            moment = sandbox.life.clock.now().replace(tzinfo=None).isoformat()
            front = client.page(ACCOUNTS, limit=1)[0]["id"]
            after, later = snapshot(sandbox)
            for key, account in after.items():
                old = before.get(key)
                if old is None:
                    events["connected"] += 1
                elif account["status"] != old["status"]:
                    events[f"to {account['status']}"] += 1
                elif account["updated_at"] != old["updated_at"]:
                    events["touched"] += 1
                if old is None or account["updated_at"] != old["updated_at"]:
                    assert front == key
                if old and account["data"] != old["data"]:
                    events[f"sync {status(account, 'engagement')}"] += 1
            events["deleted"] += len(items.keys() - later.keys())
            for key in later.keys() - items.keys():
                events["late" if later[key] < moment else "new"] += 1
            events["changed"] += sum(items[k] != later[k] for k in items.keys() & later.keys())
            before, items = after, later
    assert events.keys() >= {
        *("connected", "touched", "to CONNECTED", "to NOT_CONNECTED", "to SESSION_EXPIRED"),
        *("sync IN_PROGRESS", "sync SYNCED", "deleted", "late", "changed"),
    }
    assert all(events[name] for name in ("deleted", "late", "changed"))


def snapshot(sandbox: Sandbox) -> tuple[dict[str, Json], dict[str, str]]:
    items = (*sandbox.data["content_items"], *sandbox.data["social_income_transactions"])
    return (
        {account["id"]: account for account in sandbox.data["accounts"]},
        {item["id"]: item["updated_at"] for item in items},
    )


def test_a_late_record_is_not_older_than_the_sync_that_adds_it() -> None:
    """Unless its account had none: no other account may show what is older than its bookmark."""
    with Sandbox(rows=25, live=True, churn=1.0, seed=5) as sandbox:
        client = Client(sandbox)
        at_rest: dict[str, str] = {}
        _, items = snapshot(sandbox)
        checked = 0
        for _ in range(500):
            now = sandbox.life.clock.now().replace(tzinfo=None).isoformat()
            owned = {a["id"] for a in sandbox.data["accounts"]}
            full = {i["account"]["id"] for i in sandbox.data["content_items"]} & owned
            for account in sandbox.data["accounts"]:
                if status(account, "engagement") == "SYNCED" and account["id"] in full:
                    at_rest[account["id"]] = now
            client.page("/v1/users")
            for item in sandbox.data["content_items"]:
                rest = at_rest.get(item["account"]["id"])
                if item["id"] not in items and rest:
                    assert item["updated_at"] >= rest
                    checked += 1
            _, items = snapshot(sandbox)
        assert checked > 10


def test_data_tells_what_is_served_now() -> None:
    with Sandbox(rows=25, live=True, churn=1.0) as sandbox:
        client = Client(sandbox)
        for _ in range(60):
            client.page("/v1/users")
        before = sandbox.data["accounts"]
        copy = [dict(account) for account in before]
        client.page("/v1/users")
        sandbox.life.churn = 0.0
        assert before == copy
        assert client.read(ACCOUNTS) == sandbox.data["accounts"]
        assert client.read(PROFILES) == sandbox.data["profiles"]
        for account in client.with_product("engagement"):
            assert [item["id"] for item in client.owned(*of(account))] == [
                item["id"]
                for item in sandbox.data["content_items"]
                if item["account"]["id"] == account["id"]
            ]


def test_days_keep_what_has_happened(sandbox: Sandbox, client: Client, life: Life) -> None:
    account = next(a for a in client.with_product("engagement") if a["status"] == "CONNECTED")
    item = life.syncs.add("content_items", account["id"])
    gone = next(i["id"] for i in sandbox.data["content_items"] if i["id"] != item)
    life.syncs.delete("content_items", gone)
    new = life.connections.connect()
    sandbox.advance()
    assert sandbox.life.clock.now() == datetime(2026, 1, 7, tzinfo=UTC)
    items = {record["id"] for record in sandbox.data["content_items"]}
    assert item in items
    assert gone not in items
    assert status(find(client.read(ACCOUNTS), new), "engagement") == "SYNCED"
    assert len(sandbox.data["users"]) == 92 + 1 + 2


def test_without_churn_the_service_is_still() -> None:
    with Sandbox(rows=25, live=True) as sandbox:
        client = Client(sandbox)
        first = client.read(ACCOUNTS), client.experience("tags"), client.read(PROFILES)
        for _ in range(50):
            client.page("/v1/users")
        assert (client.read(ACCOUNTS), client.experience("tags"), client.read(PROFILES)) == first
    with Sandbox(rows=25, live=True) as again:
        assert Client(again).read(ACCOUNTS) == first[0]


def answers(seed: int) -> list[bytes]:
    with Sandbox(rows=25, live=True, churn=0.5, seed=seed) as sandbox:
        client = Client(sandbox)
        return [client.get(ACCOUNTS, limit=100).content for _ in range(60)]


def test_the_same_seed_and_requests_bring_the_same_life() -> None:
    first = answers(seed=1)
    assert len(set(first)) > 10
    assert answers(seed=1) == first
    assert answers(seed=2) != first


def test_the_share_of_requests_with_events_is_the_rate() -> None:
    with Sandbox(rows=25, live=True, churn=0.2) as sandbox:
        client = Client(sandbox)
        seen = [client.get(ACCOUNTS, limit=100).content for _ in range(200)]
    changes = sum(before != after for before, after in pairwise(seen))
    assert 20 <= changes <= 55


def test_a_page_is_cut_from_one_moment() -> None:
    with Sandbox(rows=60, live=True, churn=1.0) as sandbox:
        clients = [Client(sandbox) for _ in range(6)]

        def read(client: Client) -> list[list[Json]]:
            return [client.page(ACCOUNTS, limit=100) for _ in range(40)]

        with ThreadPoolExecutor(6) as pool:
            pages = [page for some in pool.map(read, clients) for page in some]
        for page in pages:
            assert len({account["id"] for account in page}) == len(page) >= 60
            times = listed_times(page, "updated_at")
            assert times == sorted(times, reverse=True)


def test_churn_needs_a_live_sandbox(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--churn", "0.5"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith("error: --churn needs --live")
    with pytest.raises(ValueError, match="must be live"):
        Sandbox(churn=0.5)
    with pytest.raises(RuntimeError, match="not live"):
        _ = Sandbox().life


Told = dict[tuple[str, str], tuple[object, object]]


def told(accounts: list[Json]) -> Told:
    """Find what accounts tell of the syncs that are over, by account and product."""
    return {
        (account["id"], product): (entry["status"], entry["last_sync_at"])
        for account in accounts
        for product, entry in account["data"].items()
        if product in LISTINGS and entry["status"] == "SYNCED"
    }


def versions(sandbox: Sandbox) -> dict[tuple[str, str], set[tuple[str, str]]]:
    """Find what is listed, by account and product."""
    found: dict[tuple[str, str], set[tuple[str, str]]] = {}
    resources = {"engagement": "content_items", "income": "social_income_transactions"}
    for product, resource in resources.items():
        for record in sandbox.data[resource]:
            key = (record["account"]["id"], product)
            found.setdefault(key, set()).add((record["id"], record.get("updated_at") or ""))
    return found


def test_what_an_account_has_changes_only_with_what_it_tells_of_its_syncs() -> None:
    with Sandbox(rows=92, live=True, churn=0.5) as sandbox:
        client = Client(sandbox)
        seen = {"changed": 0, "stayed": 0}
        for number in range(12):
            before = told(sandbox.data["accounts"]), versions(sandbox)
            if number % 4 == 3:
                sandbox.advance()
            for _ in range(40):
                client.page("/v1/users")
            after = told(sandbox.data["accounts"]), versions(sandbox)
            for key, value in before[0].items():
                is_same = before[1].get(key) == after[1].get(key)
                if after[0].get(key) == value:
                    seen["stayed"] += 1
                    assert is_same, key
                seen["changed"] += not is_same
        assert min(seen.values()) > 20, seen
