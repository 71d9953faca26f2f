"""The rows below the log on a terminal, as a terminal of another make shows them."""

from __future__ import annotations

import json
import logging
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

import pyte
import pytest
from leaks import assert_no_leak
from sandboxes import STREAMS, impatient, only
from waits import DEADLINE

from tap_analytics.log.terminal import RowsBelow, rows_below

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from runs import RunTap

    from tap_analytics.sandbox import Request, Sandbox

TAP = [sys.executable, "-m", "tap_analytics"]
LOG_LINE = re.compile(r"\d{4}-\d\d-\d\d [\d:,]+ \| [A-Z]+ +\| [\w.-]+ +\| (.*)")
PER_ACCOUNT = ("content_items", "social_income_transactions")
ROWS = re.compile(r"\d+/\d+ streams")


@dataclass
class Terminal:
    """A terminal, of which this is the user."""

    user: int
    device: int
    sent: bytes = b""
    screen: pyte.HistoryScreen = field(
        default_factory=lambda: pyte.HistoryScreen(80, 24, history=100_000, ratio=0.001)
    )

    def __post_init__(self) -> None:
        self.stream = pyte.ByteStream(self.screen)
        self.resize(80, 24)

    def resize(self, columns: int, lines: int) -> None:
        termios.tcsetwinsize(self.user, (lines, columns))
        self.screen.resize(lines, columns)

    def read(self) -> bool:
        try:
            data = os.read(self.user, 100_000)
        except OSError:  # as on Linux, if nobody has it open any more
            return False
        self.sent += data
        self.stream.feed(data)
        return bool(data)

    def read_to_the_end(self) -> None:
        while self.read():
            pass

    def wait_for(self, pattern: str) -> None:
        while not re.search(pattern, "\n".join(self.lines), re.MULTILINE):
            assert self.read(), self.sent

    @property
    def lines(self) -> list[str]:
        """All that is to be seen, also what has scrolled away, to the line of the cursor."""
        width = self.screen.columns
        gone = [
            "".join(line[column].data for column in range(width)).rstrip()
            for line in self.screen.history.top
        ]
        return [*gone, *self.shown]

    @property
    def shown(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display]

    @property
    def log(self) -> str:
        """What is above the cursor. There must be nothing below."""
        assert not any(line.strip() for line in self.screen.display[self.screen.cursor.y :])
        assert self.screen.cursor.x == 0
        count = len(self.screen.history.top) + self.screen.cursor.y
        return "\n".join(self.lines[:count])


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.setenv("TERM", "xterm")
    user, device = pty.openpty()
    terminal = Terminal(user, device)
    yield terminal
    os.close(user)
    if terminal.device >= 0:
        os.close(terminal.device)


@contextmanager
def on_terminal(
    terminal: Terminal,
    folder: Path,
    config: dict[str, Any],
    output: int | IO[bytes] = subprocess.DEVNULL,
    *,
    wrapper: Sequence[str] = (),
    state: dict[str, Any] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "state.json").write_text(json.dumps(state or {}))
    options = [f"--{name}={folder / name}.json" for name in ("config", "state")]
    with subprocess.Popen(
        [*wrapper, *TAP, *options],
        stdout=output,
        stderr=terminal.device,
        start_new_session=bool(wrapper),
    ) as process:
        os.close(terminal.device)
        terminal.device = -1
        stuck = threading.Timer(DEADLINE, process.kill)
        stuck.start()
        try:
            yield process
        except BaseException:
            process.kill()
            raise
        finally:
            stuck.cancel()
    assert_no_leak(terminal.sent, config)


def holding(path: str, event: threading.Event) -> Callable[[Request], None]:
    def hold(request: Request) -> None:
        if request.path == path:
            event.wait(DEADLINE)

    return hold


# A sync


