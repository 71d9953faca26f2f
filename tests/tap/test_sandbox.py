from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from sandboxes import EXPERIENCE_STREAMS, FURTHER_EXPERIENCE_STREAMS, STREAMS

from tap_analytics.sandbox import Reply, Request, Sandbox
from tap_analytics.sandbox.__main__ import main
from tap_analytics.sandbox.data import BUILDERS, records
from tap_analytics.sandbox.exchange import encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SCRIPT = str(Path(sys.executable).with_name("tap-analytics-sandbox"))
EXPERIENCE = (*EXPERIENCE_STREAMS, *FURTHER_EXPERIENCE_STREAMS)
PATHS = {
    "work_platforms": "/v1/work-platforms",
    "users": "/v1/users",
    "accounts": "/v1/accounts",
    "profiles": "/v1/profiles",
    "content_items": "/v1/social/contents",
    "social_income_transactions": "/v1/social/income/transactions",
}
OWNED = ("content_items", "social_income_transactions")
EVER = {"transaction_from_date": "1970-01-01", "transaction_to_date": "2026-11-22"}
FURTHER = {
    "content_groups": ("/v1/social/content-groups", ""),
    "audience": ("/v1/audience", ""),
    "publication_contents": ("/v1/publications/contents", ""),
    "activity_contents": ("/v1/media/activity/contents", ""),
    "activity_artists": ("/v1/media/activity/artists", ""),
    "social_income_payouts": ("/v1/social/income/payouts", "payout"),
    "commerce_income_transactions": ("/v1/commerce/income/transactions", "transaction"),
    "commerce_income_payouts": ("/v1/commerce/income/payouts", "payout"),
    "commerce_income_balances": ("/v1/commerce/income/balances", "balance"),
}

each_resource = pytest.mark.parametrize("resource", BUILDERS)


def ask(
    sandbox: Sandbox,
    resource: str,
    params: Mapping[str, str | int] | None = None,
    *,
    method: str = "GET",
    session: requests.Session | None = None,
) -> requests.Response:
    """Send a request with the right credentials; what starts with a slash is a path."""
    settings = sandbox.settings
    path = PATHS.get(resource, f"/v2/accounts/{settings['account_id']}/{resource}")
    path = resource if resource.startswith("/") else path
    names = ("username", "password") if path.startswith("/v2") else ("client_id", "client_secret")
    auth = (settings[names[0]], settings[names[1]])
    with session or requests.Session() as client:
        return client.request(method, sandbox.url + path, params=params, auth=auth, timeout=5)


