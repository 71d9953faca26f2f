"""The rows below the log, as they are drawn for terminals of all sizes."""

from __future__ import annotations

import io
import re
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tap_analytics.log.row import Row
from tap_analytics.log.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Sequence

ROWS = [
    Row("accounts", 25, 8, 0.5),
    Row("banners", 200, 12, 0),
    Row("content_items", 12_345, 402, 65, (1_476, 2_000), is_current=True),
    Row("social_income_transactions", 1_234_567, 9_999, 6_000, (1_475, 2_000)),
    Row("users"),
    Row("3/5 streams", 1_247_000, 10_500, 6_065),
]
STYLE = re.compile(r"\x1b\[[0-9;]*m")


class FakeTerminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:  # type: ignore[explicit-override] # ruff wants no more imports
        return True


@pytest.fixture(autouse=True)
def _an_ordinary_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "TTY_COMPATIBLE", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)


def drawn(
    width: int, height: int = 23, rows: Sequence[Row] = ROWS, terminal: io.StringIO | None = None
) -> list[str]:
    terminal = terminal or FakeTerminal()
    lines = Rows(terminal, lambda: rows).draw(width, height)
    assert not terminal.getvalue()
    return lines


def plain(lines: Sequence[str]) -> list[str]:
    return [STYLE.sub("", line).rstrip() for line in lines]


def test_there_is_a_row_per_stream_and_one_for_all() -> None:
    assert plain(drawn(85)) == [
        "stream                       records requests  rate   time    accounts",
        "accounts                          25        8  50/s   0:00",
        "banners                          200       12         0:00",
        "content_items                 12,345      402 190/s   1:05 1,476/2,000 ━━━━━━━━━━╺━━━",
        "social_income_transactions 1,234,567    9,999 206/s 100:00 1,475/2,000 ━━━━━━━━━━╺━━━",
        "users",
        "3/5 streams                1,247,000   10,500 206/s 101:05",
    ]


def test_the_bar_is_in_a_terminal_of_80_characters() -> None:
    lines = plain(drawn(79))
    assert lines[0].split() == ["stream", "records", "requests", "rate", "time", "accounts"]
    assert lines[3].endswith(" 1:05 1,476/2,000 ━━━━━╸━━")


def test_what_does_not_fit_is_left_out_from_the_right() -> None:
    headers = [plain(drawn(width))[0].split() for width in range(79, 36, -1)]
    assert all(wide[: len(narrow)] == narrow for wide, narrow in pairwise(headers))
    assert headers[-1] == ["stream", "records"]


@pytest.mark.parametrize("height", [*range(1, 9), 23])
def test_no_line_is_wider_than_the_terminal_and_there_are_no_more_than_it_has(height: int) -> None:
    for width in (*range(1, 80, 3), 80, 119):
        lines = drawn(width, height)
        assert 1 <= len(lines) <= height
        assert all(len(STYLE.sub("", line)) <= width for line in lines)


@pytest.mark.parametrize("height", range(1, 9))
@pytest.mark.parametrize("current", range(5))
def test_the_stream_that_is_being_read_is_seen_in_the_lowest_terminal(
    height: int, current: int
) -> None:
    rows = [Row(f"stream_{n}", 1, 1, 1, is_current=n == current) for n in range(5)]
    lines = plain(drawn(80, height, [*rows, Row("0/5 streams", 5, 5, 5)]))
    assert any(line.startswith(f"stream_{current} ") for line in lines)
    assert (lines[-1].startswith("0/5 streams")) == (height > 2)
    assert (lines[0].split()[0] == "stream") == (height > 2)


def test_styles_end_with_their_line() -> None:
    for line in drawn(100):
        assert line.count("\x1b[") == 2 * line.count("\x1b[0m")


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    color = re.compile(r"\x1b\[(?:\d+;)*(?:3|4|9|10)\d")
    assert color.search("".join(drawn(100)))
    monkeypatch.setenv("NO_COLOR", "1")
    assert not color.search("".join(drawn(100)))


def test_a_terminal_that_knows_ascii_only_gets_nothing_else() -> None:
    terminal = FakeTerminal()
    terminal.encoding = "ascii"
    lines = drawn(100, terminal=terminal)
    assert "".join(lines).isascii()
    assert "------" in lines[3]


def test_names_are_no_markup() -> None:
    (line, *_) = plain(drawn(80, 1, [Row("[red]:smile: 12", 1, 1, 1, is_current=True), Row("")]))
    assert line.startswith("[red]:smile: 12 ")
