"""The line that says every ten seconds how far a sync is, in virtual time."""

from __future__ import annotations

import logging
import threading
from itertools import count
from typing import TYPE_CHECKING

import pytest
from waits import wait_until

from tap_analytics.log.progress import ProgressLog

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(autouse=True)
def _at_info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def ending_after(lines: int) -> tuple[Callable[[float], bool], list[float], threading.Event]:
    """Return a wait that takes no time, the waits so far, and when the last one is over."""
    waits, is_over = list[float](), threading.Event()

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        if len(waits) <= lines:
            return False
        is_over.set()
        return True

    return wait, waits, is_over


def test_there_is_a_line_every_ten_seconds(caplog: pytest.LogCaptureFixture) -> None:
    numbers = count(1)
    wait, waits, is_over = ending_after(3)
    with ProgressLog(lambda: f"{next(numbers)} records", wait):
        is_over.wait(30)
    assert waits == [10.0] * 4
    assert caplog.messages == ["1 records", "2 records", "3 records"]
    assert {record.levelname for record in caplog.records} == {"INFO"}


def test_where_there_is_nothing_to_say_there_is_no_line(caplog: pytest.LogCaptureFixture) -> None:
    wait, _, is_over = ending_after(3)
    with ProgressLog(str, wait):
        is_over.wait(30)
    assert caplog.messages == []


def progress_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "progress"]


def test_the_end_ends_the_thread_at_once_and_no_line_comes_after_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with ProgressLog(lambda: "a line"):
        (thread,) = progress_threads()
        assert thread.daemon
    thread.join(5)
    assert not thread.is_alive()
    assert caplog.messages == []


def test_a_signal_handler_may_end_it_while_it_is_being_ended() -> None:
    log = ProgressLog(lambda: "a line")
    with log:
        log.end()
        log.end()
    wait_until(lambda: not progress_threads())


def test_where_there_are_no_threads_there_are_no_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(thread: threading.Thread) -> None:
        raise RuntimeError(thread)

    monkeypatch.setattr("tap_analytics.log.progress.start_without_signals", fail)
    with ProgressLog(lambda: "a line"):
        assert progress_threads() == []
