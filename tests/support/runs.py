"""A run of the tap: how to start one in this process, and what it leaves behind."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
import warnings
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from tap_analytics.__main__ import main

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Run:
    """What a run of the tap came to."""

    status: int
    output: bytes
    log: str

    @cached_property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(line, parse_float=Decimal) for line in self.output.splitlines()]

    def of_type(self, message_type: str, stream: str | None = None) -> list[dict[str, Any]]:
        return [
            message
            for message in self.messages
            if message["type"] == message_type and stream in {None, message.get("stream")}
        ]

    def records(self, stream: str) -> list[dict[str, Any]]:
        return [message["record"] for message in self.of_type("RECORD", stream)]

    def ids(self, stream: str) -> list[str]:
        return [record["id"] for record in self.records(stream)]

    @property
    def state(self) -> dict[str, Any]:
        states = self.of_type("STATE")
        return states[-1]["value"] if states else {}

    def bookmark(self, stream: str) -> str | None:
        bookmark = self.state.get("bookmarks", {}).get(stream, {})
        value: str | None = bookmark.get("replication_key_value")
        return value

    def account_bookmarks(self, stream: str) -> dict[str, str]:
        """The bookmarks of a stream by account, from the last STATE."""
        bookmarks: dict[str, str] = (
            self.state.get("bookmarks", {}).get(stream, {}).get("accounts", {})
        )
        return bookmarks

    @property
    def errors(self) -> list[str]:
        return self._of_level("ERROR")

    @property
    def warnings(self) -> list[str]:
        return self._of_level("WARNING")

    def _of_level(self, level: str) -> list[str]:
        lines = (line.split(" | ", 3) for line in self.log.splitlines())
        return [line[3] for line in lines if len(line) == 4 and line[1].strip() == level]


class RunTap(Protocol):
    def __call__(
        self,
        config: Mapping[str, Any] | None = None,
        *args: str,
        state: Mapping[str, Any] | None = None,
        catalog: Mapping[str, Any] | None = None,
    ) -> Run: ...


def run_console_script(*arguments: str) -> Run:
    """Run the console script's function in this process, which spares importing the SDK.

    Args:
        *arguments: Of the command line.

    Returns:
        The run, with its whole output and log.
    """
    output = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    log = io.StringIO()
    root = logging.getLogger()
    handlers, hook = root.handlers[:], sys.excepthook
    with (
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(output),
        redirect_stderr(log),
        warnings.catch_warnings(),
    ):
        patch.setattr(sys, "argv", ["tap-analytics", *arguments])
        try:
            with pytest.raises(SystemExit) as ended:
                main()
        finally:
            root.handlers, sys.excepthook = handlers, hook
            logging.captureWarnings(capture=False)
            _await_requests_in_flight()
    output.flush()
    written = output.buffer
    assert isinstance(written, io.BytesIO)
    status = ended.value.code
    return Run(status if isinstance(status, int) else 0, written.getvalue(), log.getvalue())


def _await_requests_in_flight() -> None:
    """Let no request that was sent ahead in vain reach a server after the run.

    A process of its own would have ended, and they with it.
    """
    for thread in threading.enumerate():
        if thread.name == "prefetch":
            thread.join(timeout=1)


def write_options(folder: Path, **contents: Mapping[str, Any] | None) -> list[str]:
    """Write JSON files for the options of a command line.

    Args:
        folder: Where to.
        **contents: What to write, by option, such as `config`. An option without content is left
            out.

    Returns:
        The arguments that name the files.
    """
    arguments = []
    for option, content in contents.items():
        if content is not None:
            path = folder / f"{option}.json"
            path.write_text(json.dumps(content))
            arguments += [f"--{option}", str(path)]
    return arguments
