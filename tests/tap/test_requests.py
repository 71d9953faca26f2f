"""What is asked of the APIs, and what happens when they answer badly."""

from __future__ import annotations

import json
import socket
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from threading import Event
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from sandboxes import CREATOR_STREAMS, EXPERIENCE_STREAMS, impatient, only
from waits import (
    DEADLINE,
    send_nothing_ahead,
    shorten_pauses,
    shorten_request_timeout,
    skip_waits_between_tries,
)

from tap_analytics.sandbox import Reply, Request, Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from runs import RunTap

HTML = "<html><body>Please sign in to the network</body></html>"


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between tries, in seconds, none of which is sat out.

    Nothing is sent ahead, as a fault that is met ahead of need costs no try.
    """
    send_nothing_ahead(monkeypatch)
    # The pause that the session makes has tests of its own.
    shorten_pauses(monkeypatch, 0)
    return skip_waits_between_tries(monkeypatch)


def credentials(request: Request) -> str:
    return b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode()


def at(path: str, *replies: Reply, offset: str | None = None) -> Callable[[Request], Reply | None]:
    """Answer the first requests for a path with these replies, and any others normally."""
    left = list(replies)

    def intercept(request: Request) -> Reply | None:
        if request.path.endswith(path) and offset in {None, request.query.get("offset")} and left:
            return left.pop(0)
        return None

    return intercept


def test_the_requests_are_those_of_the_seeds(run_tap: RunTap, sandbox: Sandbox) -> None:
    run = run_tap(impatient(sandbox))
    assert run.status == 0
    account = sandbox.settings["account_id"]
    asked = [(r.method, r.path, tuple(r.query.items())) for r in sandbox.requests]
    for stream in EXPERIENCE_STREAMS:
        assert asked.count(("GET", f"/v2/accounts/{account}/{stream}", ())) == 1
    pages = [query for _, path, query in asked if path == "/v1/work-platforms"]
    # Pages overlap by one record, and the last one is empty but for that.
    asked_for = {int(dict(query)["offset"]) for query in pages}
    assert asked_for >= {0, 9, 18, 24}
    assert {dict(query)["limit"] for query in pages if int(dict(query)["offset"]) <= 18} == {"10"}
    settings = sandbox.settings
    for request in sandbox.requests:
        names = ("client_id", "client_secret")
        if request.path.startswith("/v2/"):
            names = ("username", "password")
        assert credentials(request) == ":".join(settings[name] for name in names)


def test_credentials_may_hold_any_character(run_tap: RunTap, sandbox: Sandbox) -> None:
    run_tap(only("creator", sandbox, client_id="ключ", client_secret="säcret:€"))  # noqa: S106
    assert credentials(sandbox.requests[0]) == "ключ:säcret:€"


FAULTS = {
    "429 in seconds": Reply(status=429, headers={"Retry-After": "7"}),
    "429 without a time": Reply(status=429),
    "500": Reply(status=500),
    "502": Reply(status=502, body=HTML.encode()),
    "503": Reply(status=503, headers={"Retry-After": "soon"}),
    "504": Reply(status=504),
    "dropped": Reply(fault="drop"),
    "cut short": Reply(body={"data": [{"id": "1"}]}, fault="cut"),
    "HTML with 200": Reply(body=HTML.encode()),
    "half a body": Reply(body=b'{"data": [{"id": "1"}, {"id":'),
    "nothing": Reply(body=b""),
}
API_OF = {"/users": "creator", "/flows": "experience"}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("path", API_OF)
def test_every_record_arrives_once_and_in_order_where_retries_suffice(
    run_tap: RunTap, sandbox: Sandbox, waits: list[float], fault: Reply, times: int, path: str
) -> None:
    offset = "9" if path == "/users" else None
    # The first drop is that of a connection that had been kept, which costs no retry.
    faults = times + (fault.fault == "drop")
    sandbox.intercept = at(path, *[fault] * faults, offset=offset)
    run = run_tap(only(API_OF[path], sandbox, backoff_factor=2))
    assert run.status == 0, run.log
    stream = path[1:]
    assert run.ids(stream) == [record["id"] for record in sandbox.data[stream]]
    asked = fault.headers.get("Retry-After", "")
    expected = [max(wait, int(asked) if asked.isdigit() else 0) for wait in (2, 4, 8)]
    assert waits == expected[:times]
    assert sum("; retry " in line for line in run.warnings) == times


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("path", API_OF)
def test_where_retries_do_not_suffice_the_tap_fails_and_says_why(
    run_tap: RunTap, sandbox: Sandbox, waits: list[float], fault: Reply, path: str
) -> None:
    sandbox.intercept = at(path, *[fault] * 5)
    run = run_tap(only(API_OF[path], sandbox, max_retries=3))
    assert run.status == 1
    assert len(waits) == 3
    error = run.errors[-1]
    assert error.startswith(f"{path[1:]}: ")
    assert error.endswith("; tried 4 times")
    if fault.fault:
        assert "no answer from 127.0.0.1" in error
    else:
        assert f"{fault.status} " in error
        assert f"{path} " in error or f"{path}:" in error or f"{path};" in error
    assert "Traceback" not in run.log
    assert run.bookmark(path[1:]) is None


def test_the_wait_doubles_with_each_retry(
    run_tap: RunTap, sandbox: Sandbox, waits: list[float]
) -> None:
    sandbox.intercept = at("/users", *[Reply(status=500)] * 6)
    run_tap(only("creator", sandbox, backoff_factor=3, max_retries=5))
    assert waits == [3, 6, 12, 24, 48]


def test_a_retry_after_that_is_a_date_is_waited_for(
    run_tap: RunTap, sandbox: Sandbox, waits: list[float]
) -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=600), usegmt=True)
    past = format_datetime(datetime.now(UTC) - timedelta(seconds=600), usegmt=True)
    replies = [Reply(status=429, headers={"Retry-After": when}) for when in (until, past)]
    sandbox.intercept = at("/users", *replies)
    run = run_tap(only("creator", sandbox))
    assert run.status == 0
    assert 590 < waits[0] <= 600
    assert waits[1:] == [0]


def test_a_retry_after_of_more_than_15_minutes_is_an_error(
    run_tap: RunTap, sandbox: Sandbox, waits: list[float]
) -> None:
    sandbox.intercept = at("/users", Reply(status=429, headers={"Retry-After": "901"}))
    run = run_tap(only("creator", sandbox))
    assert run.status == 1
    assert run.errors[-1] == (
        "users: 429 Too Many Requests for /v1/users; it asks to wait 901 s before the next try"
    )
    assert waits == []


def test_no_retry_is_made_with_max_retries_0(
    run_tap: RunTap, sandbox: Sandbox, waits: list[float]
) -> None:
    sandbox.intercept = at("/users", Reply(status=500))
    run = run_tap(only("creator", sandbox, max_retries=0))
    assert run.status == 1
    assert run.errors[-1].endswith("; tried 1 time")
    assert waits == []


def test_a_server_that_does_not_answer_in_time_is_an_error_after_all_tries(
    run_tap: RunTap, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_nothing_ahead(monkeypatch)
    shorten_request_timeout(monkeypatch, 0.05)
    given_up = Event()

    def hang(request: Request) -> None:
        if request.path == "/v1/users":
            given_up.wait(DEADLINE)

    sandbox.intercept = hang
    run = run_tap(only("creator", sandbox))
    given_up.set()
    assert run.status == 1
    assert "users: no complete answer from 127.0.0.1" in run.errors[-1]
    assert "within 0.05 s; tried 4 times" in run.errors[-1]


def test_a_server_that_is_not_there_is_an_error_after_all_tries(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        run = run_tap(only("creator", sandbox, creator_api_url=url, max_retries=1))
    assert run.status == 1
    assert "no answer from 127.0.0.1" in run.errors[-1]
    assert "Connection refused; tried 2 times" in run.errors[-1]


@pytest.mark.parametrize(
    ("status", "api", "advice"),
    [
        (401, "creator", "; check `client_id` and `client_secret`"),
        (401, "experience", "; check `username` and `password`"),
        (403, "creator", "; check that `client_id` and `client_secret` may read this"),
        (403, "experience", "; check that `username`, `password` and `account_id` may read this"),
        (404, "experience", "; check `experience_api_url` and `account_id`"),
        (404, "creator", "; check `creator_api_url`"),
        (400, "creator", ""),
        (410, "creator", ""),
    ],
)
def test_statuses_that_no_retry_helps_fail_at_once_and_say_what_to_check(
    run_tap: RunTap, sandbox: Sandbox, waits: list[float], status: int, api: str, advice: str
) -> None:
    sandbox.intercept = lambda _: Reply(status=status, body=b"go away")
    run = run_tap(only(api, sandbox))
    assert run.status == 1
    stream, path = ("accounts", "/v1/accounts")
    if api == "experience":
        stream = "banners"
        path = f"/v2/accounts/{sandbox.settings['account_id']}/banners"
    assert run.errors[0].startswith(f"{stream}: {status} ")
    assert f" for {path}: go away{advice}" in run.errors[0]
    assert waits == []
    streams = {"creator": CREATOR_STREAMS, "experience": EXPERIENCE_STREAMS}[api]
    assert len(sandbox.requests) == (1 if status == 401 else len(streams))


def test_the_error_about_wrong_credentials_holds_the_request_id(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    run = run_tap(only("creator", sandbox, client_secret="wrong-one"))  # noqa: S106
    assert run.status == 1
    assert "accounts: 401 Unauthorized for /v1/accounts: " in run.errors[-1]
    assert "request id " in run.errors[-1]
    assert "wrong-one" not in run.log


@pytest.mark.parametrize(
    "body", [b"[" * 3, b'"text"', b"3", b"null", b'{"items": []}', b'{"data": {}}']
)
def test_json_of_another_shape_is_an_error(run_tap: RunTap, sandbox: Sandbox, body: bytes) -> None:
    sandbox.intercept = at("/flows", *[Reply(body=body)] * 4)
    run = run_tap(only("experience", sandbox))
    assert run.status == 1
    assert run.errors[-1].startswith("flows: the response ")
    assert "200 OK for /v2/accounts/" in run.errors[-1]


@pytest.mark.parametrize("depth", [600, 10_000, 200_000])
@pytest.mark.parametrize("text", [r'"\ud83d"', '"text"'], ids=["damaged", "intact"])
def test_json_that_is_nested_deeply_arrives_or_is_an_error(
    run_tap: RunTap, sandbox: Sandbox, depth: int, text: str
) -> None:
    body = f'{{"data": [{{"id": "1", "deep": {"[" * depth}{text}{"]" * depth}}}]}}'
    sandbox.intercept = at("/flows", *[Reply(body=body)] * 4)
    run = run_tap(only("experience", sandbox))
    # How deep is too deep depends on the version of Python.
    if run.status == 0:
        assert depth < 200_000
        assert b"[" * depth in run.output
    else:
        error = "flows: the response is nested too deeply to be read: 200 OK"
        assert run.errors[-1].startswith(error)
        assert len(run.errors[-1]) < 700


def test_a_status_that_http_does_not_define_is_named_in_the_error(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    sandbox.intercept = at("/flows", *[Reply(status=499)] * 2)
    run = run_tap(only("experience", sandbox))
    assert "flows: 499 Unknown Status for /v2/accounts/" in run.errors[-1]


def test_a_long_body_is_cut_and_cannot_forge_log_lines(run_tap: RunTap, sandbox: Sandbox) -> None:
    body = "\x1b[31mgone\r\n2026-01-01 | ERROR | forged " + "x" * 5000
    sandbox.intercept = at("/flows", Reply(status=410, body=body.encode()))
    run = run_tap(only("experience", sandbox))
    lines = [line for line in run.log.splitlines() if "410 Gone" in line]
    assert len(lines) == 2
    assert not any("\x1b" in line or len(line) > 750 for line in lines)
    assert lines[1].endswith("x…")


def test_credentials_that_a_server_echoes_do_not_reach_the_log(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    def echo(request: Request) -> Reply:
        basic = request.headers["Authorization"]
        return Reply.json({"message": f"bad: {basic} {credentials(request)}"}, status=400)

    sandbox.intercept = echo
    run = run_tap(only("creator", sandbox))
    assert "accounts: 400 Bad Request for /v1/accounts: bad: Basic *** ***" in run.errors[0]
    assert sandbox.settings["client_secret"] not in run.log


@pytest.mark.parametrize("before", ["x" * 494, " " * 7994, "x" * 7990 + " "])
def test_no_part_of_a_credential_is_left_where_a_body_is_cut(
    run_tap: RunTap, sandbox: Sandbox, before: str
) -> None:
    secret = 'pä"ss-word-of-mine'  # noqa: S105
    for body in (before + secret, before + json.dumps(secret), before + quote(secret)):
        sandbox.intercept = lambda _, body=body: Reply(status=400, body=body)
        run = run_tap(only("creator", sandbox, client_secret=secret))
        assert "accounts: 400 Bad Request" in run.errors[0]
        assert not any(part in run.log for part in ('pä"s', r"pä\"s", "u00e4", "%C3%A4"))


def test_an_unexpected_exception_is_one_line_without_traceback_unless_debugging(
    run_tap: RunTap, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        message = "nobody thought of this"
        raise LookupError(message)

    monkeypatch.setattr("tap_analytics.tap.Sync.run", fail)
    run = run_tap(only("creator", sandbox))
    assert run.status == 1
    assert run.errors == ["LookupError: nobody thought of this"]
    assert "Traceback" not in run.log
    monkeypatch.setenv("TAP_ANALYTICS_LOGLEVEL", "DEBUG")
    run = run_tap(only("creator", sandbox))
    assert "Traceback" in run.log


def test_an_empty_listing_of_any_shape_is_no_error(run_tap: RunTap, sandbox: Sandbox) -> None:
    replies = {
        "flows": Reply.json({"data": None}),
        "tags": Reply.json([]),
        "users": Reply(status=204),
        "accounts": Reply.json({"data": []}),
    }
    sandbox.intercept = lambda request: replies.get(request.path.rsplit("/", 1)[-1])
    run = run_tap(impatient(sandbox))
    assert run.status == 0, run.log
    for stream in replies:
        assert run.ids(stream) == []
        assert run.of_type("SCHEMA", stream)


def paged(
    shape: Callable[[list[dict[str, object]], int, int], object], count: int = 25
) -> Callable[..., Reply]:
    """Serve listings in pages of another kind than the sandbox's."""
    rows: list[dict[str, object]] = [
        {"id": str(row), "updated_at": "2024-05-01T10:00:00"} for row in range(count)
    ]

    def intercept(request: Request) -> Reply:
        limit, offset = int(request.query["limit"]), int(request.query["offset"])
        return Reply.json(shape(rows, limit, offset))

    return intercept