def read_all(sandbox: Sandbox, resource: str, **params: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while page := ask(sandbox, resource, params | {"offset": len(found)}).json()["data"]:
        found += page
    return found


def served(records: object) -> Any:  # noqa: ANN401 - JSON
    return json.loads(encode(records))


# What it answers


@pytest.mark.parametrize("resource", EXPERIENCE)
def test_the_experience_api_lists_all_at_once(sandbox: Sandbox, resource: str) -> None:
    assert ask(sandbox, resource).json() == {"data": served(sandbox.data[resource])}


@pytest.mark.parametrize("resource", PATHS)
def test_the_creator_api_pages(sandbox: Sandbox, resource: str) -> None:
    page = ask(sandbox, resource, {"limit": 7, "offset": 20}).json()
    assert page["data"] == served(sandbox.data[resource][20:27])
    assert page["metadata"] == {"offset": 20, "limit": 7, "from_date": None, "to_date": None}
    assert page == served(sandbox.page(resource, 7, 20))
    assert read_all(sandbox, resource) == served(sandbox.data[resource])
    assert len(ask(sandbox, resource).json()["data"]) == 10


def test_past_the_end_there_is_an_empty_list_or_null(sandbox: Sandbox) -> None:
    ends = {resource: ask(sandbox, resource, {"offset": 25}).json()["data"] for resource in PATHS}
    assert ends["users"] == []
    assert ends["accounts"] is None


@pytest.mark.parametrize("params", [{"limit": 0}, {"limit": 101}, {"limit": "x"}, {"offset": -1}])
def test_a_page_that_cannot_be_is_refused(sandbox: Sandbox, params: dict[str, int | str]) -> None:
    response = ask(sandbox, "users", params)
    assert response.status_code == 400
    assert next(iter(params)) in response.json()["error"]["message"]


@pytest.mark.parametrize("auth", [None, ("sandbox-client-id", "wrong"), ("", "")])
def test_wrong_credentials_are_refused(sandbox: Sandbox, auth: tuple[str, str] | None) -> None:
    experience, creator = (
        requests.get(sandbox.url + path, auth=auth, timeout=5)
        for path in (f"/v2/accounts/{sandbox.settings['account_id']}/tags", "/v1/users")
    )
    assert experience.status_code == creator.status_code == 401
    assert experience.json()["error"] == "Unauthorized"
    error = creator.json()["error"]
    assert error.keys() == {"type", "error_code", "message", "request_id", "http_status_code"}
    assert error["http_status_code"] == 401


@pytest.mark.parametrize(
    "path", ["/v1/nothing", "/v2/accounts/1/tags", "/v2/accounts/64213/nothing", "/v2/", "/"]
)
def test_unknown_paths_are_not_found(sandbox: Sandbox, path: str) -> None:
    assert ask(sandbox, path).status_code == 404


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_only_reading_is_allowed(sandbox: Sandbox, method: str) -> None:
    assert ask(sandbox, "users", method=method).status_code == 405


@pytest.mark.parametrize("resource", OWNED)
def test_content_can_be_listed_by_account(sandbox: Sandbox, resource: str) -> None:
    accounts = [account["id"] for account in sandbox.data["accounts"]]
    found = {account: read_all(sandbox, resource, account_id=account) for account in accounts}
    assert len({len(listed) for listed in found.values()}) > 2
    assert not all(found.values())
    ids = [record["id"] for listed in found.values() for record in listed]
    assert sorted(ids) == sorted(record["id"] for record in sandbox.data[resource])
    assert ask(sandbox, resource, {"account_id": "nobody"}).status_code == 404


def dates_of(resource: str) -> dict[str, str]:
    period = FURTHER[resource][1]
    dates = {f"{period}_from_date": "1970-01-01", f"{period}_to_date": "2026-11-22"}
    return dates if period else {}


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("resource", FURTHER)
def test_a_further_listing_takes_an_account_and_a_period(resource: str, *, live: bool) -> None:
    path, _ = FURTHER[resource]
    with Sandbox(live=live) as sandbox:
        account = sandbox.data[resource][0]["account"]["id"]
        given: dict[str, str | int] = {}
        for name, value in {"account_id": account, **dates_of(resource)}.items():
            response = ask(sandbox, path, given)
            assert response.status_code == 400
            error = response.json()["error"]
            assert (error["error_code"], error["message"]) == (
                "MISSING_FIELDS",
                f"{name} is required.",
            )
            given[name] = value
        own = [r for r in sandbox.data[resource] if r["account"]["id"] == account]
        answer = ask(sandbox, path, given).json()
        if resource == "audience":
            assert answer == served(own[0])
        else:
            assert answer["data"] == served(own)[:10]
            assert answer["metadata"]["limit"] == 10


@pytest.mark.parametrize("resource", [name for name, (_, period) in FURTHER.items() if period])
def test_a_further_listing_can_be_limited_to_a_period(sandbox: Sandbox, resource: str) -> None:
    path, period = FURTHER[resource]
    record = sandbox.data[resource][0]
    day = f"{record[f'{period}_at']}"[:10]
    account = record["account"]["id"]
    names = (f"{period}_from_date", f"{period}_to_date")
    found = ask(sandbox, path, {"account_id": account, **dict.fromkeys(names, day)}).json()["data"]
    assert record["id"] in {r["id"] for r in found}
    assert all(r[f"{period}_at"][:10] == day for r in found)
    late = ask(sandbox, path, {"account_id": account, **dict.fromkeys(names, "2026-11-01")})
    assert not late.json()["data"]


def test_an_account_without_an_audience_has_an_empty_object(sandbox: Sandbox) -> None:
    account = sandbox.data["audience"][0]["account"]["id"]
    sandbox.data["audience"].clear()
    assert ask(sandbox, "/v1/audience", {"account_id": account}).json() == {}


def test_transactions_can_be_listed_by_date(sandbox: Sandbox) -> None:
    resource = "social_income_transactions"
    days = sorted(record["transaction_at"][:10] for record in sandbox.data[resource])
    start, end = days[5], days[15]
    params = {"transaction_from_date": start, "transaction_to_date": end}
    found = sorted(
        record["transaction_at"][:10] for record in read_all(sandbox, resource, **params)
    )
    assert found == [day for day in days if start <= day <= end]
    metadata = ask(sandbox, resource, params).json()["metadata"]
    assert (metadata["from_date"], metadata["to_date"]) == (start, end)
    assert len(read_all(sandbox, resource, **EVER)) == 25


@pytest.mark.parametrize("day", ["20260105", "2026-02-30", "yesterday", "2026-01-05T00:00:00Z"])
def test_a_date_that_is_none_is_refused(sandbox: Sandbox, day: str) -> None:
    response = ask(sandbox, "social_income_transactions", {"transaction_to_date": day})
    assert response.status_code == 400
    assert "transaction_to_date" in response.json()["error"]["message"]


def test_live_differs_as_the_live_services_do() -> None:
    with Sandbox(live=True) as sandbox:
        assert ask(sandbox, "tags").json() == served(sandbox.data["tags"])
        assert ask(sandbox, "users").status_code == 200
        account = sandbox.page("content_items")["data"][0]["account"]["id"]
        given: dict[str, str | int] = {}
        for name, value in {"account_id": account, **EVER}.items():
            response = ask(sandbox, "social_income_transactions", given)
            assert response.status_code == 400
            assert response.json()["error"]["message"] == f"{name} is required."
            given[name] = value
        assert ask(sandbox, "social_income_transactions", given).status_code == 200
        assert ask(sandbox, "content_items").status_code == 400
        assert ask(sandbox, "content_items", {"account_id": account}).json()["data"]
        assert sandbox.settings["content_by_account"] is True
        assert sandbox.environment["TAP_ANALYTICS_CONTENT_BY_ACCOUNT"] == "true"


def test_numbers_and_text_go_out_character_for_character(sandbox: Sandbox) -> None:
    amount = sandbox.data["social_income_transactions"][2]["amount"]
    assert Decimal(float(amount)) != amount
    assert f'"amount": {amount},' in ask(sandbox, "social_income_transactions").text
    content = ask(sandbox, "content_items").text
    assert '"view_count": 9007199254740993,' in content
    assert r'\ud83d"' in content


def test_what_is_changed_in_the_data_is_served(sandbox: Sandbox) -> None:
    sandbox.data["users"] = [{"id": "1"}]
    sandbox.data["tags"].clear()
    assert ask(sandbox, "users").json()["data"] == [{"id": "1"}]
    assert ask(sandbox, "tags").json() == {"data": []}
    with pytest.raises(KeyError):
        sandbox.data["nothing"]


def test_days_pass(sandbox: Sandbox) -> None:
    sandbox.advance()
    sandbox.advance(2)
    assert ask(sandbox, "tags").json()["data"] == served(records("tags", 25, day=3))


def test_requests_are_recorded(sandbox: Sandbox) -> None:
    started = time.monotonic()
    ask(sandbox, "users", {"limit": 5})
    ask(sandbox, "tags")
    first, second = sandbox.requests
    assert (first.method, first.path, first.query) == ("GET", "/v1/users", {"limit": "5"})
    assert first.headers["user-agent"] == first.headers["User-Agent"] != ""
    assert started <= first.time <= second.time <= time.monotonic()


# What can go wrong


def test_more_than_the_rate_limit_is_refused_per_api() -> None:
    with Sandbox(rate_limit=2) as sandbox:
        statuses = [ask(sandbox, "users").status_code for _ in range(2)]
        refused = ask(sandbox, "users")
        assert statuses == [200, 200]
        assert refused.status_code == 429
        assert refused.headers["Retry-After"] == "1"
        assert ask(sandbox, "tags").status_code == 200


def test_a_second_later_the_rate_limit_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    with Sandbox(rate_limit=1) as sandbox:
        monkeypatch.setattr("tap_analytics.sandbox.faults.time.monotonic", lambda: clock[0])
        assert [ask(sandbox, "users").status_code for _ in range(2)] == [200, 429]
        clock[0] += 1
        assert ask(sandbox, "users").status_code == 200


def outcome(sandbox: Sandbox) -> str:
    try:
        response = ask(sandbox, "users")
    except requests.exceptions.ChunkedEncodingError:
        return "cut"
    except requests.ConnectionError:
        return "drop"
    if response.status_code == 429:
        assert response.headers["Retry-After"] == "0"
    is_html = response.headers["Content-Type"] == "text/html"
    assert is_html == response.text.startswith("<")
    return f"{response.status_code} html" if is_html else str(response.status_code)


def test_requests_fail_in_all_ways_but_never_thrice_in_a_row() -> None:
    with Sandbox(fail_rate=0.6) as sandbox:
        outcomes = [outcome(sandbox) for _ in range(120)]
    assert set(outcomes) == {
        *("200", "200 html", "429", "500", "502 html", "503", "504", "cut", "drop")
    }
    assert all("200" in outcomes[i : i + 3] for i in range(len(outcomes) - 2))
    assert 0.3 < 1 - Counter(outcomes)["200"] / len(outcomes) < 0.67
    with Sandbox(fail_rate=0.6) as sandbox:
        assert [outcome(sandbox) for _ in range(20)] == outcomes[:20]


def test_at_a_fail_rate_of_1_every_request_fails() -> None:
    with Sandbox(fail_rate=1) as sandbox:
        assert not any(outcome(sandbox) == "200" for _ in range(60))


def test_an_interceptor_answers_first_or_leaves_it(sandbox: Sandbox) -> None:
    replies = {
        "json": Reply.json({"data": []}, status=503, headers={"Retry-After": "7"}),
        "text": Reply(body="<p>é</p>", headers={"Content-Type": "text/html"}),
        "bytes": Reply(body=b"\xff"),
        "value": Reply(status=201, body=[1, None]),
        "odd": Reply(status=599),
    }

    def intercept(request: Request) -> Reply | None:
        return replies.get(request.query.get("reply", ""))

    sandbox.intercept = intercept
    answers = {name: ask(sandbox, "users", {"reply": name}) for name in replies}
    assert answers["json"].status_code == 503
    assert answers["json"].headers["Retry-After"] == "7"
    assert answers["json"].headers["Content-Type"] == "application/json"
    assert answers["text"].content.decode() == "<p>é</p>"
    assert answers["bytes"].content == b"\xff"
    assert (answers["value"].status_code, answers["value"].json()) == (201, [1, None])
    assert (answers["odd"].status_code, answers["odd"].content) == (599, b"")
    assert ask(sandbox, "users").json() == served(sandbox.page("users"))


def test_a_connection_can_be_dropped_or_cut(sandbox: Sandbox) -> None:
    sandbox.intercept = lambda _: Reply(fault="drop")
    with pytest.raises(requests.ConnectionError, match="without response"):
        ask(sandbox, "users")
    sandbox.intercept = lambda _: Reply(body={"data": []}, fault="cut")
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        ask(sandbox, "users")


def test_answers_can_be_late() -> None:
    with Sandbox(latency=20, intercept=lambda _: Reply(delay=0.02)) as sandbox:
        started = time.monotonic()
        ask(sandbox, "users")
        assert time.monotonic() - started >= 0.04


def test_a_value_that_json_lacks_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="set"):
        encode({1})


