"""A stream that fails, a target that goes away, a signal: what is left is whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from array import array
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fcntl import ioctl
from pathlib import Path
from termios import FIONREAD
from typing import IO, TYPE_CHECKING, Any

import pytest
from sandboxes import CREATOR_STREAMS, EXPERIENCE_STREAMS, STREAMS, impatient, only
from waits import DEADLINE, wait_until

from tap_analytics.sandbox import Reply, Request, Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runs import RunTap

SCRIPT = Path(sys.executable).with_name("tap-analytics")


def failing(reply: Reply, *paths: str) -> Callable[[Request], Reply | None]:
    return lambda request: reply if request.path.endswith(paths) else None


# Streams

FAILURES = {
    "a product that is not booked": (Reply(status=403), "flows: 403 Forbidden for "),
    "a path that is not there": (Reply(status=404), "flows: 404 Not Found for "),
    "retries used up": (Reply(status=503), "flows: 503 Service Unavailable for "),
    "no connection": (Reply(fault="drop"), "flows: no answer from 127.0.0.1"),
    "another schema": (Reply.json([{"name": "no id"}]), "flows: record 0 of the listing has no"),
    "no listing": (Reply.json({"items": []}), "flows: the response has no `data`"),
}


@pytest.mark.parametrize(("reply", "reason"), FAILURES.values(), ids=FAILURES)
def test_the_other_streams_are_synced_when_one_fails(
    run_tap: RunTap, sandbox: Sandbox, reply: Reply, reason: str
) -> None:
    first = run_tap(impatient(sandbox))
    sandbox.advance()
    sandbox.intercept = failing(reply, "/flows")
    run = run_tap(impatient(sandbox, max_retries=1), state=first.state)
    assert run.status == 1
    (error,) = run.errors
    assert error.startswith(reason)
    assert run.bookmark("flows") == first.bookmark("flows")
    for stream in set(STREAMS) - {"flows"}:
        assert run.ids(stream)
        assert (run.bookmark(stream) or "") > (first.bookmark(stream) or ""), stream
    assert run.messages[-1]["type"] == "STATE"
    assert "Traceback" not in run.log
    sandbox.intercept = None
    again = run_tap(impatient(sandbox), state=run.state)
    assert again.status == 0
    assert (again.bookmark("flows") or "") > (first.bookmark("flows") or "")


def test_each_stream_that_fails_has_an_error_line_of_its_own(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    sandbox.intercept = failing(Reply(status=403), "/flows", "/users", "/profiles")
    run = run_tap(impatient(sandbox))
    assert run.status == 1
    assert [line.split(":")[0] for line in run.errors] == ["flows", "profiles", "users"]
    assert all("403 Forbidden" in line for line in run.errors)


def test_records_read_before_a_stream_fails_arrive(run_tap: RunTap, sandbox: Sandbox) -> None:
    sandbox.intercept = lambda request: (
        Reply(status=500)
        if request.path == "/v1/users" and request.query["offset"] == "18"
        else None
    )
    run = run_tap(only("creator", sandbox, max_retries=0))
    assert run.status == 1
    assert len(run.ids("users")) == 20
    assert run.bookmark("users") is None
    assert len(run.ids("profiles")) == 25


def test_a_connection_test_names_each_stream_that_fails(run_tap: RunTap, sandbox: Sandbox) -> None:
    sandbox.intercept = failing(Reply(status=403), "/flows", "/users")
    run = run_tap(impatient(sandbox), "--test")
    assert run.status == 1
    assert [line.split(":")[0] for line in run.errors] == ["flows", "users"]


def test_a_stream_map_expression_that_fails_costs_only_its_stream(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    maps = {"users": {"name": "name + 1"}}
    run = run_tap(only("creator", sandbox, stream_maps=maps))
    assert run.status == 1
    assert run.errors[-1].startswith("users: ")
    assert run.bookmark("users") is None
    assert len(run.ids("profiles")) == 25
    assert "Traceback" not in run.log


@pytest.mark.parametrize("api", ["experience", "creator"])
def test_wrong_credentials_end_all_streams_of_their_api_with_one_error(
    run_tap: RunTap, sandbox: Sandbox, api: str
) -> None:
    name = {"experience": "password", "creator": "client_secret"}[api]
    run = run_tap(impatient(sandbox, **{name: "another-one"}))
    assert run.status == 1
    (error,) = run.errors
    refused = set(EXPERIENCE_STREAMS if api == "experience" else CREATOR_STREAMS)
    others = set(STREAMS) - refused
    assert "401 Unauthorized" in error
    assert all(stream in error for stream in refused)
    assert not any(f"`{stream}`" in error for stream in others)
    for stream in others:
        assert len(run.ids(stream)) == 25
        assert run.bookmark(stream)
    prefix = "/v2/" if api == "experience" else "/v1/"
    assert sum(request.path.startswith(prefix) for request in sandbox.requests) == 1


def test_streams_synced_before_credentials_are_revoked_keep_their_bookmarks(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    order = list(json.loads(run_tap(only("creator", sandbox), "--discover").output)["streams"])
    names = [entry["tap_stream_id"] for entry in order]
    revoked = False

    def revoke(request: Request) -> Reply | None:
        nonlocal revoked
        is_late = request.path == "/v1/social/contents" and request.query["offset"] == "18"
        revoked = revoked or is_late
        return Reply(status=401) if revoked else None

    sandbox.intercept = revoke
    run = run_tap(only("creator", sandbox))
    assert run.status == 1
    (error,) = run.errors
    assert error.startswith("content_items: 401 Unauthorized")
    complete = {name for name in names if run.bookmark(name)}
    assert complete == set(names[: names.index("content_items")])
    assert all(f"`{name}`" in error for name in names[names.index("content_items") + 1 :])


# Accounts


@pytest.fixture
def live() -> Iterator[Sandbox]:
    with Sandbox(rows=25, live=True) as running:
        yield running


def for_account(number: int, live: Sandbox, reply: Reply) -> Callable[[Request], Reply | None]:
    account = live.data["accounts"][number]["id"]
    return lambda request: (
        reply
        if request.query.get("account_id") == account and request.path == "/v1/social/contents"
        else None
    )


def test_the_other_accounts_are_read_when_one_fails(run_tap: RunTap, live: Sandbox) -> None:
    whole = run_tap(only("creator", live, content_by_account=True))
    account = live.data["accounts"][3]["id"]
    live.intercept = for_account(3, live, Reply(status=404))
    run = run_tap(only("creator", live, content_by_account=True))
    assert run.status == 1
    (error,) = run.errors
    assert error.startswith(f"content_items (account_id {account}): 404 Not Found for ")
    missing = set(whole.ids("content_items")) - set(run.ids("content_items"))
    assert missing == {
        item["id"] for item in live.data["content_items"] if item["account"]["id"] == account
    }
    assert run.bookmark("content_items") is None
    assert run.bookmark("social_income_transactions")
    assert run.bookmark("accounts")


def test_accounts_that_fail_are_counted_in_one_error_line(run_tap: RunTap, live: Sandbox) -> None:
    live.intercept = failing(Reply(status=403), "/v1/social/contents")
    run = run_tap(only("creator", live, content_by_account=True))
    (error,) = run.errors
    assert error.endswith(f" (and {len(live.data['accounts']) - 1} more of its listings)")
    assert run.bookmark("social_income_transactions")


def test_a_listing_that_is_down_is_not_retried_for_every_account(
    run_tap: RunTap, live: Sandbox
) -> None:
    live.intercept = failing(Reply(status=500), "/v1/social/contents")
    run = run_tap(only("creator", live, content_by_account=True, max_concurrent_requests=1))
    assert run.status == 1
    asked = [r.query["account_id"] for r in live.requests if r.path == "/v1/social/contents"]
    # The first pages of others have been asked for ahead of need, but none is asked for again.
    assert [asked.count(account) for account in set(asked) - {asked[0]}] == [1] * (
        len(set(asked)) - 1
    )
    assert run.bookmark("social_income_transactions")


def test_streams_read_per_account_are_incomplete_when_the_accounts_are(
    run_tap: RunTap, live: Sandbox
) -> None:
    live.intercept = lambda request: (
        Reply(status=500)
        if request.path == "/v1/accounts" and request.query["offset"] == "18"
        else None
    )
    run = run_tap(only("creator", live, content_by_account=True, max_retries=0))
    assert run.status == 1
    assert [line.split(":")[0] for line in run.errors] == [
        "accounts",
        "content_items",
        "social_income_transactions",
    ]
    assert "incomplete, as it is read for each of `accounts`" in run.errors[1]
    for stream in ("accounts", "content_items", "social_income_transactions"):
        assert run.bookmark(stream) is None
    assert run.ids("content_items")


@pytest.mark.parametrize("path", ["/v1/accounts", "/v1/social/contents"])
def test_wrong_credentials_are_one_error_when_content_is_read_per_account(
    run_tap: RunTap, live: Sandbox, path: str
) -> None:
    live.intercept = failing(Reply(status=401), path)
    run = run_tap(only("creator", live, content_by_account=True))
    (error,) = run.errors
    assert "401 Unauthorized" in error
    for stream in ("accounts", "content_items", "social_income_transactions"):
        assert stream in error
        assert run.bookmark(stream) is None


# Versions


def full_table(catalog: dict[str, Any]) -> dict[str, Any]:
    for entry in catalog["streams"]:
        entry["replication_method"] = "FULL_TABLE"
    return catalog


def test_a_version_is_activated_after_all_its_records(run_tap: RunTap, live: Sandbox) -> None:
    config = only("creator", live, content_by_account=True, emit_activate_version_messages=True)
    catalog = full_table(json.loads(run_tap(config, "--discover").output))
    run = run_tap(config, catalog=catalog)
    for stream in CREATOR_STREAMS:
        kinds = [m["type"] for m in run.messages if m.get("stream") == stream]
        assert kinds.count("ACTIVATE_VERSION") == 1
        assert kinds[-1] == "ACTIVATE_VERSION"


def test_a_version_that_is_incomplete_is_not_activated(run_tap: RunTap, live: Sandbox) -> None:
    config = only("creator", live, content_by_account=True, emit_activate_version_messages=True)
    catalog = full_table(json.loads(run_tap(config, "--discover").output))
    live.intercept = for_account(3, live, Reply(status=404))
    run = run_tap(config, catalog=catalog)
    activated = {message["stream"] for message in run.of_type("ACTIVATE_VERSION")}
    assert activated == set(CREATOR_STREAMS) - {"content_items"}


# Targets and signals


@contextmanager
def start(sandbox: Sandbox, folder: Path, **settings: object) -> Iterator[subprocess.Popen[bytes]]:
    """Start the tap. It ends with the context, so that no test waits for it for ever."""
    config = folder / "config.json"
    config.write_text(json.dumps(impatient(sandbox, **settings)))
    command: list[str | Path] = [SCRIPT, "--config", config]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def large(count: int, size: int) -> list[dict[str, Any]]:
    return [
        {"id": str(row), "name": "x" * size, "updated_at": "2024-05-01T10:00:00"}
        for row in range(count)
    ]


@pytest.mark.parametrize("lines", [0, 1, 300])
def test_a_target_that_goes_away_ends_the_tap_quietly(
    sandbox: Sandbox, tmp_path: Path, lines: int
) -> None:
    sandbox.data["users"] = large(1000, 2000)
    with start(sandbox, tmp_path, page_size=100) as process:
        assert process.stdout
        assert process.stderr
        for _ in range(lines):
            process.stdout.readline()
        process.stdout.close()
        log = process.stderr.read().decode()
    assert process.returncode == 1
    assert "Traceback" not in log
    assert "Error" not in log
    assert "ERROR" not in log
    assert "Exception" not in log
    assert log.count("The target has gone, and so does the tap") == 1


def test_discovery_ends_quietly_when_nobody_reads_the_catalog(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps(impatient(sandbox)))
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [SCRIPT, "--config", config, "--discover"],
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr


def test_a_signal_in_the_middle_of_opening_a_socket_prints_no_exception() -> None:
    code = """if True:
        import socket
        from tap_analytics.tap import TapAnalytics

        try:
            TapAnalytics()._handle_termination(15, None)
        finally:
            # Of which Python 3.13 and later say that it can't be closed.
            socket.SocketIO.__new__(socket.SocketIO)
    """
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == 128 + signal.SIGTERM
    assert b"Exception" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "settings", [{}, {"content_by_account": True}], ids=["plain", "per account"]
)
def test_a_signal_ends_the_tap_with_the_last_valid_state(
    tmp_path: Path, number: signal.Signals, settings: dict[str, Any], run_tap: RunTap
) -> None:
    arrived, answered = threading.Event(), threading.Event()

    def hang(request: Request) -> None:
        if request.path.endswith("/contents") and len(answered_pages) == 2:
            arrived.set()
            answered.wait(DEADLINE)
        elif request.path.endswith("/contents"):
            answered_pages.append(request)

    answered_pages: list[Request] = []
    with Sandbox(rows=60, live=bool(settings), intercept=hang) as sandbox:
        with start(sandbox, tmp_path, max_concurrent_requests=2, **settings) as process:
            reader = ThreadPoolExecutor().submit(process.communicate)
            assert arrived.wait(DEADLINE)
            process.send_signal(number)
            stuck = threading.Timer(DEADLINE, process.kill)
            stuck.start()
            output, log = reader.result()
            stuck.cancel()
        answered.set()
        sandbox.intercept = None
        assert process.returncode == 128 + number
        assert b"Traceback" not in log
        assert output.endswith(b"\n")
        messages = [json.loads(line) for line in output.splitlines()]
        assert messages[-1]["type"] == "STATE"
        state = messages[-1]["value"]
        assert ("replication_key_value" in state["bookmarks"]["accounts"]) != bool(settings)
        assert "replication_key_value" not in state["bookmarks"].get("content_items", {})
        rest = run_tap(impatient(sandbox, **settings), state=state)
        assert rest.status == 0
        assert set(rest.ids("content_items")) == {r["id"] for r in sandbox.data["content_items"]}


# A pipe of Linux takes 65,536 bytes, or a page less.
MOST_OF_A_PIPE = 60_000


def unread_bytes(pipe: IO[bytes] | None) -> int:
    assert pipe
    count = array("i", [0])
    ioctl(pipe.fileno(), FIONREAD, count)
    return count[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_tap_while_the_target_reads_nothing(
    sandbox: Sandbox, tmp_path: Path, number: signal.Signals
) -> None:
    sandbox.data["users"] = large(1000, 2000)
    with start(sandbox, tmp_path, page_size=100) as process:
        assert process.stdout
        head = process.stdout.read(1_000_000)
        # Now the pipe fills up, and nobody reads.
        wait_until(lambda: unread_bytes(process.stdout) > MOST_OF_A_PIPE)
        process.send_signal(number)
        assert process.wait(DEADLINE) == 128 + number
        assert head


def test_a_signal_cuts_no_line_of_300_kb_in_two(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.data["users"] = large(200, 300_000)
    with start(sandbox, tmp_path, page_size=2) as process:
        assert process.stdout
        head = process.stdout.read(3_000_001)
        process.send_signal(signal.SIGTERM)
        output = head + process.stdout.read()
    assert process.returncode == 128 + signal.SIGTERM
    assert output.endswith(b"\n")
    messages = [json.loads(line) for line in output.splitlines()]
    assert messages[-1]["type"] == "STATE"
    assert sum(message.get("stream") == "users" for message in messages) < 100