def test_a_terminal_shows_how_far_it_has_come_and_then_the_log_alone(
    sandbox: Sandbox, terminal: Terminal, tmp_path: Path
) -> None:
    terminal.resize(400, 40)
    seen = threading.Event()
    sandbox.intercept = holding("/v1/users", seen)
    with on_terminal(terminal, tmp_path, impatient(sandbox)) as process:
        terminal.wait_for(r"^11/13 streams +275 +\d+ +\d+/s +\d+:\d\d$")
        rows = terminal.shown[terminal.screen.cursor.y :]
        assert rows[0].split() == ["stream", "records", "requests", "rate", "time"]
        assert [row.split()[0] for row in rows[1:14]] == sorted(STREAMS)
        assert rows[12].split()[:2] == ["users", "0"]
        assert rows[13] == "work_platforms"
        assert not any(rows[15:])
        seen.set()
        terminal.read_to_the_end()
        assert process.wait() == 0
    lines = terminal.log.splitlines()
    start = next(n for n, line in enumerate(lines) if line.endswith("This sync in numbers:"))
    assert [line.split()[0] for line in lines[start + 1 :]] == ["stream", *sorted(STREAMS), "total"]
    messages = [match[1] if (match := LOG_LINE.fullmatch(line)) else "" for line in lines[:start]]
    assert all(messages), lines
    metrics = [json.loads(text[8:]) for text in messages if text.startswith("METRIC: ")]
    assert len(metrics) == 3 * len(STREAMS)


@pytest.mark.slow
def test_streams_by_account_have_a_bar_of_the_accounts(
    run_tap: RunTap, sandbox: Sandbox, terminal: Terminal, tmp_path: Path
) -> None:
    config = only("creator", sandbox, content_by_account=True)
    state = run_tap(config).state
    known = max(len(state["bookmarks"][name]["accounts"]) for name in PER_ACCOUNT)
    assert 10 < known <= 25
    may_go_on = threading.Event()
    fifth = sandbox.page("accounts")["data"][4]["id"]

    def hold(request: Request) -> None:
        if request.path == "/v1/social/contents" and request.query["account_id"] == fifth:
            may_go_on.wait(DEADLINE)

    sandbox.intercept = hold
    with on_terminal(terminal, tmp_path, config, state=state):
        # The first page of accounts has ten, the last sync had them all.
        terminal.wait_for(rf"^content_items .* 4/{known} ━[━╸╺]+$")
        terminal.wait_for(rf"^social_income_transactions .* 4/{known} ")
        may_go_on.set()
        terminal.read_to_the_end()
    assert not ROWS.search(terminal.log)


@pytest.mark.slow
@pytest.mark.parametrize(("columns", "lines"), [(20, 24), (80, 5), (30, 2)])
def test_the_rows_fit_into_the_terminal(
    sandbox: Sandbox, terminal: Terminal, tmp_path: Path, columns: int, lines: int
) -> None:
    terminal.resize(columns, lines)
    seen = threading.Event()
    sandbox.intercept = holding("/v1/users", seen)
    with on_terminal(terminal, tmp_path, only("creator", sandbox)):
        terminal.wait_for(r"^users +0|^users *$" if columns > 20 else "^users")
        # The cursor is at the first row, so nothing has wrapped or scrolled.
        first = terminal.screen.display[terminal.screen.cursor.y]
        assert first.startswith("users" if lines <= 3 else "stream")
        seen.set()
        terminal.read_to_the_end()
    assert not any(line.startswith("stream  ") for line in terminal.log.split("in numbers:")[0])


def test_a_terminal_that_changes_its_size_is_followed(
    sandbox: Sandbox, terminal: Terminal, tmp_path: Path
) -> None:
    seen = threading.Event()
    sandbox.intercept = holding("/v1/users", seen)
    with on_terminal(terminal, tmp_path, only("creator", sandbox)):
        terminal.wait_for(r"^stream .* time$")
        terminal.resize(40, 24)
        terminal.wait_for(r"^stream .* records$")
        terminal.resize(100, 24)
        terminal.wait_for(r"^stream .* time$")
        seen.set()
        terminal.read_to_the_end()
    assert not ROWS.search(terminal.log)


# Its end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_clears_the_rows(
    sandbox: Sandbox, terminal: Terminal, tmp_path: Path, number: signal.Signals
) -> None:
    ended = threading.Event()
    sandbox.intercept = holding("/v1/users", ended)
    with on_terminal(terminal, tmp_path, impatient(sandbox)) as process:
        terminal.wait_for(r"^11/13 streams ")
        process.send_signal(number)
        terminal.read_to_the_end()
        assert process.wait() == 128 + number
    ended.set()
    assert not ROWS.search(terminal.log)