# Running


def test_a_connection_is_kept_until_the_sandbox_stops() -> None:
    with Sandbox() as sandbox:
        port = int(sandbox.url.rsplit(":", 1)[1])
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        client.request("GET", "/v1/users")
        assert client.getresponse().read()
        kept = client.sock
        client.request("GET", "/v1/users")
        assert client.getresponse().read()
        assert client.sock is kept
    assert kept.recv(1) == b""
    client.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    with pytest.raises(RuntimeError, match="not running"):
        _ = sandbox.url
    sandbox.stop()


def test_settings_and_environment_say_the_same(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "example.com")
    monkeypatch.delenv("no_proxy", raising=False)
    environment = sandbox.environment
    for name, value in sandbox.settings.items():
        assert environment[f"TAP_ANALYTICS_{name.upper()}"] == value
    assert environment["NO_PROXY"] == "example.com,127.0.0.1"
    assert environment["no_proxy"] == "127.0.0.1"


# The data


def test_every_process_serves_the_same_bytes() -> None:
    code = (
        "import hashlib; from tap_analytics.sandbox.data import *; "
        "from tap_analytics.sandbox.exchange import encode; "
        "print(hashlib.sha256(encode([records(r, 30, 2) for r in BUILDERS])).hexdigest())"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    there = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=True, text=True
    ).stdout.strip()
    here = encode([records(resource, 30, 2) for resource in BUILDERS])
    assert hashlib.sha256(here).hexdigest() == there


