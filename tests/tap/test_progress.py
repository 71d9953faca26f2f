"""The table at the end of the log."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from itertools import cycle
from typing import TYPE_CHECKING

import pytest
from sandboxes import EXPERIENCE_STREAMS, STREAMS, impatient, only
from waits import send_ahead_on_loopback, send_nothing_ahead, wait_until

from tap_analytics.sandbox import Reply, Request, Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runs import Run, RunTap

TAP = [sys.executable, "-m", "tap_analytics"]
PATHS = {
    "/v1/work-platforms": "work_platforms",
    "/v1/social/contents": "content_items",
    "/v1/social/income/transactions": "social_income_transactions",
}
HEADER = ["stream", "records", "requests", "retries", "throttled", "skipped", "seconds"]


WINDOW = 8
"""The default of `max_concurrent_requests`."""


def stream_of(request: Request) -> str:
    return PATHS.get(request.path) or request.path.rpartition("/")[2]


def lines_of(run: Run) -> list[str]:
    _, rest = run.log.split("This sync in numbers:\n")
    lines = rest.splitlines()
    return lines[: 1 + next(n for n, line in enumerate(lines) if line.startswith("total "))]


def table_of(run: Run) -> dict[str, dict[str, float]]:
    header, *lines = [line.split() for line in lines_of(run)]
    assert header == HEADER
    return {
        name: dict(zip(header[1:], map(float, numbers), strict=True)) for name, *numbers in lines
    }


def column(run: Run, name: str) -> dict[str, float]:
    return {stream: row[name] for stream, row in table_of(run).items() if stream != "total"}


def assert_counts(run: Run, sandbox: Sandbox) -> None:
    table = table_of(run)
    assert list(table)[-1] == "total"
    for name in HEADER[1:-1]:
        assert table["total"][name] == sum(column(run, name).values())
    assert column(run, "records") == {
        stream: len(run.ids(stream)) for stream in column(run, "records")
    }
    assert Counter(column(run, "retries")) == retries_in_the_log(run)
    # What has been sent ahead in vain may still be on its way, and a redirect is counted when its
    # last answer comes: after the table, for at most a window of requests.
    asked = column(run, "requests")
    wait_until(lambda: len(sandbox.requests) >= table["total"]["requests"])
    served = Counter(map(stream_of, sandbox.requests))
    late = {stream: served[stream] - asked[stream] for stream in served | Counter(asked)}
    assert all(0 <= count <= WINDOW for count in late.values()), late


def retries_in_the_log(run: Run) -> Counter[str]:
    """Count the retries by stream: those that have a line, and those that are only counted."""
    retries: Counter[str] = Counter()
    for line in run.warnings:
        if "; retry " in line:
            more, _, counted = line.rpartition(" more like this: ")
            retries[counted.split(" ")[0].split(":")[0]] += int(more or 1)
    return retries


@dataclass
class Trouble:
    """Lets every third request fail, each the first time only, in turn in all ways."""

    replies: dict[str, list[Reply]] = field(default_factory=dict)
    number: int = 0
    known: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)
    kinds: Iterator[Reply] = field(
        default_factory=lambda: cycle(
            [
                Reply(status=429),
                Reply(status=503),
                Reply(status=500),
                Reply(body=b"<html>"),
                Reply(fault="drop"),
                Reply(body={"data": []}, fault="cut"),
            ]
        )
    )

    def __call__(self, request: Request) -> Reply | None:
        with self.lock:
            self.number += 1
            target = f"{request.path} {request.query}"
            if target in self.known or self.number % 3:
                return None
            self.known.add(target)
            reply = next(self.kinds)
            self.replies.setdefault(stream_of(request), []).append(reply)
            return reply


@pytest.fixture(params=[True, False], ids=["ahead", "not ahead"])
def is_ahead(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Send requests ahead, or not."""
    send_ahead_on_loopback(monkeypatch)
    if not request.param:
        send_nothing_ahead(monkeypatch)
    return bool(request.param)


# The table


@pytest.mark.usefixtures("is_ahead")
@pytest.mark.parametrize("by_account", [False, True], ids=["plain", "per account"])
def test_the_table_says_what_was_emitted_and_asked_for(
    run_tap: RunTap, *, by_account: bool
) -> None:
    with Sandbox(rows=45) as sandbox:
        run = run_tap(impatient(sandbox, content_by_account=by_account))
        assert run.status == 0
        assert_counts(run, sandbox)
    assert set(table_of(run)) == {*STREAMS, "total"}
    assert column(run, "records") == dict.fromkeys(STREAMS, 45)
    assert not any(column(run, "retries").values())
    assert not any(column(run, "throttled").values())


@pytest.mark.parametrize("by_account", [False, True], ids=["plain", "per account"])
def test_the_table_says_what_went_wrong(
    run_tap: RunTap, *, is_ahead: bool, by_account: bool
) -> None:
    trouble = Trouble()
    with Sandbox(rows=45, intercept=trouble) as sandbox:
        run = run_tap(impatient(sandbox, content_by_account=by_account))
        assert run.status == 0, run.log
        assert_counts(run, sandbox)
    throttled = {
        stream: sum(reply.status in {429, 503} for reply in replies)
        for stream, replies in trouble.replies.items()
    }
    counted = Counter(column(run, "throttled"))
    # What was sent ahead may still be on its way when the sync is over.
    assert counted <= Counter(throttled) if is_ahead else counted == Counter(throttled)
    assert sum(counted.values()) > 5
    assert sum(throttled.values()) > 5
    failures = Counter({stream: len(replies) for stream, replies in trouble.replies.items()})
    retries = Counter(column(run, "retries"))
    # What fails ahead of need costs no retry, nor does a connection that is dropped when it is used
    # again.
    assert retries < failures if is_ahead else retries <= failures


