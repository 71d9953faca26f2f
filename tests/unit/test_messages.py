"""Singer messages are written in blocks, whole, and with every digit."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from singer_sdk.singerlib import RecordMessage, StateMessage

from tap_analytics.singer import messages
from tap_analytics.singer.messages import BLOCK, MessageWriter, open_output

if TYPE_CHECKING:
    from collections.abc import Iterator

    from singer_sdk.singerlib import Message


def record(**fields: Any) -> RecordMessage:
    return RecordMessage("users", {"id": "1", **fields})


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The target's end of a pipe that standard output writes to."""
    target, tap = os.pipe()
    os.set_blocking(target, False)  # noqa: FBT003 - it has no name
    with open_output(tap) as output:
        monkeypatch.setattr(sys, "stdout", output)
        yield target
    os.close(target)
    os.close(tap)


def read(pipe: int) -> bytes:
    try:
        return os.read(pipe, 10 * BLOCK)
    except BlockingIOError:
        return b""


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (record(n=Decimal("1.10")), '{"type":"RECORD","stream":"users","record":{"id":"1","n":1.10}}'),
        (record(n=2**70), '{"type":"RECORD","stream":"users","record":{"id":"1","n":%d}}' % 2**70),
        (record(n="é\u2028"), '{"type":"RECORD","stream":"users","record":{"id":"1","n":"é\u2028"}}'),
        (
            record(n=datetime(2026, 1, 2, tzinfo=UTC)),
            '{"type":"RECORD","stream":"users","record":{"id":"1","n":"2026-01-02T00:00:00Z"}}',
        ),
        (StateMessage({"bookmarks": {}}), '{"type":"STATE","value":{"bookmarks":{}}}'),
    ],
)
def test_a_message_is_one_line_with_every_digit(pipe: int, message: Message, line: str) -> None:
    MessageWriter().write_message(message)
    sys.stdout.flush()
    assert read(pipe).decode() == f"{line}\n"


def test_a_state_flushes_all_messages_before_it_and_nothing_else_does(pipe: int) -> None:
    writer = MessageWriter()
    for _ in range(3):
        writer.write_message(record())
        assert not read(pipe)
    writer.write_message(StateMessage({}))
    assert [json.loads(line)["type"] for line in read(pipe).splitlines()] == [
        *["RECORD"] * 3,
        "STATE",
    ]


def test_a_full_buffer_is_written_as_a_block(pipe: int) -> None:
    os.set_blocking(pipe, True)  # noqa: FBT003 - it has no name
    writer = MessageWriter()
    written = 0
    while written <= BLOCK:
        writer.write_message(record(text="x" * 1000))
        written += 1000
    assert BLOCK - 2000 <= len(read(pipe)) <= BLOCK


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
    pipe: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "Timer", Timer)
    with pytest.raises(SystemExit) as ended:
        MessageWriter().end(143)
    assert ended.value.code == 143
    assert Timer.started == (messages.PATIENCE, os._exit, (143,))
    assert not read(pipe)


def test_a_signal_within_a_message_ends_the_process_after_it(
    pipe: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "Timer", Timer)
    writer = MessageWriter()

    class Interrupted(io.BytesIO):
        def flush(self) -> None:
            writer.end(130)

    output = Interrupted()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output))
    with pytest.raises(SystemExit) as ended:
        writer.write_message(StateMessage({}))
    assert ended.value.code == 130
    assert output.getvalue() == b'{"type":"STATE","value":{}}\n'
    assert not read(pipe)


@pytest.mark.parametrize(
    ("number", "level", "line"),
    [
        (errno.EPIPE, "WARNING", "The target has gone, and so does the tap"),
        (errno.ENOSPC, "ERROR", "The output can't be written: No space left on device"),
        (errno.EBADF, "ERROR", "The output can't be written: Bad file descriptor"),
    ],
)
def test_an_output_that_fails_is_one_line_and_then_silent(
    pipe: int, caplog: pytest.LogCaptureFixture, number: int, level: str, line: str
) -> None:
    raw = sys.stdout.buffer.raw  # type: ignore[attr-defined] # a BufferedWriter has one
    copy = os.dup(raw.fileno())

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(io.FileIO, "write", fail)
        MessageWriter().write_message(StateMessage({}))
    assert ended.value.code == 1
    assert [(entry.levelname, entry.getMessage()) for entry in caplog.records] == [(level, line)]
    MessageWriter().write_message(StateMessage({}))
    os.dup2(copy, raw.fileno())
    os.close(copy)
    assert not read(pipe)
