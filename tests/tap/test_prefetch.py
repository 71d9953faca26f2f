"""Requests sent ahead of need: faster, but with the same messages and with manners."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sandboxes import CREATOR_STREAMS, impatient, only
from waits import (
    DEADLINE,
    MOST_OF_A_PIPE,
    answers_held_back,
    send_ahead_on_loopback,
    send_nothing_ahead,
    unread_bytes,
    wait_until,
)

from tap_analytics.http.session import PrefetchingSession
from tap_analytics.sandbox import Reply, Request, Sandbox

if TYPE_CHECKING:
    from runs import RunTap


@pytest.fixture(autouse=True)
def _every_hint_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else none would on loopback."""
    send_ahead_on_loopback(monkeypatch)


def rows(count: int) -> list[dict[str, Any]]:
    return [{"id": str(row), "updated_at": "2024-05-01T10:00:00"} for row in range(count)]


NEEDED_FOR_300 = {*range(0, 298, 9), 299, 300}
"""Offsets that it takes to read 300 rows: pages overlap by one record, and the last is empty."""


def offsets(sandbox: Sandbox, path: str = "/v1/users") -> list[int]:
    return [int(r.query["offset"]) for r in sandbox.requests if r.path == path]


# The same messages


@dataclass
class Server:
    """An arbitrary server of the creator API."""

    rows: int
    cap: int
    declares_limit: bool
    declares_total: bool
    faults: list[tuple[int, Reply]] = field(default_factory=list)

    def intercept(self, request: Request) -> Reply | None:
        if request.path != "/v1/users":
            return Reply.json({"data": []})
        offset, limit = int(request.query["offset"]), int(request.query["limit"])
        for number, (at, fault) in enumerate(self.faults):
            if at == offset:
                del self.faults[number]
                return fault
        body: dict[str, Any] = {"data": rows(self.rows)[offset : offset + min(limit, self.cap)]}
        if self.declares_limit:
            body["metadata"] = {"offset": offset, "limit": limit}
        if self.declares_total:
            body["total"] = self.rows
        return Reply.json(body)


faults = st.sampled_from(
    [
        Reply(status=429),
        Reply(status=429, headers={"Retry-After": "0"}),
        Reply(status=500),
        Reply(status=503, body=b"busy"),
        Reply(fault="drop"),
        Reply(body={"data": []}, fault="cut"),
        Reply(body=b"<html>"),
    ]
)


@pytest.mark.slow
@settings(
    max_examples=12,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    shape=st.fixed_dictionaries(
        {
            "rows": st.integers(0, 130),
            "cap": st.sampled_from([3, 7, 1000]),
            "declares_limit": st.booleans(),
            "declares_total": st.booleans(),
        }
    ),
    faults=st.lists(
        st.tuples(st.integers(0, 14).map(lambda page: page * 9), faults),
        max_size=6,
        unique_by=lambda fault: fault[0],
    ),
    max_concurrent=st.integers(1, 32),
)
def test_the_messages_are_the_same_with_and_without_hints(
    run_tap: RunTap,
    shape: dict[str, Any],
    faults: list[tuple[int, Reply]],
    max_concurrent: int,
) -> None:
    outputs = []
    for hints in (True, False):
        with Sandbox(rows=0) as sandbox, pytest.MonkeyPatch.context() as patch:
            if not hints:
                send_nothing_ahead(patch)
            sandbox.intercept = Server(**shape, faults=list(faults)).intercept
            run = run_tap(only("creator", sandbox, max_concurrent_requests=max_concurrent))
            assert run.status == 0, run.log
            messages = run.messages
            for message in messages:
                message.pop("time_extracted", None)
            outputs.append(messages)
            assert run.ids("users") == [str(row) for row in range(shape["rows"])]
    assert json.dumps(outputs[0], default=str) == json.dumps(outputs[1], default=str)


@pytest.mark.slow
@pytest.mark.parametrize("is_live", [False, True], ids=["quiet", "live"])
def test_the_messages_per_account_are_the_same_with_and_without_hints(
    run_tap: RunTap, monkeypatch: pytest.MonkeyPatch, *, is_live: bool
) -> None:
    outputs = []
    with Sandbox(rows=60, live=is_live, fail_rate=0.1) as sandbox:
        config = impatient(
            sandbox,
            content_by_account=True,
            max_concurrent_requests=5,
            page_size=7,
            max_retries=9,
        )
        for _ in range(2):
            run = run_tap(config)
            assert run.status == 0, run.log
            for message in run.messages:
                message.pop("time_extracted", None)
            outputs.append([m for m in run.messages if m["type"] != "STATE"])
            send_nothing_ahead(monkeypatch)
    assert outputs[0] == outputs[1]


# Ahead of need