@each_resource
@pytest.mark.parametrize("rows", [1, 4, 25])
def test_each_day_some_records_change_and_some_are_new(resource: str, rows: int) -> None:
    ever: set[str] = set()
    for day in range(1, 12):
        before, after = records(resource, rows, day - 1), records(resource, rows, day)
        assert 0 < len(after) - len(before) <= max(1, rows // 10)
        changed = [new for old, new in zip(before, after, strict=False) if new != old]
        assert 0 < len(changed) <= max(1, len(before) // 10 + 1)
        latest = max(served_at(record) for record in before)
        today = f"2026-01-{5 + day:02}"
        for new in (*changed, *after[len(before) :]):
            assert served_at(new)[:10] == today
            assert served_at(new) > latest
        for old, new in zip(before, after, strict=False):
            assert old["id"] == new["id"]
            if old != new:
                ever.add(old["id"])
                fields = {field for field in old if old[field] != new.get(field)}
                assert fields > {"updated_at"}
    assert ever >= {record["id"] for record in records(resource, rows)}


def served_at(record: dict[str, Any]) -> str:
    value = record["updated_at"]
    if isinstance(value, int):
        seconds, milliseconds = divmod(value, 1000)
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        return f"{text}.{milliseconds:03}"
    return str(value).removesuffix("Z")


@each_resource
def test_day_zero_is_in_the_past_and_ids_and_times_differ(resource: str) -> None:
    found = records(resource, 200)
    assert max(served_at(record) for record in found) < "2026-01-06"
    assert len({record["id"] for record in found}) == 200
    assert len({served_at(record) for record in found}) == 200
    assert records(resource, 0) == []
    assert len(records(resource, 0, day=2)) == 2


def test_the_oddities_are_there() -> None:
    found = {resource: records(resource, 20) for resource in BUILDERS}
    published = [record.get("published_at") for record in found["content_items"]]
    assert "" in published
    assert "0001-01-01T00:00:00Z" in published
    assert "" in [record.get("published_at") for record in found["launchpads"]]
    views = [
        (record.get("engagement") or {}).get("view_count") for record in found["content_items"]
    ]
    assert 2**53 + 1 in views
    for listed in found.values():
        assert all(record["updated_at"] for record in listed)
        fields = {field for record in listed for field in record}
        assert any(fields - record.keys() for record in listed)
        has_text = {"name", "title", "full_name", "artist_name"} & fields
        assert (r'\ud83d"' in encode(listed).decode()) == bool(has_text)


def test_what_is_referred_to_exists() -> None:
    found = {
        resource: {record["id"]: record for record in records(resource, 30, day=3)}
        for resource in BUILDERS
    }
    for resource in ("profiles", *OWNED, *FURTHER):
        for record in found[resource].values():
            account = found["accounts"][record["account"]["id"]]
            for field in ("user", "work_platform"):
                if record.get(field) and account.get(field):
                    assert record[field] == account[field]
    for account in found["accounts"].values():
        assert not account.get("user") or account["user"]["id"] in found["users"]
        platform = account.get("work_platform")
        assert not platform or platform["id"] in found["work_platforms"]
    for resource in ("launchpads", "flows"):
        tags = [tag for r in found[resource].values() for tag in r.get("tag_ids") or []]
        assert tags
        assert set(tags) <= found["tags"].keys()


# The command line


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPT, *arguments], capture_output=True, check=False, text=True, timeout=20
    )