def test_a_signal_clears_the_rows_though_the_target_is_stuck(
    sandbox: Sandbox, terminal: Terminal, tmp_path: Path
) -> None:
    sandbox.data["accounts"] = [{"id": str(row), "x": "x" * 2000} for row in range(1000)]
    config = only("creator", sandbox, page_size=100)
    with on_terminal(terminal, tmp_path, config, subprocess.PIPE) as process:
        terminal.wait_for(r"^accounts +[1-9]")
        process.send_signal(signal.SIGTERM)
        terminal.read_to_the_end()
        assert process.wait() == 128 + signal.SIGTERM
    assert not ROWS.search(terminal.log)


@pytest.mark.slow
def test_a_signal_ends_the_tap_though_the_terminal_is_held_back(
    sandbox: Sandbox, terminal: Terminal, tmp_path: Path
) -> None:
    ended = threading.Event()
    sandbox.intercept = holding("/v1/users", ended)
    keyboard = os.dup(terminal.device)
    with on_terminal(terminal, tmp_path, impatient(sandbox)) as process:
        terminal.wait_for(r"^11/13 streams ")
        # What Ctrl-S does. The next row waits for ever, with the lock.
        termios.tcflow(keyboard, termios.TCOOFF)
        threading.Event().wait(1.2)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 128 + signal.SIGTERM
    ended.set()
    os.close(keyboard)


def test_an_error_clears_the_rows(sandbox: Sandbox, terminal: Terminal, tmp_path: Path) -> None:
    seen = threading.Event()
    sandbox.intercept = holding("/v1/accounts", seen)
    config = only("creator", sandbox)
    with on_terminal(terminal, tmp_path, config, subprocess.PIPE) as process:
        terminal.wait_for(r"^accounts +0 ")
        assert process.stdout
        process.stdout.close()
        seen.set()
        terminal.read_to_the_end()
        assert process.wait() == 1
    assert not ROWS.search(terminal.log)
    assert "The target has gone" in terminal.log.splitlines()[-2] + terminal.log.splitlines()[-1]


# Where there is none


def test_a_pipe_gets_no_byte_of_it_and_rich_is_not_imported(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(impatient(sandbox)))
    program = "import sys, atexit; from tap_analytics.__main__ import main\n"
    program += "atexit.register(lambda: sys.stderr.write(repr('rich' in sys.modules))); main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "--config", tmp_path / "config.json"],
        env=os.environ | {"TERM": "xterm", "FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"},
        capture_output=True,
        check=True,
    )
    assert b"This sync in numbers:" in done.stderr
    assert not ROWS.search(done.stderr.decode())
    assert not re.search(rb"[^\n\x20-\x7e]", done.stderr)
    assert done.stderr.endswith(b"False")


