"""What happens to a record between the API and the target."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest
from golden import TIMES
from loaders import mended
from sandboxes import CREATOR_STREAMS, STREAMS, deselect, impatient, only
from singer_sdk.contrib.msgspec import MsgSpecWriter

from tap_analytics.sandbox import Reply, Sandbox
from tap_analytics.singer.output import StreamOutput
from tap_analytics.singer.stream import AnalyticsStream
from tap_analytics.tap import TapAnalytics

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runs import Run, RunTap

    from tap_analytics.sandbox import Request


def serve(stream: str, *records: bytes, mark: bytes = b"") -> Callable[[Request], Reply | None]:
    """Serve a listing of these JSON texts, which need not be valid, after a byte order mark."""

    def intercept(request: Request) -> Reply | None:
        if not request.path.endswith(f"/{stream}"):
            return None
        page = records[int(request.query["offset"]) :]
        return Reply(body=mark + b'{"data": [' + b", ".join(page) + b"]}")

    return intercept


def served(*records: dict[str, Any]) -> list[bytes]:
    return [json.dumps(record).encode() for record in records]


def test_every_field_arrives_as_it_was_sent_but_for_timestamps(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    run = run_tap(impatient(sandbox))
    for stream in STREAMS:
        (schema,) = run.of_type("SCHEMA", stream)
        properties = schema["schema"]["properties"]
        timestamps = {n for n, p in properties.items() if p.get("format") == "date-time"}
        assert {"created_at", "updated_at"} <= timestamps
        sent = sandbox.data[stream]
        arrived = run.records(stream)
        assert len(arrived) == len(sent)
        for before, after in zip(sent, arrived, strict=True):
            assert before.keys() == after.keys()
            for name in before.keys() - timestamps:
                assert after[name] == mended(before[name]), (stream, name)
            for name in timestamps & before.keys():
                assert after[name] is None or after[name].endswith("+00:00")
                assert after[name] is None or len(after[name]) == 32
                assert (after[name] is None) == (before[name] in {None, ""})


def test_numbers_keep_every_digit(run_tap: RunTap, sandbox: Sandbox) -> None:
    numbers = [
        "12345678901234567890123456789",
        "-9223372036854775809",
        "0.1234567890123456789012345678901",
        "1234567890123456789.00000000000000000001",
        "1.10",
        "1E+400",
        "7" * 400,
    ]
    fields = ", ".join(f'"n{i}": {number}' for i, number in enumerate(numbers))
    sandbox.intercept = serve("users", f'{{"id": "1", {fields}}}'.encode())
    run = run_tap(only("creator", sandbox))
    line = next(line for line in run.output.splitlines() if b'"RECORD"' in line and b"n0" in line)
    for number in numbers:
        assert f":{number}".encode() in line


def test_half_an_emoji_costs_neither_the_record_nor_the_page(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    sandbox.intercept = serve(
        "users", rb'{"id": "1", "name": "A\ud83d"}', rb'{"id": "2", "name": "\ud83d\ude00"}'
    )
    run = run_tap(only("creator", sandbox))
    assert run.status == 0
    assert [record["name"] for record in run.records("users")] == ["A\ufffd", "\U0001f600"]
    assert [line for line in run.warnings if re.match("Record [12] holds", line)] == [
        "Record 1 holds text that is not valid Unicode; U+FFFD stands where it was lost"
    ]


def test_bytes_that_are_no_utf_8_cost_neither_the_record_nor_the_page(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    sandbox.intercept = serve("users", b'{"id": "1", "name": "caf\xe9"}', mark=b"\xef\xbb\xbf")
    run = run_tap(only("creator", sandbox))
    assert [record["name"] for record in run.records("users")] == ["caf\ufffd"]
    assert any("Record 1 holds text that is not valid Unicode" in line for line in run.warnings)


def test_fields_that_the_schema_does_not_list_arrive_and_are_named_once(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    sandbox.intercept = serve(
        "users", *served({"id": "1", "new": {"a": [1]}, "newer": 2}, {"id": "2", "new": 3})
    )
    run = run_tap(only("creator", sandbox))
    assert run.records("users")[0] == {"id": "1", "new": {"a": [1]}, "newer": 2}
    assert [line for line in run.warnings if "does not list" in line] == [
        "Passing on fields that the schema does not list: `new` and `newer`"
    ]


def test_an_invalid_record_is_an_error_that_names_stream_and_position(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    sandbox.intercept = serve("users", *served({"id": "1"}, {"name": "A", "url": "B"}))
    run = run_tap(only("creator", sandbox))
    assert run.status == 1
    assert run.errors[-1].startswith("users: record 1 of the listing has no `id`; its fields: ")
    assert run.bookmark("users") is None


def test_a_bookmark_comes_only_after_all_records_of_its_stream(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    messages = run_tap(impatient(sandbox)).messages
    for position, message in enumerate(messages):
        if message["type"] == "STATE":
            later = {m["stream"] for m in messages[position:] if m["type"] == "RECORD"}
            done = {
                stream
                for stream, bookmark in message["value"].get("bookmarks", {}).items()
                if "replication_key_value" in bookmark
            }
            assert not later & done


def test_stream_maps_flattening_and_versions_work_together(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    config = only(
        "creator",
        sandbox,
        stream_maps={
            "users": {"name": "sha256(name)", "external_id": None},
            "work_platforms": None,
        },
        flattening_enabled=True,
        flattening_max_depth=2,
        emit_activate_version_messages=True,
    )
    catalog = json.loads(run_tap(config, "--discover").output)
    for entry in catalog["streams"]:
        entry["replication_method"] = "FULL_TABLE"
    run = run_tap(config, catalog=catalog)
    assert run.status == 0
    assert all(len(record["name"]) == 64 for record in run.records("users"))
    assert not any("external_id" in record for record in run.records("users"))
    assert run.records("work_platforms") == []
    assert any("user__id" in record for record in run.records("accounts"))
    versions = {message["version"] for message in run.of_type("ACTIVATE_VERSION")}
    assert len(versions) == 1
    assert {message["version"] for message in run.of_type("RECORD")} == versions


def test_batches_hold_the_records_that_are_otherwise_messages(
    run_tap: RunTap, sandbox: Sandbox, tmp_path: Path
) -> None:
    config = only("creator", sandbox)
    batch_config = {
        "encoding": {"format": "jsonl", "compression": "none"},
        "storage": {"root": tmp_path.as_uri()},
    }
    plain = run_tap(config)
    run = run_tap({**config, "batch_config": batch_config})
    assert run.status == 0, run.log
    assert run.of_type("RECORD") == []
    for stream in CREATOR_STREAMS:
        files = [file for batch in run.of_type("BATCH", stream) for file in batch["manifest"]]
        lines = [line for file in files for line in urlopen(file).read().splitlines()]  # noqa: S310
        assert [json.loads(line, parse_float=Decimal) for line in lines] == plain.records(stream)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"content_by_account": True},
        {"flattening_enabled": True, "flattening_max_depth": 3},
        {"stream_maps": {"users": {"__filter__": "name < 'M'", "key": "md5(id)"}, "flows": None}},
        {"stream_maps": {"users": {"__alias__": "people"}, "tags": {"id": "id", "__else__": None}}},
        {"emit_activate_version_messages": True},
    ],
    ids=["plain", "per account", "flattened", "mapped", "renamed", "versioned"],
)
@pytest.mark.parametrize(
    ("method", "deselected"),
    [("INCREMENTAL", False), ("FULL_TABLE", True)],
    ids=["incremental", "full table, deselected"],
)
def test_the_messages_are_those_that_the_sdk_would_write(
    run_tap: RunTap,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    method: str,
    *,
    deselected: bool,
) -> None:
    config = impatient(sandbox, **settings)
    catalog = json.loads(run_tap(config, "--discover").output)
    for entry in catalog["streams"]:
        entry["replication_method"] = method
    if deselected:
        reputation = ("properties", "reputation")
        deselect(
            catalog,
            ("properties", "created_at"),
            (*reputation, "properties", "follower_count"),
            ("properties", "engagement"),
        )
    ours = run_tap(config, catalog=catalog)
    with monkeypatch.context() as patch:
        patch.setattr(TapAnalytics, "message_writer_class", MsgSpecWriter)
        patch.setattr(
            AnalyticsStream,
            "record_messages",
            lambda stream, record: stream._generate_record_messages(record),  # noqa: SLF001 - the SDK's
        )
        patch.setattr(StreamOutput, "begin", begin_as_the_sdk_does)
        theirs = run_tap(config, catalog=catalog)
    assert ours.status == theirs.status == 0
    assert lines_of_streams(ours) == lines_of_streams(theirs)
    assert ours.state == theirs.state


def lines_of_streams(run: Run) -> list[bytes]:
    """The lines of all messages but STATE, without times."""
    lines = [line for line in run.output.splitlines() if b'"type":"STATE"' not in line]
    assert sum(b'"type":"RECORD"' in line and b'"time_extracted":' in line for line in lines)
    assert sum(b'"type":"SCHEMA"' in line for line in lines)
    return [TIMES.sub(b"", line) for line in lines]


begin = StreamOutput.begin


def begin_as_the_sdk_does(output: StreamOutput) -> None:
    """Begin a stream with the SDK's own SCHEMA messages."""
    stream = output._stream  # noqa: SLF001 - only tests ask for it
    is_first = not output._has_begun and stream.selected  # noqa: SLF001 - the same
    write, output._write = output._write, lambda _: None  # noqa: SLF001 - the same
    begin(output)
    output._write = write  # noqa: SLF001 - the same
    if is_first:
        stream._write_schema_message()  # noqa: SLF001 - the SDK's