@pytest.mark.usefixtures("is_ahead")
def test_the_hops_of_a_redirect_are_requests(run_tap: RunTap, sandbox: Sandbox) -> None:
    sandbox.intercept = lambda request: (
        Reply(status=307, headers={"Location": f"/v1/users?offset={offset}&limit=10&again=1"})
        if (offset := request.query.get("offset")) is not None
        and request.path == "/v1/users"
        and "again" not in request.query
        else None
    )
    run = run_tap(only("creator", sandbox))
    assert len(run.ids("users")) == 25
    assert_counts(run, sandbox)


@pytest.mark.usefixtures("is_ahead")
def test_redirects_without_end_are_requests_too(run_tap: RunTap, sandbox: Sandbox) -> None:
    sandbox.intercept = lambda request: (
        Reply(status=307, headers={"Location": "/v1/users"})
        if request.path == "/v1/users"
        else None
    )
    run = run_tap(only("creator", sandbox))
    assert run.status == 1
    assert column(run, "requests")["users"] > 30
    assert_counts(run, sandbox)


@pytest.mark.usefixtures("is_ahead")
def test_the_table_comes_before_the_errors(run_tap: RunTap, sandbox: Sandbox) -> None:
    sandbox.intercept = lambda request: {
        "/v1/users": Reply(status=403),
        "/v1/profiles": Reply(status=503),
    }.get(request.path)
    run = run_tap(impatient(sandbox, max_retries=2))
    assert run.status == 1
    assert_counts(run, sandbox)
    table = table_of(run)
    assert table["users"] | {"seconds": 0} == dict.fromkeys(HEADER[1:], 0) | {"requests": 1}
    assert table["profiles"]["retries"] == 2
    assert table["profiles"]["throttled"] == table["profiles"]["requests"] >= 3
    end = run.log.split(lines_of(run)[-1])[1].split("\n", 1)[1]
    assert len(run.errors) == 2
    assert [line.split(" | ")[1].strip() for line in end.splitlines()] == ["ERROR", "ERROR"]


def test_credentials_that_are_not_accepted_are_one_request(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    run = run_tap(impatient(sandbox, password="wrong"))  # noqa: S106
    assert run.status == 1
    assert_counts(run, sandbox)
    assert sum(column(run, "requests")[stream] for stream in EXPERIENCE_STREAMS) == 1


def test_the_columns_stand_below_their_names(run_tap: RunTap, sandbox: Sandbox) -> None:
    sandbox.data["users"] = [{"id": str(n)} for n in range(1000)]
    lines = lines_of(run_tap(only("creator", sandbox, page_size=100)))
    assert len({len(line) for line in lines}) == 1
    assert len(lines[0]) < 80
    assert [match.end() for match in re.finditer(r"\S+", lines[0])][1:] == [
        match.end() for match in re.finditer(r"\S+", lines[1])
    ][1:]
    assert any(line.startswith("social_income_transactions    ") for line in lines)


def test_only_what_is_read_is_in_the_table(run_tap: RunTap) -> None:
    with Sandbox(rows=25) as sandbox:
        config = only("creator", sandbox, content_by_account=True)
        catalog = json.loads(run_tap(config, "--discover").output)
        for entry in catalog["streams"]:
            entry["metadata"][-1]["metadata"]["selected"] = False
            for item in entry["metadata"]:
                if not item["breadcrumb"]:
                    item["metadata"]["selected"] = entry["tap_stream_id"] in {
                        "users",
                        "content_items",
                    }
        run = run_tap(config, catalog=catalog)
        assert_counts(run, sandbox)
    # Accounts are not selected, but asked for.
    assert column(run, "records") == {"accounts": 0, "content_items": 25, "users": 25}


def test_records_are_those_that_the_target_gets(run_tap: RunTap, sandbox: Sandbox) -> None:
    wanted = sandbox.data["users"][3]["id"]
    run = run_tap(
        only("creator", sandbox, stream_maps={"users": {"__filter__": f"id == '{wanted}'"}})
    )
    assert column(run, "records")["users"] == 1
    assert_counts(run, sandbox)
    catalog = json.loads(run_tap(only("creator", sandbox), "--discover").output)
    for entry in catalog["streams"]:
        for item in entry["metadata"]:
            item["metadata"]["selected"] = item["breadcrumb"] != ["properties", "name"]
    sandbox.requests.clear()
    run = run_tap(only("creator", sandbox), catalog=catalog)
    assert "name" not in run.records("users")[0]
    assert_counts(run, sandbox)


def test_records_in_batches_are_counted(run_tap: RunTap, sandbox: Sandbox, tmp_path: Path) -> None:
    batch_config = {
        "encoding": {"format": "jsonl", "compression": "gzip"},
        "storage": {"root": tmp_path.as_uri()},
    }
    run = run_tap(only("creator", sandbox, batch_config=batch_config))
    assert set(column(run, "records").values()) == {25}


def test_there_is_no_table_where_nothing_is_synced_or_nobody_wants_it(
    run_tap: RunTap, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = [run_tap(impatient(sandbox), option).log for option in ("--test", "--discover")]
    monkeypatch.setenv("TAP_ANALYTICS_LOGLEVEL", "WARNING")
    logs.append(run_tap(impatient(sandbox)).log)
    assert not any("throttled" in log for log in logs)
