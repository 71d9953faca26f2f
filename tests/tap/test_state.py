"""Bookmarks: what a sync leaves out because of them, and when they move."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from sandboxes import STREAMS, impatient, only

from tap_analytics.listing.timestamps import canonical
from tap_analytics.sandbox import Reply, Request, Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runs import RunTap


def state_of(stream: str, bookmark: object) -> dict[str, Any]:
    return {
        "bookmarks": {stream: {"replication_key": "updated_at", "replication_key_value": bookmark}}
    }


def users(*updated_at: object) -> list[dict[str, Any]]:
    return [
        {"id": f"user-{number}", "name": "A", "updated_at": value}
        for number, value in enumerate(updated_at)
    ]


def serve_users(sandbox: Sandbox, records: list[dict[str, Any]]) -> None:
    """Let the sandbox have these users and nothing else."""
    for resource in sandbox.data:
        sandbox.data[resource] = []
    sandbox.data["users"] = records


def due(records: Iterable[dict[str, Any]], bookmark: str) -> set[str]:
    return {r["id"] for r in records if (canonical(r["updated_at"]) or "") >= bookmark}


def test_a_second_sync_emits_what_changed_and_what_equals_the_bookmark(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    first = run_tap(impatient(sandbox))
    before = {stream: {r["id"]: dict(r) for r in sandbox.data[stream]} for stream in STREAMS}
    sandbox.advance()
    second = run_tap(impatient(sandbox), state=first.state)
    for stream in STREAMS:
        assert len(first.ids(stream)) == 25
        changed = {
            record["id"]
            for record in sandbox.data[stream]
            if before[stream].get(record["id"], {}).get("updated_at") != record["updated_at"]
        }
        bookmark = first.bookmark(stream)
        assert bookmark is not None
        at_bookmark = {
            record["id"]
            for record in sandbox.data[stream]
            if canonical(record["updated_at"]) == bookmark
        }
        assert changed
        assert set(second.ids(stream)) == changed | at_bookmark
        assert len(second.ids(stream)) < 25
        assert (second.bookmark(stream) or "") > bookmark


def test_a_third_sync_with_nothing_new_emits_only_what_equals_the_bookmark(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    first = run_tap(impatient(sandbox))
    second = run_tap(impatient(sandbox), state=first.state)
    for stream in STREAMS:
        assert set(second.ids(stream)) == due(sandbox.data[stream], first.bookmark(stream) or "")
    assert second.state == first.state


def test_the_bookmark_is_the_latest_of_all_forms_of_timestamps(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    # As text, the earliest of them would be the greatest.
    serve_users(
        sandbox,
        users(
            "2024-05-01T10:00:00",
            1714557600001,  # 10:00:00.001
            "2024-05-01T15:30:00.002+05:30",  # 10:00:00.002
            "2024-05-01T09:59:59.999999Z",
        ),
    )
    run = run_tap(only("creator", sandbox))
    assert run.bookmark("users") == "2024-05-01T10:00:00.002000+00:00"
    again = run_tap(only("creator", sandbox), state=run.state)
    assert again.ids("users") == ["user-2"]


def test_records_without_a_replication_value_are_always_emitted_and_warned_of(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    records = users("2024-05-01T10:00:00", None, "", "no date", "2024-05-01T11:00:00")
    records.append({"id": "user-5", "name": "A"})
    serve_users(sandbox, records)
    first = run_tap(only("creator", sandbox))
    assert first.bookmark("users") == "2024-05-01T11:00:00.000000+00:00"
    second = run_tap(only("creator", sandbox), state=first.state)
    assert second.ids("users") == ["user-1", "user-2", "user-3", "user-4", "user-5"]
    assert second.bookmark("users") == first.bookmark("users")
    told = (
        "Record {} has no `updated_at`: it is extracted in every sync and never moves the bookmark"
    )
    assert [line for line in first.warnings if "never moves the bookmark" in line] == [
        told.format(key) for key in first.ids("users") if key not in {"user-0", "user-4"}
    ]
    assert "Record user-3: `updated_at` is no timestamp and becomes null: 'no date'" in (
        first.warnings
    )
    assert "New replication value is null" not in first.log
    sent = {record["id"]: record for record in first.records("users")}
    assert sent["user-2"]["updated_at"] is None
    assert sent["user-3"]["updated_at"] is None
    assert "updated_at" not in sent["user-5"]


def test_records_without_a_replication_value_leave_the_bookmark_where_it_is(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    serve_users(sandbox, users(None, None))
    bookmark = "2024-05-01T11:00:00.000000+00:00"
    run = run_tap(only("creator", sandbox), state=state_of("users", bookmark))
    assert run.ids("users") == ["user-0", "user-1"]
    assert run.bookmark("users") == bookmark


def test_records_older_than_the_start_date_are_left_out(run_tap: RunTap, sandbox: Sandbox) -> None:
    serve_users(sandbox, users("2024-04-30T23:59:59", "2024-05-01T00:00:00", "2024-06-01"))
    run = run_tap(only("creator", sandbox, start_date="2024-05-01"))
    assert run.ids("users") == ["user-1", "user-2"]


@pytest.mark.parametrize(
    ("start_date", "expected"),
    [
        ("2024-04-01T00:00:00Z", ["user-1", "user-2"]),
        ("2024-05-15T00:00:00Z", ["user-2"]),
        ("2024-05-15T02:00:00+02:00", ["user-2"]),
    ],
)
def test_the_later_of_start_date_and_bookmark_counts(
    run_tap: RunTap, sandbox: Sandbox, start_date: str, expected: list[str]
) -> None:
    serve_users(sandbox, users("2024-04-30T23:59:59", "2024-05-01T00:00:00", "2024-06-01"))
    run = run_tap(
        only("creator", sandbox, start_date=start_date),
        state=state_of("users", "2024-05-01T00:00:00.000000+00:00"),
    )
    assert run.ids("users") == expected


@pytest.mark.parametrize(
    ("lookback", "start_date", "expected"),
    [
        (0, None, ["user-3"]),
        (60, None, ["user-2", "user-3"]),
        (3600, None, ["user-1", "user-2", "user-3"]),
        (3600, "2024-05-01T09:30:00", ["user-2", "user-3"]),
        (10**12, None, ["user-0", "user-1", "user-2", "user-3"]),
    ],
)
def test_a_lookback_window_reads_again_but_never_before_the_start_date(
    run_tap: RunTap,
    sandbox: Sandbox,
    lookback: int,
    start_date: str | None,
    expected: list[str],
) -> None:
    serve_users(
        sandbox,
        users(
            "2024-05-01T08:59:59",
            "2024-05-01T09:00:00",
            "2024-05-01T09:59:00",
            "2024-05-01T10:00:00",
        ),
    )
    settings: dict[str, Any] = {"lookback_window": lookback}
    if start_date:
        settings["start_date"] = start_date
    run = run_tap(
        only("creator", sandbox, **settings), state=state_of("users", "2024-05-01T10:00:00Z")
    )
    assert run.ids("users") == expected
    assert run.bookmark("users") == "2024-05-01T10:00:00.000000+00:00"


@pytest.mark.parametrize("bookmark", [1714557600000, "2024-05-01 10:00:00", "2024-05-01T10:00:00Z"])
def test_a_bookmark_in_another_form_is_understood(
    run_tap: RunTap, sandbox: Sandbox, bookmark: object
) -> None:
    serve_users(sandbox, users("2024-05-01T09:59:59.999999", "2024-05-01T10:00:00"))
    run = run_tap(only("creator", sandbox), state=state_of("users", bookmark))
    assert run.ids("users") == ["user-1"]


def test_a_bookmark_that_is_no_timestamp_stops_the_tap_before_the_first_request(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    run = run_tap(only("creator", sandbox), state=state_of("users", "page 7"))
    assert run.status == 1
    assert run.errors[0] == "The state's bookmark of `users` is no timestamp: 'page 7'"
    assert sandbox.requests == []


def test_a_record_dated_2999_does_not_move_the_bookmark_there(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    # Else whatever changes until then would be missed.
    serve_users(sandbox, users("2024-05-01T10:00:00", "2999-01-01T00:00:00"))
    run = run_tap(only("creator", sandbox))
    assert "2024-05-01" < (run.bookmark("users") or "") < "2999"
    again = run_tap(only("creator", sandbox), state=run.state)
    assert again.ids("users") == ["user-1"]


def test_full_table_in_the_catalog_turns_the_filter_off(run_tap: RunTap, sandbox: Sandbox) -> None:
    config = only("creator", sandbox)
    first = run_tap(config)
    catalog = json.loads(run_tap(config, "--discover").output)
    for entry in catalog["streams"]:
        if entry["tap_stream_id"] == "users":
            entry["replication_method"] = "FULL_TABLE"
    second = run_tap(config, state=first.state, catalog=catalog)
    assert len(second.ids("users")) == 25
    assert len(second.ids("accounts")) < 25
    assert second.bookmark("users") == first.bookmark("users")


@pytest.mark.parametrize("stream", ["flows", "users"])
def test_a_stream_that_fails_half_way_keeps_its_bookmark(
    run_tap: RunTap, sandbox: Sandbox, stream: str
) -> None:
    def fail(request: Request) -> Reply | None:
        broken = request.path.endswith("/flows") or request.query.get("offset") == "18"
        return Reply(status=500) if broken else None

    first = run_tap(impatient(sandbox, max_retries=0))
    sandbox.advance()
    sandbox.intercept = fail
    failed = run_tap(impatient(sandbox, max_retries=0), state=first.state)
    assert failed.status == 1
    assert failed.bookmark(stream) == first.bookmark(stream)
    sandbox.intercept = None
    second = run_tap(impatient(sandbox), state=failed.state)
    assert set(second.ids(stream)) == due(sandbox.data[stream], first.bookmark(stream) or "")


def test_a_sync_without_trouble_warns_of_nothing(run_tap: RunTap, sandbox: Sandbox) -> None:
    for stream in STREAMS:
        sandbox.data[stream] = [{"id": "1", "updated_at": "2024-05-01T10:00:00"}]
    run = run_tap(impatient(sandbox))
    assert run.status == 0
    assert run.warnings == []
    assert run.errors == []


def test_the_final_state_holds_bookmarks_and_nothing_else(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    state = run_tap(impatient(sandbox)).state
    assert state["bookmarks"].keys() == set(STREAMS)
    for bookmark in state["bookmarks"].values():
        assert bookmark.keys() == {"replication_key", "replication_key_value"}
