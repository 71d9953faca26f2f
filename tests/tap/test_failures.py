"""A stream that fails, a target that goes away, a signal: what is left is whole."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sandboxes import CREATOR_STREAMS, EXPERIENCE_STREAMS, STREAMS, impatient, only
from waits import DEADLINE, MOST_OF_A_PIPE, send_nothing_ahead, unread_bytes, wait_until

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
    assert len(run.ids("users")) == 19
    assert run.bookmark("users") is None
    assert len(run.ids("profiles")) == 25


def test_a_connection_test_names_each_stream_that_fails(run_tap: RunTap, sandbox: Sandbox) -> None:
    sandbox.intercept = failing(Reply(status=403), "/flows", "/users")
    run = run_tap(impatient(sandbox), "--test")
    assert run.status == 1
    assert [line.split(":")[0] for line in run.errors] == ["flows", "users"]


@pytest.mark.parametrize(
    ("expression", "cause"),
    [
        ("name + 1", """TypeError: can only concatenate str (not "int") to str"""),
        ("nme", "NameNotDefined: 'nme' is not defined for expression 'nme if "),
        ("_['nme']", "KeyError: 'nme'"),
        ("int(\n'x'\n)", "ValueError: invalid literal for int() with base 10: 'x'"),
    ],
)
@pytest.mark.parametrize("target", ["name", "__filter__"])
@pytest.mark.parametrize("is_whole", [True, False], ids=["whole", "without a field"])
def test_a_stream_map_that_fails_names_the_record_and_costs_only_its_stream(
    run_tap: RunTap, sandbox: Sandbox, expression: str, cause: str, target: str, *, is_whole: bool
) -> None:
    # An expression that works comes before the one that doesn't.
    maps = {"users": {"external_id": "id", target: f"{expression} if id == '3' else name"}}
    sandbox.data["users"] = [{"id": str(number), "name": "A"} for number in range(1, 6)]
    config = only("creator", sandbox, stream_maps=maps)
    catalog = json.loads(run_tap(only("creator", sandbox), "--discover").output)
    for entry in catalog["streams"]:
        for item in entry["metadata"]:
            is_field_left_out = not is_whole and item["breadcrumb"] == ["properties", "status"]
            item["metadata"]["selected"] = not is_field_left_out
    run = run_tap(config, catalog=catalog)
    assert run.status == 1
    (error,) = run.errors
    shown = expression.replace("\n", " ")
    start = f"users: the stream map's `{shown} if id == '3' else name` fails for record 3: "
    assert error.startswith(start)
    assert error.removeprefix(start).startswith(cause)
    assert run.ids("users") == ["1", "2"]
    assert run.bookmark("users") is None
    assert len(run.ids("profiles")) == 25
    assert "Traceback" not in run.log


def test_a_stream_map_that_fails_for_an_account_does_not_drop_all_accounts(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    maps = {"accounts": {"__filter__": "nme"}}
    run = run_tap(only("creator", sandbox, content_by_account=True, stream_maps=maps))
    assert run.status == 1
    account = sandbox.page("accounts")["data"][0]["id"]
    cause = "NameNotDefined: 'nme' is not defined for expression 'nme'"
    assert run.errors == [
        f"accounts: the stream map's `nme` fails for record {account}: {cause}",
        "content_items: incomplete, as it is read for each of `accounts`",
        "social_income_transactions: incomplete, as it is read for each of `accounts`",
    ]
    assert not any("drops all records" in line for line in run.warnings)


@pytest.mark.parametrize(
    ("maps", "line"),
    [
        ({"users": {"name": "(("}}, "`stream_maps.users.name` is no expression ("),
        ({"tags": {"name": "(("}}, "`stream_maps.tags.name` is no expression ("),
        ({"users": {"id": None}}, "`stream_maps`: Removing key property 'id' is not permitted in "),
        ({"users": {"__key_properties__": ["no"]}}, "`stream_maps`: Invalid key properties for "),
        ({"users": 3}, "`stream_maps.users` must be an object, or null to drop the stream"),
    ],
)
def test_a_stream_map_that_can_t_be_used_is_a_line_before_the_first_request(
    run_tap: RunTap, sandbox: Sandbox, maps: dict[str, Any], line: str
) -> None:
    run = run_tap(only("creator", sandbox, stream_maps=maps))
    assert run.status == 1
    assert run.errors[0].startswith(line)
    assert "Traceback" not in run.log
    assert sandbox.requests == []


def test_a_stream_map_for_a_stream_that_does_not_exist_is_warned_of(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    maps: dict[str, Any] = {"usres": {"name": "id"}, "flows": {"name": "id"}}
    run = run_tap(only("creator", sandbox, stream_maps=maps))
    assert run.status == 0
    # Flows exist, though there are no credentials for their API.
    assert [line for line in run.warnings if "stream_maps" in line] == [
        "`stream_maps.usres` does nothing, as there is no stream `usres`; did you mean `users`?"
    ]
    assert len(run.ids("users")) == 25


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
    run_tap: RunTap, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_nothing_ahead(monkeypatch)
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


def for_account(number: int, sandbox: Sandbox, reply: Reply) -> Callable[[Request], Reply | None]:
    account = sandbox.data["accounts"][number]["id"]
    return lambda request: (
        reply
        if request.query.get("account_id") == account and request.path == "/v1/social/contents"
        else None
    )


def test_the_other_accounts_are_read_when_one_fails(run_tap: RunTap, sandbox: Sandbox) -> None:
    whole = run_tap(only("creator", sandbox, content_by_account=True))
    account = sandbox.data["accounts"][3]["id"]
    sandbox.intercept = for_account(3, sandbox, Reply(status=404))
    run = run_tap(only("creator", sandbox, content_by_account=True))
    assert run.status == 1
    (error,) = run.errors
    assert error.startswith(f"content_items (account_id {account}): 404 Not Found for ")
    missing = set(whole.ids("content_items")) - set(run.ids("content_items"))
    assert missing == {
        item["id"] for item in sandbox.data["content_items"] if item["account"]["id"] == account
    }
    assert run.account_bookmarks("content_items").keys() == (
        whole.account_bookmarks("content_items").keys() - {account}
    )
    for stream in ("social_income_transactions", "accounts"):
        assert run.state["bookmarks"][stream] == whole.state["bookmarks"][stream]


def test_ten_accounts_that_fail_are_named_and_the_others_counted(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    sandbox.intercept = failing(Reply(status=403), "/v1/social/contents")
    run = run_tap(only("creator", sandbox, content_by_account=True))
    assert run.status == 1
    *named, counted = run.errors
    accounts = [account["id"] for account in sandbox.data["accounts"]]
    assert [line.split(":")[0] for line in named] == [
        f"content_items (account_id {account})" for account in accounts[:10]
    ]
    assert counted == f"content_items: and {len(accounts) - 10} more of its listings"
    # The log names the first of them as they fail, too.
    alike = [line for line in run.warnings if "everything else goes on" in line]
    assert [line.split(":")[0] for line in alike] == [
        *(f"content_items (account_id {account})" for account in accounts[:5]),
        f"{len(accounts) - 5} more like this",
    ]
    assert run.account_bookmarks("content_items") == {}
    assert run.account_bookmarks("social_income_transactions")


def test_an_api_is_given_up_after_three_listings_in_a_row_that_use_up_their_retries(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    sandbox.intercept = failing(Reply(status=500), "/v1/social/contents", "/transactions")
    run = run_tap(
        only("creator", sandbox, content_by_account=True, max_concurrent_requests=1, max_retries=2)
    )
    assert run.status == 1
    first, second = (account["id"] for account in sandbox.data["accounts"][:2])
    assert [line.split(":")[0] for line in run.errors] == [
        f"content_items (account_id {first})",
        f"social_income_transactions (account_id {first})",
        f"content_items (account_id {second})",
    ]
    last = run.errors[-1]
    assert "; tried 3 times; 3 listings in a row have failed; also not read: " in last
    for stream in ("social_income_transactions", "profiles", "users", "work_platforms"):
        assert f"`{stream}`" in last
        assert run.ids(stream) == []
    assert "`content_items`" not in last


def test_listings_that_fail_in_turn_with_others_that_do_not_give_up_no_api(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    sandbox.intercept = failing(Reply(status=500), "/v1/social/contents")
    run = run_tap(only("creator", sandbox, content_by_account=True, max_retries=0))
    assert run.status == 1
    assert len(run.ids("social_income_transactions")) == 25
    assert len(run.ids("users")) == 25
    assert run.errors[-1] == "content_items: and 15 more of its listings"


def test_streams_read_per_account_are_incomplete_when_the_accounts_are(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    sandbox.intercept = lambda request: (
        Reply(status=500)
        if request.path == "/v1/accounts" and request.query["offset"] == "18"
        else None
    )
    run = run_tap(only("creator", sandbox, content_by_account=True, max_retries=0))
    assert run.status == 1
    assert [line.split(":")[0] for line in run.errors] == [
        "accounts",
        "content_items",
        "social_income_transactions",
    ]
    assert "incomplete, as it is read for each of `accounts`" in run.errors[1]
    assert run.bookmark("accounts") is None
    # The accounts that were met have been read to their ends.
    met = {account["id"] for account in sandbox.data["accounts"][:19]}
    for stream in ("content_items", "social_income_transactions"):
        assert run.account_bookmarks(stream).keys() == met & {
            record["account"]["id"] for record in sandbox.data[stream]
        }


@pytest.mark.parametrize("path", ["/v1/accounts", "/v1/social/contents"])
def test_wrong_credentials_are_one_error_when_content_is_read_per_account(
    run_tap: RunTap, sandbox: Sandbox, path: str
) -> None:
    sandbox.intercept = failing(Reply(status=401), path)
    run = run_tap(only("creator", sandbox, content_by_account=True))
    (error,) = run.errors
    assert "401 Unauthorized" in error
    for stream in ("accounts", "content_items", "social_income_transactions"):
        assert stream in error
        assert run.bookmark(stream) is None
        assert run.account_bookmarks(stream) == {}


# Versions


def full_table(catalog: dict[str, Any]) -> dict[str, Any]:
    for entry in catalog["streams"]:
        entry["replication_method"] = "FULL_TABLE"
    return catalog


def test_a_version_is_activated_after_all_its_records(run_tap: RunTap, sandbox: Sandbox) -> None:
    config = only("creator", sandbox, content_by_account=True, emit_activate_version_messages=True)
    catalog = full_table(json.loads(run_tap(config, "--discover").output))
    run = run_tap(config, catalog=catalog)
    for stream in CREATOR_STREAMS:
        kinds = [m["type"] for m in run.messages if m.get("stream") == stream]
        assert kinds.count("ACTIVATE_VERSION") == 1
        assert kinds[-1] == "ACTIVATE_VERSION"


def test_a_version_that_is_incomplete_is_not_activated(run_tap: RunTap, sandbox: Sandbox) -> None:
    config = only("creator", sandbox, content_by_account=True, emit_activate_version_messages=True)
    catalog = full_table(json.loads(run_tap(config, "--discover").output))
    sandbox.intercept = for_account(3, sandbox, Reply(status=404))
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
        import os, signal, socket, sys
        from tap_analytics.singer.signals import end_on_signals

        end_on_signals(sys.exit)
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            # Of which Python 3.13 and later say that it can't be closed.
            socket.SocketIO.__new__(socket.SocketIO)
    """
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == 128 + signal.SIGTERM
    assert b"Exception" not in done.stderr


