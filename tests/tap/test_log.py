"""What a person reads in the log of a sync: as little as will do, and all that matters."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING, Any

import pytest
from runs import Run
from sandboxes import CREATOR_STREAMS, STREAMS, impatient, only
from scripted_api import CONTENT, Answer, Call, ScriptedApi
from series import at_most, discover, mentions, refusals, select
from waits import DEADLINE, send_nothing_ahead, shorten_pauses, skip_waits_between_tries

from tap_analytics.sandbox import Reply, Request, Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runs import RunTap

SCRIPT = Path(sys.executable).with_name("tap-analytics")


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi() as running, at_most(60):
        yield running


def lines_of(run: Run, level: str) -> list[str]:
    parts = (line.split(" | ", 3) for line in run.log.splitlines())
    return [part[3] for part in parts if len(part) == 4 and part[1].strip() == level]


def metrics(run: Run, name: str) -> dict[str, dict[str, Any]]:
    """Return the METRIC lines of a kind by stream, of which each stream has one."""
    found = [json.loads(line[8:]) for line in lines_of(run, "INFO") if line.startswith("METRIC: ")]
    points = [point for point in found if point["metric"] == name]
    by_stream = {point["tags"]["stream"]: point for point in points}
    assert len(by_stream) == len(points)
    return by_stream


# Accounts


def test_the_log_does_not_grow_with_the_accounts(run_tap: RunTap) -> None:
    counts = []
    for rows in (5, 60):
        with Sandbox(rows=rows) as sandbox:
            run = run_tap(impatient(sandbox, content_by_account=True))
            assert run.status == 0
            counts.append(len(lines_of(run, "INFO")))
            assert metrics(run, "http_request_count").keys() == set(STREAMS)
    assert counts[0] == counts[1]


def test_the_metric_of_requests_counts_those_of_all_accounts(
    run_tap: RunTap, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_nothing_ahead(monkeypatch)
    catalog = select(discover(run_tap, only("creator", sandbox, content_by_account=True)), CONTENT)
    run = run_tap(only("creator", sandbox, content_by_account=True), catalog=catalog)
    points = metrics(run, "http_request_count")
    asked = [request.path for request in sandbox.requests]
    # Also of accounts, which are only read for their content.
    assert {name: point["value"] for name, point in points.items()} == {
        "accounts": asked.count("/v1/accounts"),
        CONTENT: asked.count("/v1/social/contents"),
    }
    assert all("context" not in point["tags"] for point in points.values())


def test_going_back_in_a_listing_is_no_news(api: ScriptedApi, run_tap: RunTap) -> None:
    api.fill(30)

    def delete(call: Call) -> None:
        if call.stream == "users" and call.offset == 9:
            api.delete("users", "users-0001")

    api.script = delete
    run = run_tap(api.creator())
    assert run.status == 0
    assert "shifted" not in run.log


# Every ten seconds


class Ticking:
    """Stands for the queue that the thread waits at: lets ten seconds pass once, on request."""

    def __init__(self) -> None:
        self.may_tick, self.has_told, self.is_over = (threading.Event() for _ in range(3))
        self.timeouts: list[float] = []

    def get(self, timeout: float) -> None:
        self.timeouts.append(timeout)
        if len(self.timeouts) == 1:
            self.may_tick.wait(DEADLINE)
            raise Empty
        self.has_told.set()
        self.is_over.wait(DEADLINE)

    def put(self, _: object) -> None:
        self.is_over.set()


def test_a_sync_without_a_terminal_says_how_far_it_is_also_while_it_waits(
    run_tap: RunTap, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticking = Ticking()
    send_nothing_ahead(monkeypatch)
    monkeypatch.setattr("tap_analytics.log.progress.SimpleQueue", lambda: ticking)

    def hold(request: Request) -> None:
        if request.path == "/v1/users":
            ticking.may_tick.set()
            ticking.has_told.wait(DEADLINE)

    sandbox.intercept = hold
    run = run_tap(impatient(sandbox))
    assert run.status == 0
    assert ticking.timeouts == [10.0, 10.0]
    (line,) = [line for line in lines_of(run, "INFO") if line.startswith("After ")]
    assert re.fullmatch(
        r"After \d+:\d\d: 275 records, [\d,]+ requests, 11 of 13 streams done; "
        "now users, 0 records",
        line,
    )


# The same warning


def count_alike(run: Run, text: str) -> tuple[int, int]:
    """Count the warnings that are given, and those that are only counted."""
    alike = mentions(run.warnings, text)
    counted = [line for line in alike if " more like this: " in line]
    given = [line for line in alike if line not in counted]
    return len(given), sum(int(line.split(" ")[0].replace(",", "")) for line in counted)


def spoilt(number: int, kind: str) -> dict[str, Any]:
    """A user with something to be said of it."""
    record: dict[str, Any] = {
        "id": f"user-{number}",
        "created_at": "2024-01-01T00:00:00",
        "updated_at": f"2024-05-01T10:{number:02}:00",
    }
    match kind:
        case "timestamp":
            record["created_at"] = "no date"
        case "unknown field":
            record[f"field_{number}"] = number
        case "mended":
            record["name"] = "A\ud83d"
        case "no updated_at":
            del record["updated_at"]
    return record


SPOILT = {
    "timestamp": "`created_at` is no timestamp and becomes null",
    "unknown field": "fields that the schema does not list",
    "mended": "Record user-",
    "no updated_at": "never moves the bookmark",
}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_warning_is_given_five_times_and_then_counted(
    run_tap: RunTap, sandbox: Sandbox, kind: str
) -> None:
    sandbox.data["users"] = [spoilt(number, kind) for number in range(40)]
    run = run_tap(only("creator", sandbox))
    assert len(run.ids("users")) == 40
    assert count_alike(run, SPOILT[kind]) == (5, 35)


def test_what_was_said_of_one_page_is_not_said_of_the_next(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    sandbox.data["users"] = [
        spoilt(number % 60, "mended" if number < 20 else "none") | {"id": f"user-{number}"}
        for number in range(600)
    ]
    run = run_tap(only("creator", sandbox))
    assert len(run.ids("users")) == 600
    assert count_alike(run, SPOILT["mended"]) == (5, 15)


@pytest.mark.parametrize("kind", SPOILT)
def test_nothing_is_said_of_records_that_a_stream_map_drops(
    run_tap: RunTap, sandbox: Sandbox, kind: str
) -> None:
    sandbox.data["users"] = [spoilt(number, kind) for number in range(20)]
    maps = {"users": {"__filter__": "id in ('user-3', 'user-7')"}}
    run = run_tap(only("creator", sandbox, stream_maps=maps))
    assert run.ids("users") == ["user-3", "user-7"]
    assert count_alike(run, SPOILT[kind]) == (2, 0)


@pytest.mark.parametrize("kind", [kind for kind in SPOILT if kind != "no updated_at"])
def test_nothing_is_said_of_records_before_the_bookmark(
    run_tap: RunTap, sandbox: Sandbox, kind: str
) -> None:
    sandbox.data["users"] = [spoilt(number, kind) for number in range(20)]
    first = run_tap(only("creator", sandbox))
    second = run_tap(only("creator", sandbox), state=first.state)
    assert second.ids("users") == ["user-19"]
    assert count_alike(second, SPOILT[kind]) == (1, 0)


@pytest.mark.parametrize("kind", SPOILT)
def test_nothing_is_said_of_records_that_are_only_read_for_their_children(
    run_tap: RunTap, sandbox: Sandbox, kind: str
) -> None:
    sandbox.data["accounts"] = [spoilt(number, kind) for number in range(3)]
    config = only("creator", sandbox, content_by_account=True)
    catalog = select(discover(run_tap, config), CONTENT)
    run = run_tap(config, catalog=catalog)
    assert run.status == 0
    assert run.ids("accounts") == []
    assert any(request.path == "/v1/social/contents" for request in sandbox.requests)
    assert count_alike(run, SPOILT[kind]) == (0, 0)


def test_what_a_batch_holds_is_spoken_of(run_tap: RunTap, sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.data["users"] = [spoilt(number, "mended") for number in range(8)]
    storage = {"root": tmp_path.as_uri()}
    encoding = {"format": "jsonl", "compression": "none"}
    run = run_tap(only("creator", sandbox, batch_config={"encoding": encoding, "storage": storage}))
    assert count_alike(run, "Record user-") == (5, 3)


def test_retries_of_a_stream_are_counted(
    run_tap: RunTap, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    skip_waits_between_tries(monkeypatch)
    shorten_pauses(monkeypatch, 0)
    failures = iter(range(12))
    sandbox.intercept = lambda request: (
        Reply(status=500)
        if request.path == "/v1/users" and next(failures, None) is not None
        else None
    )
    run = run_tap(only("creator", sandbox, max_retries=20, max_concurrent_requests=1))
    assert run.status == 0
    given, counted = count_alike(run, "; retry ")
    assert given == 5
    assert 1 <= counted <= 7
    # It comes with the end of the stream, not with that of the sync.
    assert run.log.index("more like this: users: 500") < run.log.index('"stream":"work_platforms"')


def test_pauses_of_an_api_are_counted_and_name_its_host(
    run_tap: RunTap, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    skip_waits_between_tries(monkeypatch)
    shorten_pauses(monkeypatch, 0.001)
    known: set[str] = set()

    def refuse(request: Request) -> Reply | None:
        target = f"{request.path}{request.query}"
        if target in known:
            return None
        known.add(target)
        return Reply(status=429, headers={"Retry-After": "1"})

    sandbox.intercept = refuse
    run = run_tap(only("creator", sandbox, max_concurrent_requests=1))
    assert run.status == 0
    given, counted = count_alike(
        run, ": the API answers that there are too many requests; all wait"
    )
    assert given == 5
    assert counted > 5
    host = sandbox.settings["creator_api_url"].split("/")[2]
    assert len(mentions(run.warnings, f"{host}: the API answers")) == 6


def test_answers_with_a_head_that_is_no_head_are_counted(api: ScriptedApi, run_tap: RunTap) -> None:
    api.fill(30, contents=1)
    odd = {"X-One: 1\r\nthis is no header\r\nX-Two": "2"}

    def answer(call: Call) -> Answer:
        listing = api.listing(call)
        return Answer(listing.status, listing.body, dict.fromkeys(odd, "2"))

    api.script = answer
    run = run_tap(api.creator())
    assert run.status == 0, run.log
    given, counted = count_alike(run, "Failed to parse headers")
    assert given == 5
    assert counted > 50


def test_a_server_that_ignores_offset_is_spoken_of_five_times(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    api.fill(9, contents=12)
    api.paging.heeds_offset = lambda call: call.stream != CONTENT
    run = run_tap(api.creator())
    assert run.status == 0, run.log
    assert count_alike(run, "ignores `offset`") == (5, 4)
    assert len(mentions(run.warnings, "content_items (account_id ", "ignores `offset`")) == 6


# Also if the stream fails, or the sync is interrupted


def test_the_count_comes_if_the_stream_fails(run_tap: RunTap, sandbox: Sandbox) -> None:
    sandbox.data["users"] = [spoilt(number, "timestamp") for number in range(40)]
    sandbox.intercept = lambda request: (
        Reply(status=403)
        if request.path == "/v1/users" and request.query["offset"] == "18"
        else None
    )
    run = run_tap(only("creator", sandbox))
    assert run.status == 1
    assert count_alike(run, SPOILT["timestamp"]) == (5, 14)


def interrupted(api: ScriptedApi, folder: Path, number: int, *options: str) -> Run:
    """Run the tap as a process, and end it while it waits for the end of the accounts."""
    has_arrived = threading.Event()

    def hang(call: Call) -> None:
        if call.stream == "accounts" and call.offset >= len(api.rows["accounts"]) - 10:
            has_arrived.set()
            api.is_stopped.wait(DEADLINE)

    def end(process: subprocess.Popen[bytes]) -> None:
        has_arrived.wait(DEADLINE)
        process.send_signal(number)

    api.gate = hang
    config = folder / "config.json"
    config.write_text(json.dumps(api.creator(max_concurrent_requests=1)))
    with subprocess.Popen(
        [SCRIPT, "--config", config, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        ender = threading.Thread(target=end, args=(process,))
        ender.start()
        output, log = process.communicate()
        ender.join()
    return Run(process.returncode, output, log.decode())


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_count_comes_if_the_sync_is_interrupted(
    api: ScriptedApi, tmp_path: Path, number: signal.Signals
) -> None:
    # Some pages may be sent for ahead of need.
    rows = [spoilt(number % 60, "timestamp") for number in range(300)]
    api.rows["accounts"] = [row | {"id": str(number)} for number, row in enumerate(rows)]
    run = interrupted(api, tmp_path, number)
    assert run.status == 128 + number
    assert run.messages[-1]["type"] == "STATE"
    given, counted = count_alike(run, SPOILT["timestamp"])
    assert given == 5
    assert counted > 50
    assert set(statuses(run).values()) == {"failed"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_connection_test_that_is_interrupted_has_not_passed(
    api: ScriptedApi, tmp_path: Path, number: signal.Signals
) -> None:
    api.fill(1)
    assert interrupted(api, tmp_path, number, "--test").status == 128 + number


# METRIC lines


def statuses(run: Run) -> dict[str, str]:
    points = metrics(run, "sync_duration").items()
    return {stream: point["tags"]["status"] for stream, point in points}


def test_the_metric_of_a_stream_that_fails_says_so(run_tap: RunTap, sandbox: Sandbox) -> None:
    sandbox.intercept = lambda request: Reply(status=403) if request.path == "/v1/users" else None
    run = run_tap(only("creator", sandbox))
    assert statuses(run) == dict.fromkeys(CREATOR_STREAMS, "succeeded") | {"users": "failed"}


def test_the_metric_of_a_stream_of_which_an_account_fails_says_so(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    account = sandbox.data["accounts"][3]["id"]
    sandbox.intercept = lambda request: (
        Reply(status=400)
        if request.path == "/v1/social/contents" and request.query["account_id"] == account
        else None
    )
    run = run_tap(only("creator", sandbox, content_by_account=True))
    assert statuses(run) == dict.fromkeys(CREATOR_STREAMS, "succeeded") | {CONTENT: "failed"}


def test_the_metrics_of_streams_of_an_api_that_is_given_up_don_t_say_that_they_succeeded(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    run = run_tap(only("creator", sandbox, client_secret="another-one"))  # noqa: S106
    assert statuses(run) == {"accounts": "failed"}


# Less of it


def test_at_warning_the_summary_is_left_out_and_nothing_that_matters(
    run_tap: RunTap, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.data["users"] = [spoilt(number, "timestamp") for number in range(40)]
    sandbox.intercept = lambda request: {
        "/v1/profiles": Reply(status=503),
        "/v1/work-platforms": Reply(status=403),
    }.get(request.path)
    config = only("creator", sandbox, max_retries=1, pagesize=3)
    whole = run_tap(config)
    monkeypatch.setenv("TAP_ANALYTICS_LOGLEVEL", "WARNING")
    less = run_tap(config)
    assert less.status == whole.status == 1
    assert less.errors == whole.errors
    assert len(less.errors) == 2
    assert without_times(less.warnings) == without_times(whole.warnings)
    assert len(less.log.splitlines()) == len(less.errors) + len(less.warnings)


def without_times(lines: list[str]) -> list[str]:
    return [line for line in lines if "all wait" not in line]


# Nothing to do


def test_a_catalog_that_selects_nothing_is_warned_of(run_tap: RunTap, sandbox: Sandbox) -> None:
    config = only("creator", sandbox)
    run = run_tap(config, catalog=select(discover(run_tap, config)))
    assert run.status == 0
    assert run.warnings == ["The catalog selects no stream, so nothing is synced"]
    assert sandbox.requests == []


@pytest.mark.parametrize("settings", [{"page_size": None}, {"max_concurrent_requests": None}])
def test_a_setting_that_is_null_has_its_default(
    run_tap: RunTap, sandbox: Sandbox, settings: dict[str, None]
) -> None:
    run = run_tap(only("creator", sandbox, **settings))
    assert run.status == 0, run.log
    assert len(run.ids("users")) == 25
    assert {request.query["limit"] for request in sandbox.requests} == {"10", "100"}


@pytest.mark.parametrize("user_agent", ["a\nb", "\u65e5\u672c"])
def test_a_user_agent_that_no_header_can_hold_is_one_line(
    run_tap: RunTap, sandbox: Sandbox, user_agent: str
) -> None:
    run = run_tap(only("creator", sandbox, user_agent=user_agent))
    assert run.status == 1
    assert mentions(refusals(run), "user_agent") == refusals(run)
    assert "Traceback" not in run.log
    assert sandbox.requests == []


@pytest.mark.parametrize("keeps", ["some", "none"])
def test_a_stream_map_that_filters_out_all_accounts_says_what_it_costs(
    run_tap: RunTap, sandbox: Sandbox, keeps: str
) -> None:
    kept = sandbox.data["accounts"][7]["id"] if keeps == "some" else ""
    maps = {"accounts": {"__filter__": f"id == '{kept}'"}}
    run = run_tap(only("creator", sandbox, content_by_account=True, stream_maps=maps))
    assert run.status == 0
    assert len(run.ids("accounts")) == (keeps == "some")
    told = mentions(run.warnings, "stream map", "accounts", CONTENT, "social_income_transactions")
    assert len(told) == (keeps == "none")