def test_run_gives_a_command_the_settings_and_returns_its_exit_code() -> None:
    code = (
        "import os, sys, urllib.request as u; "
        "url = os.environ['TAP_ANALYTICS_CREATOR_API_URL'] + '/v1/users?limit=100'; "
        "login = u.HTTPPasswordMgrWithPriorAuth(); "
        "names = 'TAP_ANALYTICS_CLIENT_ID', 'TAP_ANALYTICS_CLIENT_SECRET'; "
        "login.add_password(None, url, *map(os.environ.get, names), is_authenticated=True); "
        "body = u.build_opener(u.HTTPBasicAuthHandler(login)).open(url).read(); "
        "sys.stdout.buffer.write(body); print(sys.argv, file=sys.stderr); sys.exit(7)"
    )
    result = run("run", "--rows", "3", "--day", "2", "--", sys.executable, "-c", code, "--", "-x")
    assert result.returncode == 7
    assert json.loads(result.stdout)["data"] == served(records("users", 3, day=2))
    assert "['-c', '--', '-x']" in result.stderr


@pytest.mark.parametrize(
    ("command", "status", "message"),
    [
        (["no-such-command"], 127, "tap-analytics-sandbox: command not found: no-such-command\n"),
        (["/"], 126, "tap-analytics-sandbox: / can't be run: Permission denied\n"),
        (["sh", "-c", "kill -KILL $$"], 137, ""),
        (["true"], 0, ""),
    ],
)
def test_run_says_how_the_command_has_ended(command: list[str], status: int, message: str) -> None:
    result = run("run", "--", *command)
    assert (result.returncode, result.stdout, result.stderr) == (status, "", message)


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [SCRIPT, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("handler", "status"), [("sys.exit(7)", 7), (None, None)])
def test_run_passes_signals_on(
    number: signal.Signals, handler: str | None, status: int | None
) -> None:
    action = f"lambda *_: {handler}" if handler else "signal.SIG_DFL"
    code = (
        f"import signal, sys; signal.signal({int(number)}, {action}); "
        "print('ready', flush=True); signal.pause()"
    )
    with started("run", "--", sys.executable, "-c", code) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.wait(timeout=10) == (status or 128 + number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_prints_a_configuration_and_stays_until_it_is_stopped(number: signal.Signals) -> None:
    with started("serve", "--live", "--rows", "2") as process:
        assert process.stdout
        assert process.stderr
        assert "listening on http://127.0.0.1:" in process.stderr.readline()
        lines = iter(process.stdout.readline, "}\n")
        settings = json.loads("".join(lines) + "}")
        assert settings["content_by_account"] is True
        response = requests.get(
            settings["creator_api_url"] + "/v1/users",
            auth=(settings["client_id"], settings["client_secret"]),
            timeout=5,
        )
        assert response.json()["data"] == served(records("users", 2))
        process.send_signal(number)
        assert process.wait(timeout=10) == 0


def test_serve_says_that_its_port_is_taken(sandbox: Sandbox) -> None:
    result = run("serve", "--port", sandbox.url.rsplit(":", 1)[1])
    assert result.returncode == 1
    assert result.stderr == "tap-analytics-sandbox: can't listen: Address already in use\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: action"),
        (["run"], "run needs a COMMAND after --"),
        (["run", "--"], "run needs a COMMAND after --"),
        (["run", "true"], "unrecognized arguments: true"),
        (["serve", "--", "true"], "serve takes no COMMAND"),
        (["run", "--rows", "-1", "--", "true"], "argument --rows: "),
        (["run", "--rate-limit", "0", "--", "true"], "argument --rate-limit: "),
        (["run", "--latency", "1.5", "--", "true"], "argument --latency: "),
        (["run", "--fail-rate", "1.1", "--", "true"], "argument --fail-rate: "),
        (["run", "--fail-rate", "nan", "--", "true"], "argument --fail-rate: "),
        (["run", "--fail-rate", "often", "--", "true"], "argument --fail-rate: "),
        (["serve", "--port", "65536"], "argument --port: "),
    ],
)
def test_wrong_options_are_usage_errors(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


# The demonstration


@pytest.mark.slow
def test_the_demo_loads_all_that_there_is_and_then_what_has_changed(tmp_path: Path) -> None:
    first, second = (run("demo", "--to", "demo") for _ in range(2))
    assert (first.returncode, first.stderr) == (second.returncode, second.stderr) == (0, "")
    for stream in STREAMS:
        offered, extracted, loaded, bookmark = columns(first.stdout, stream)
        assert offered == extracted == loaded == "200"
        assert bookmark < "2026-01-06"
        offered, extracted, loaded, bookmark = columns(second.stdout, stream)
        assert offered == loaded == "205"
        assert extracted in {"25", "26"}
        assert bookmark > "2026-01-06"
    assert "Day 1: only what has" in second.stdout
    assert (tmp_path / "demo" / "analytics.duckdb").exists()


def columns(output: str, stream: str) -> list[str]:
    return next(line.split()[1:] for line in output.splitlines() if line.startswith(f"{stream} "))


def test_the_demo_shows_the_end_of_the_log_if_the_tap_fails(tmp_path: Path) -> None:
    (tmp_path / "parquet").write_text("no folder")
    result = run("demo", "--to", str(tmp_path))
    assert result.returncode == 1
    assert "parquet/sync=0 can't be written to" in result.stderr
    assert f"all of its log is in {tmp_path / 'demo.log'}" in result.stderr
    assert not (tmp_path / "state.json").exists()


def test_the_demo_names_what_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tap_analytics.sandbox.demo.find_spec", lambda _: None)
    assert main(["demo"]) == 1
    assert "pip install 'tap-analytics[demo]'" in capsys.readouterr().err
