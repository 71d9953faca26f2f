"""Singer messages are written in blocks, whole, and with every digit."""

from __future__ import annotations

import io
import json
import os
import sys
from contextlib import contextmanager, redirect_stdout
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from singer_sdk.contrib.msgspec import encoder
from singer_sdk.singerlib import RecordMessage, SchemaMessage, StateMessage

from tap_analytics._compat import override
from tap_analytics.singer import messages
from tap_analytics.singer.messages import BLOCK, MessageWriter, open_output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from singer_sdk.singerlib import Message


def record(**fields: Any) -> RecordMessage:
    return RecordMessage("tags", {"id": "1", **fields})


@pytest.mark.parametrize(
    "message",
    [
        SchemaMessage("tags", {"properties": {"id": {"default": None}}}, ["id"], ["updated_at"]),
        SchemaMessage("tags", {"properties": {}}, ["id"]),
        StateMessage({"bookmarks": {"tags": {"replication_key_value": None}}}),
    ],
)
def test_a_message_that_is_not_copied_is_spelled_as_the_sdk_does(message: Message) -> None:
    assert MessageWriter().serialize_message(message) == encoder.encode(message.to_dict())


@contextmanager
def standard_output(folder: Path) -> Iterator[Path]:
    """Let standard output go to a file. Not a fixture: pytest sets its own after those."""
    path = folder / "output"
    with (
        path.open("wb") as file,
        open_output(file.fileno()) as output,
        redirect_stdout(output),
    ):
        yield path


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (
            record(n=Decimal("1.10")),
            '{"type":"RECORD","stream":"tags","record":{"id":"1","n":1.10}}',
        ),
        (record(n=2**70), f'{{"type":"RECORD","stream":"tags","record":{{"id":"1","n":{2**70}}}}}'),
        (
            record(n="é\u2028"),
            '{"type":"RECORD","stream":"tags","record":{"id":"1","n":"é\u2028"}}',
        ),
        (
            record(n=datetime(2026, 1, 2, tzinfo=UTC)),
            '{"type":"RECORD","stream":"tags","record":{"id":"1","n":"2026-01-02T00:00:00Z"}}',
        ),
        (StateMessage({"bookmarks": {}}), '{"type":"STATE","value":{"bookmarks":{}}}'),
    ],
)
def test_a_message_is_one_line_with_every_digit(
    tmp_path: Path, message: Message, line: str
) -> None:
    with standard_output(tmp_path) as written:
        MessageWriter().write_message(message)
        sys.stdout.flush()
        assert written.read_text(encoding="utf-8") == f"{line}\n"


def test_a_state_flushes_all_messages_before_it_and_nothing_else_does(tmp_path: Path) -> None:
    with standard_output(tmp_path) as written:
        writer = MessageWriter()
        for _ in range(3):
            writer.write_message(record())
            assert not written.read_bytes()
        writer.write_message(StateMessage({}))
        assert [json.loads(line)["type"] for line in written.read_bytes().splitlines()] == [
            *["RECORD"] * 3,
            "STATE",
        ]


def test_a_full_buffer_is_written_as_a_block(tmp_path: Path) -> None:
    with standard_output(tmp_path) as written:
        writer = MessageWriter()
        for _ in range(BLOCK // 1000 + 1):
            writer.write_message(record(text="x" * 1000))
        assert BLOCK - 2000 <= len(written.read_bytes()) <= BLOCK


class Timer:
    """Stands in for the last resort, which ends the process."""

    started: tuple[object, ...] = ()

    def __init__(self, *args: object) -> None:
        self.args = args
        self.daemon = False

    def start(self) -> None:
        assert self.daemon
        Timer.started = self.args


def test_a_signal_between_messages_ends_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with standard_output(tmp_path) as written:
        monkeypatch.setattr(messages, "Timer", Timer)
        with pytest.raises(SystemExit) as ended:
            MessageWriter().end(143)
        assert ended.value.code == 143
        assert Timer.started == (messages.PATIENCE, os._exit, (143,))
        assert not written.read_bytes()


def test_a_signal_within_a_message_ends_the_process_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with standard_output(tmp_path) as written:
        monkeypatch.setattr(messages, "Timer", Timer)
        writer = MessageWriter()

        class Interrupted(io.BytesIO):
            @override
            def flush(self) -> None:
                writer.end(130)

        output = Interrupted()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output))
        with pytest.raises(SystemExit) as ended:
            writer.write_message(StateMessage({}))
        assert ended.value.code == 130
        assert output.getvalue() == b'{"type":"STATE","value":{}}\n'
        assert not written.read_bytes()


def pipe_without_reader() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.mark.parametrize(
    ("open_descriptor", "level", "line"),
    [
        (pipe_without_reader, "WARNING", "The target has gone, and so does the tap"),
        (
            lambda: os.open("/dev/full", os.O_WRONLY),
            "ERROR",
            "The output can't be written: No space left on device",
        ),
        (
            lambda: os.open(os.devnull, os.O_RDONLY),
            "ERROR",
            "The output can't be written: Bad file descriptor",
        ),
    ],
    ids=["no reader", "full disk", "read-only"],
)
def test_an_output_that_fails_is_one_line_and_then_silent(
    caplog: pytest.LogCaptureFixture, open_descriptor: Callable[[], int], level: str, line: str
) -> None:
    descriptor = open_descriptor()
    with open_output(descriptor) as output, redirect_stdout(output):
        with pytest.raises(SystemExit) as ended:
            MessageWriter().write_message(StateMessage({}))
        # The tap's last words, and what is left in the buffer.
        MessageWriter().write_message(StateMessage({}))
    os.close(descriptor)
    assert ended.value.code == 1
    assert [(entry.levelname, entry.getMessage()) for entry in caplog.records] == [(level, line)]