@pytest.mark.slow
@pytest.mark.parametrize("max_concurrent", [1, 3, 8])
def test_no_more_requests_are_in_flight_than_allowed(
    run_tap: RunTap, sandbox: Sandbox, max_concurrent: int
) -> None:
    sandbox.data["users"] = rows(150)
    with answers_held_back(sandbox) as in_flight:
        run = run_tap(only("creator", sandbox, max_concurrent_requests=max_concurrent))
    assert run.status == 0
    assert len(run.ids("users")) == 150
    assert max(in_flight) == max_concurrent


def test_seven_listings_of_one_page_take_three_round_trips(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    # 1, then 2, then the other 4 at a time.
    with answers_held_back(sandbox) as in_flight:
        run_tap(only("experience", sandbox))
    assert len(in_flight) == 7
    assert max(in_flight) >= 3


def test_what_is_asked_for_in_vain_is_at_most_a_window(run_tap: RunTap, sandbox: Sandbox) -> None:
    sandbox.data["users"] = rows(300)
    with answers_held_back(sandbox):
        run = run_tap(only("creator", sandbox, max_concurrent_requests=8))
    assert run.status == 0
    asked = offsets(sandbox)
    assert len(asked) == len(set(asked))
    assert len(set(asked) - NEEDED_FOR_300) <= 8
    assert set(asked) >= NEEDED_FOR_300


@pytest.mark.parametrize(("count", "most"), [(5, 3), (15, 4), (25, 6)])
def test_a_short_listing_is_asked_for_at_most_one_page_in_vain(
    run_tap: RunTap, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, count: int, most: int
) -> None:
    send_ahead_on_loopback(monkeypatch)
    sandbox.data["users"] = rows(count)
    run_tap(only("creator", sandbox))
    assert len(offsets(sandbox)) <= most


def test_accounts_are_read_ahead_with_their_content(run_tap: RunTap) -> None:
    with Sandbox(rows=40) as sandbox, answers_held_back(sandbox) as in_flight:
        run = run_tap(only("creator", sandbox, content_by_account=True))
        assert run.status == 0
        asked = [(r.path, tuple(r.query.items())) for r in sandbox.requests]
    # The head of the accounts is read again, to see whether one has come to the front.
    head = ("/v1/accounts", (("limit", "10"), ("offset", "0")))
    assert [request for request, times in Counter(asked).items() if times > 1] == [head]
    assert asked.count(head) == 2
    per_account = [
        count
        for count, (path, _) in zip(in_flight, asked, strict=False)
        if path.startswith("/v1/social/")
    ]
    assert sum(per_account) / len(per_account) > 4


def test_a_connection_test_asks_for_nothing_ahead(run_tap: RunTap, sandbox: Sandbox) -> None:
    run_tap(impatient(sandbox), "--test")
    assert len(sandbox.requests) == 13


def test_refused_credentials_are_not_tried_for_every_stream(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    run = run_tap(only("experience", sandbox, password="wrong"))  # noqa: S106
    assert run.status == 1
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize("max_concurrent", [1, 4, 8])
@pytest.mark.parametrize("at", [2, 7, 15])
def test_one_401_among_answers_costs_nothing(
    run_tap: RunTap, sandbox: Sandbox, max_concurrent: int, at: int
) -> None:
    numbers = itertools.count(1)
    sandbox.intercept = lambda _: Reply(status=401) if next(numbers) == at else None
    run = run_tap(only("creator", sandbox, max_concurrent_requests=max_concurrent, max_retries=0))
    assert run.status == 0, run.log
    for stream in CREATOR_STREAMS:
        assert len(run.ids(stream)) == 25


@pytest.mark.parametrize("max_concurrent", [1, 4, 8])
def test_credentials_that_are_revoked_end_the_sync_at_the_same_page(
    run_tap: RunTap, sandbox: Sandbox, max_concurrent: int
) -> None:
    sandbox.data["users"] = rows(300)
    sandbox.intercept = lambda request: (
        Reply(status=401) if request.query.get("offset") == "99" else None
    )
    run = run_tap(only("creator", sandbox, max_concurrent_requests=max_concurrent))
    assert run.status == 1
    assert len(run.ids("users")) == 100
    assert run.ids("work_platforms") == []


def test_accounts_that_a_map_filters_are_read_as_without_hints(
    run_tap: RunTap, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = []
    maps = {
        "accounts": {"__filter__": "updated_at > '2025-06-01' and status != 'x'", "k": "md5(id)"}
    }
    with Sandbox(rows=60) as sandbox:
        for account in sandbox.data["accounts"]:
            account["updated_at"] = 1764547200000  # no text as long as it is not canonical
        for _ in range(2):
            run = run_tap(only("creator", sandbox, content_by_account=True, stream_maps=maps))
            assert run.status == 0, run.log
            assert len(run.records("accounts")) == 60
            outputs.append([m.get("record") for m in run.messages])
            send_nothing_ahead(monkeypatch)
    assert outputs[0] == outputs[1]


def test_listings_that_do_not_page_do_not_use_up_the_room(
    run_tap: RunTap, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = set()
    close = PrefetchingSession.close

    def look(session: PrefetchingSession) -> None:
        sessions.add(len(session._prefetcher._queue._sent))  # noqa: SLF001 - nobody else needs to know
        close(session)

    monkeypatch.setattr(PrefetchingSession, "close", look)
    with Sandbox(rows=60) as sandbox:

        def all_at_once(request: Request) -> Reply | None:
            if request.path != "/v1/social/contents":
                return None
            account = request.query["account_id"]
            records = [{"id": f"{account}-{row}"} for row in range(25)]
            return Reply.json({"data": records, "total": None})

        sandbox.intercept = all_at_once
        run = run_tap(only("creator", sandbox, content_by_account=True))
    assert run.status == 0
    assert len(run.ids("content_items")) == 60 * 25
    assert max(sessions) <= 2


# An end that comes early


def test_a_state_reaches_the_target_while_the_next_answer_is_awaited(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    answered = threading.Event()

    def hang(request: Request) -> None:
        if request.path.endswith("/tags"):
            answered.wait(DEADLINE)

    sandbox.intercept = hang
    config = tmp_path / "config.json"
    config.write_text(json.dumps(only("experience", sandbox)))
    script = Path(sys.executable).with_name("tap-analytics")
    with subprocess.Popen([script, "--config", config], stdout=subprocess.PIPE) as process:
        stuck = threading.Timer(DEADLINE, process.kill)
        stuck.start()
        assert process.stdout
        is_known = False
        for line in process.stdout:
            message = json.loads(line)
            if message["type"] == "STATE" and "segments" in message["value"]["bookmarks"]:
                is_known = is_known or not answered.is_set()
                answered.set()
        stuck.cancel()
    assert process.returncode == 0
    assert is_known


def test_a_signal_cuts_no_line_in_two_though_the_target_is_slow(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.data["users"] = [{**row, "name": "x" * 2000} for row in rows(3000)]
    config = tmp_path / "config.json"
    config.write_text(json.dumps(only("creator", sandbox, page_size=100)))
    script = Path(sys.executable).with_name("tap-analytics")
    with subprocess.Popen([script, "--config", config], stdout=subprocess.PIPE) as process:
        assert process.stdout
        head = process.stdout.read(2_000_000)
        # Now the pipe fills up, and nobody reads.
        wait_until(lambda: unread_bytes(process.stdout) > MOST_OF_A_PIPE)
        process.send_signal(signal.SIGTERM)
        output = head + process.stdout.read()
    assert process.returncode == 128 + signal.SIGTERM
    assert output.endswith(b"\n")
    for line in output.splitlines():
        json.loads(line)


def test_an_error_ends_the_tap_though_threads_are_waiting(
    run_tap: RunTap, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived, answered = threading.Event(), threading.Event()

    def hang(request: Request) -> None:
        if not request.path.endswith("/banners"):
            arrived.set()
            answered.wait(DEADLINE)

    def fail(*_: object) -> str:
        assert arrived.wait(DEADLINE)
        message = "no room"
        raise PermissionError(message)

    sandbox.intercept = hang
    monkeypatch.setattr("tap_analytics.singer.batches._store", fail)
    encoding = {"format": "jsonl", "compression": "gzip"}
    batch_config = {"encoding": encoding, "storage": {"root": "file:///nowhere"}}
    run = run_tap(only("experience", sandbox, batch_config=batch_config))
    assert not answered.is_set()
    answered.set()
    assert run.status == 1
    assert run.errors[-1].endswith("PermissionError: no room")
    wait_until(lambda: all(thread.name != "prefetch" for thread in threading.enumerate()))


# Limits


def test_nothing_is_sent_ahead_where_answers_come_at_once(
    run_tap: RunTap, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tap_analytics.http.throttle.NOTICEABLE", 60.0)
    sandbox.data["users"] = rows(300)
    run = run_tap(only("creator", sandbox))
    assert len(run.ids("users")) == 300
    assert offsets(sandbox) == sorted(NEEDED_FOR_300)


@pytest.mark.parametrize("asked", ["901", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_wait_that_is_too_long_is_an_error_also_ahead_of_need(
    run_tap: RunTap, sandbox: Sandbox, asked: str
) -> None:
    sandbox.intercept = lambda request: (
        Reply(status=429, headers={"Retry-After": asked}) if request.path == "/v1/users" else None
    )
    run = run_tap(only("creator", sandbox))
    assert run.status == 1
    assert run.errors[-1].startswith("users: 429 Too Many Requests for /v1/users")
    assert "before the next try" in run.errors[-1]


def test_the_environment_is_searched_once_for_proxies_and_certificates(
    run_tap: RunTap, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches: list[str] = []
    search = requests.sessions.get_environ_proxies

    def count(url: str, no_proxy: str | None = None) -> object:
        searches.append(url)
        return search(url, no_proxy)

    monkeypatch.setattr("requests.sessions.get_environ_proxies", count)
    monkeypatch.setattr("requests.utils.get_environ_proxies", count)
    assert run_tap(impatient(sandbox)).status == 0
    # Once when the streams are made, for each API.
    assert len(searches) == 2