@pytest.mark.parametrize("name", ["dumb", "unknown", ""])
def test_a_terminal_that_can_do_nothing_is_left_alone(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with open(terminal.device, "w", closefd=False) as output:
        assert isinstance(rows_below(output, list), RowsBelow)
        monkeypatch.setenv("TERM", name)
        assert rows_below(output, list) is None
        monkeypatch.delenv("TERM")
        assert rows_below(output, list) is None
    assert rows_below(None, list) is None


# Starts the tap in the background of a terminal that signals come from, as a shell does.
BACKGROUND = """
import fcntl, os, subprocess, sys, termios
fcntl.ioctl(2, termios.TIOCSCTTY, 0)
sys.exit(subprocess.Popen(sys.argv[1:], process_group=0).wait())
"""


def test_in_the_background_the_terminal_is_the_shell_s(
    sandbox: Sandbox, terminal: Terminal, tmp_path: Path
) -> None:
    wrapper = [sys.executable, "-c", BACKGROUND]
    with on_terminal(terminal, tmp_path, impatient(sandbox), wrapper=wrapper) as process:
        terminal.read_to_the_end()
        assert process.wait() == 0
    assert b"This sync in numbers:" in terminal.sent
    assert b"\x1b" not in terminal.sent


def test_in_the_foreground_it_is_the_tap_s(
    sandbox: Sandbox, terminal: Terminal, tmp_path: Path
) -> None:
    wrapper = [sys.executable, "-c", BACKGROUND.replace(", process_group=0", "")]
    with on_terminal(terminal, tmp_path, impatient(sandbox), wrapper=wrapper) as process:
        terminal.read_to_the_end()
        assert process.wait() == 0
    assert b"\x1b[J" in terminal.sent


# One terminal, and what may happen to it


class Counting:
    """Draws three rows, each time others."""

    def __init__(self, tail: str = "") -> None:
        self.count = 0
        self.tail = tail

    def draw(self, width: int, height: int) -> list[str]:
        assert (width, height) == (79, 23)
        self.count += 1
        return [f"row {self.count}.{number}{self.tail}" for number in range(3)]


@contextmanager
def logging_to(output: IO[str]) -> Iterator[logging.StreamHandler[Any]]:
    handler = logging.StreamHandler(output)
    logging.getLogger().addHandler(handler)
    try:
        yield handler
    finally:
        logging.getLogger().removeHandler(handler)


def test_lines_of_other_threads_come_whole_and_in_order(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tap_analytics.log.terminal.TICK", 0.0005)
    reader = threading.Thread(target=terminal.read_to_the_end)
    reader.start()
    # What is left of a longer row would be seen.
    drawing = Counting("." * 60)

    def log(thread: int) -> None:
        for number in range(200):
            logging.getLogger().warning("thread %s line %s", thread, number)

    with open(terminal.device, "w") as output, logging_to(output) as handler:  # noqa: PTH123
        with RowsBelow(output, drawing):
            threads = [threading.Thread(target=log, args=(number,)) for number in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert handler.stream is output
    terminal.device = -1
    reader.join()
    assert drawing.count > 3
    assert b"row 2.2" in terminal.sent
    lines = terminal.log.splitlines()
    for which in range(4):
        own = [line for line in lines if line.startswith(f"thread {which} ")]
        assert own == [f"thread {which} line {number}" for number in range(200)]
    assert len(lines) == 800


def test_rows_that_are_drawn_after_the_end_need_no_terminal(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses, may_go_on = threading.Semaphore(0), threading.Event()

    def pause(_: float) -> None:
        pauses.release()
        may_go_on.wait(DEADLINE)

    monkeypatch.setattr("tap_analytics.log.terminal.sleep", pause)
    monkeypatch.setattr("tap_analytics.log.terminal.TICKS", 1)
    with open(terminal.device, "w", closefd=False) as output, RowsBelow(output, Counting()):
        assert pauses.acquire(timeout=DEADLINE)
        (drawer,) = [thread for thread in threading.enumerate() if thread.name == "rows"]
    assert output.closed
    # pytest makes an error of an exception in a thread.
    may_go_on.set()
    drawer.join(DEADLINE)
    assert not drawer.is_alive()


def test_what_a_target_writes_to_the_terminal_replaces_the_rows(terminal: Terminal) -> None:
    drawing = Counting()
    with open(terminal.device, "w", closefd=False) as output, RowsBelow(output, drawing):
        terminal.wait_for(r"^row \d+\.2$")
        os.write(terminal.device, b"a line of the target\n")
        terminal.wait_for(r"^a line of the target\nrow \d+\.0\nrow \d+\.1\nrow \d+\.2\n$")
    os.close(terminal.device)
    terminal.device = -1
    terminal.read_to_the_end()
    assert terminal.log == "a line of the target"


def test_a_terminal_that_goes_away_is_no_error() -> None:
    user, device = pty.openpty()
    with open(device, "w") as output:  # noqa: PTH123
        os.close(user)
        with RowsBelow(output, Counting()) as rows:
            rows.end()


def test_where_there_are_no_threads_there_are_no_rows(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(thread: threading.Thread) -> None:
        raise RuntimeError(thread)

    monkeypatch.setattr("tap_analytics.log.terminal.start_without_signals", fail)
    with open(terminal.device, "w", closefd=False) as output, logging_to(output) as handler:
        with RowsBelow(output, Counting()):
            logging.getLogger().warning("Still there")
        assert handler.stream is output
    terminal.read()
    assert terminal.sent == b"Still there\r\n"