SERVERS = {
    "caps the limit": lambda rows, limit, offset: {
        "data": rows[offset : offset + min(limit, 4)],
        "metadata": {"limit": 4},
    },
    "caps the limit and does not say so": lambda rows, limit, offset: {
        "data": rows[offset : offset + min(limit, 4)],
        "metadata": {"limit": limit},
    },
    "declares no limit": lambda rows, limit, offset: {"data": rows[offset : offset + limit]},
    "declares a total": lambda rows, limit, offset: {
        "data": rows[offset : offset + limit],
        "total": 25,
    },
    "sends bare arrays": lambda rows, limit, offset: rows[offset : offset + limit],
    "ends on a full page": lambda rows, _, offset: {
        "data": rows[offset : offset + 5],
        "metadata": {"limit": 5},
    },
    "does not page": lambda rows, _, __: {"data": rows},
}


@pytest.mark.parametrize("shape", SERVERS.values(), ids=SERVERS)
def test_every_record_arrives_once_and_in_order_however_a_server_pages(
    run_tap: RunTap,
    sandbox: Sandbox,
    shape: Callable[[list[dict[str, object]], int, int], object],
) -> None:
    sandbox.intercept = paged(shape)
    run = run_tap(only("creator", sandbox))
    assert run.status == 0, run.log
    assert run.ids("users") == [str(row) for row in range(25)]


def test_a_server_that_ignores_offset_and_may_hold_more_is_an_error(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    sandbox.intercept = paged(lambda rows, limit, _: {"data": rows[:limit]}, 150)
    run = run_tap(only("creator", sandbox))
    assert run.status == 1
    assert run.errors[0] == (
        "accounts: the server ignores `offset`: it answers offset 1,000,000 with the same records "
        "as the offsets before, so only 100 can be read"
    )
    assert run.bookmark("accounts") is None


def test_a_server_that_ignores_offset_and_answers_less_than_was_asked_for_is_believed(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    sandbox.intercept = paged(lambda rows, limit, _: {"data": rows[:limit]}, 25)
    run = run_tap(only("creator", sandbox))
    assert run.status == 0
    assert sorted(run.ids("users"), key=int) == [str(row) for row in range(25)]
    assert run.warnings[0] == (
        "accounts: the server ignores `offset`: it answers every one with the same records, which "
        "are taken for the whole listing"
    )