def hanging(path: str, after: int, arrived: threading.Event) -> Callable[[Request], None]:
    """Answer no request for a path any more after the first ones."""
    numbers = itertools.count()

    def hang(request: Request) -> None:
        if request.path == path and next(numbers) >= after:
            arrived.set()
            threading.Event().wait(DEADLINE)

    return hang


def has_bookmark(line: bytes, stream: str) -> bool:
    message = json.loads(line)
    bookmarks = message["value"]["bookmarks"] if message["type"] == "STATE" else {}
    return "replication_key_value" in bookmarks.get(stream, {})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_tap_with_the_last_valid_state(
    tmp_path: Path, number: signal.Signals, sandbox: Sandbox, run_tap: RunTap
) -> None:
    arrived = threading.Event()
    sandbox.intercept = hanging("/v1/social/contents", 2, arrived)
    head = []
    with start(sandbox, tmp_path) as process:
        assert process.stdout
        assert process.stderr
        # STATE messages flush the output.
        for line in process.stdout:
            head.append(line)
            if has_bookmark(line, "accounts"):
                break
        assert arrived.wait(DEADLINE)
        process.send_signal(number)
        output = b"".join(head) + process.stdout.read()
        log = process.stderr.read()
    assert process.returncode == 128 + number
    assert b"Traceback" not in log
    assert output.endswith(b"\n")
    messages = [json.loads(line) for line in output.splitlines()]
    assert messages[-1]["type"] == "STATE"
    state = messages[-1]["value"]
    assert "replication_key_value" in state["bookmarks"]["accounts"]
    assert "replication_key_value" not in state["bookmarks"]["content_items"]
    sandbox.intercept = None
    rest = run_tap(impatient(sandbox), state=state)
    assert rest.status == 0
    assert set(rest.ids("content_items")) == {r["id"] for r in sandbox.data["content_items"]}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_tap_with_the_bookmarks_of_the_accounts_that_have_been_read(
    tmp_path: Path, number: signal.Signals, sandbox: Sandbox, run_tap: RunTap
) -> None:
    arrived = threading.Event()
    sandbox.intercept = hanging("/v1/social/contents", 20, arrived)
    with start(sandbox, tmp_path, content_by_account=True, max_concurrent_requests=1) as process:
        reader = ThreadPoolExecutor().submit(process.communicate)
        assert arrived.wait(DEADLINE)
        process.send_signal(number)
        output, log = reader.result()
    assert process.returncode == 128 + number
    assert b"Traceback" not in log
    messages = [json.loads(line) for line in output.splitlines()]
    assert messages[-1]["type"] == "STATE"
    state = messages[-1]["value"]
    assert "replication_key_value" not in state["bookmarks"]["accounts"]
    read = state["bookmarks"]["content_items"]["accounts"]
    content = sandbox.data["content_items"]
    assert 0 < len(read) < len({record["account"]["id"] for record in content})
    before = {
        message["record"]["id"]
        for message in messages
        if message["type"] == "RECORD" and message["stream"] == "content_items"
    }
    assert before >= {record["id"] for record in content if record["account"]["id"] in read}
    sandbox.intercept = None
    config = impatient(sandbox, content_by_account=True)
    rest = run_tap(config, state=state)
    assert rest.status == 0
    assert before | {*rest.ids("content_items")} == {record["id"] for record in content}
    # Next to nothing comes twice: what may have changed since the bookmark.
    latest = max(read.values())
    again = [r for r in rest.records("content_items") if r["account"]["id"] in read]
    assert all(record["updated_at"] >= latest for record in again)


@pytest.mark.slow
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
