"""Runs the tap in this process, and knows what a test can't help knowing about its inside."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
import warnings
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import cached_property
from math import inf
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from warehouse import parse

from tap_analytics.__main__ import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from types import ModuleType


@dataclass(frozen=True)
class TapRun:
    """What a run of the tap came to."""

    status: int
    output: bytes
    log: str

    @cached_property
    def messages(self) -> list[dict[str, Any]]:
        """The messages that it wrote."""
        return parse(self.output)


def run_tap(
    folder: Path,
    config: Mapping[str, Any],
    *args: str,
    state: Mapping[str, Any] | None = None,
    catalog: Mapping[str, Any] | None = None,
) -> TapRun:
    """Run the console script's function, which spares importing the SDK."""
    arguments = ["tap-analytics", *args]
    for option, content in (("config", config), ("state", state), ("catalog", catalog)):
        if content is not None:
            path = folder / f"{option}.json"
            path.write_text(json.dumps(content))
            arguments += [f"--{option}", str(path)]
    output = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    log = io.StringIO()
    root = logging.getLogger()
    handlers, hook = root.handlers[:], sys.excepthook
    # What pytest would keep of the log is never looked at.
    root.handlers = []
    status: object = 0
    with (
        redirect_stdout(output),
        redirect_stderr(log),
        warnings.catch_warnings(),
        patch.object(sys, "argv", arguments),
        patch.dict("os.environ", {"TAP_ANALYTICS_LOGLEVEL": "WARNING"}),
    ):
        try:
            main()
        except SystemExit as ended:
            status = ended.code
        finally:
            root.handlers, sys.excepthook = handlers, hook
            logging.captureWarnings(capture=False)
    output.flush()
    written = output.buffer
    assert isinstance(written, io.BytesIO)
    return TapRun(status if isinstance(status, int) else 0, written.getvalue(), log.getvalue())


# What is to be adapted if the inside of the tap changes


@contextmanager
def no_waiting() -> Iterator[None]:
    """Let retries and pauses take no time."""
    with patch("backoff._sync.time", SimpleNamespace(sleep=lambda _: None)):
        yield


@contextmanager
def hints(*, are_followed: bool) -> Iterator[None]:
    """Let all hints count, though the server answers at once, or none at all."""
    with ExitStack() as stack:
        for module in tap_modules():
            if hasattr(module, "NOTICEABLE"):
                stack.enter_context(patch.object(module, "NOTICEABLE", 0.0))
            session = getattr(module, "PrefetchingSession", None)
            if session is not None and not are_followed:
                stack.enter_context(patch.object(session, "hint", _pass_over))
        yield


def _pass_over(*_: object) -> None:
    pass


@contextmanager
def states_after_each_account() -> Iterator[None]:
    """Let no time pass between two STATE messages."""
    with (
        patch("tap_analytics.singer.state.INTERVAL", 0.0),
        patch("tap_analytics.singer.state.GROWTH", inf),
    ):
        yield


def tap_modules() -> list[ModuleType]:
    """Return the modules of the tap, wherever they have been put."""
    return [module for name, module in sys.modules.items() if name.startswith("tap_analytics.")]


@contextmanager
def clock_of_the_tap(now: Callable[[], datetime]) -> Iterator[None]:
    """Let the tap's own clock show a virtual time, wherever its modules say `datetime.now`."""

    class OfDatetime(type):
        def __instancecheck__(cls, instance: object) -> bool:  # type: ignore[explicit-override]
            return isinstance(instance, datetime)

    class VirtualDatetime(datetime, metaclass=OfDatetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override,explicit-override]
            return now().astimezone(tz or UTC)

    modules = [m for m in tap_modules() if getattr(m, "datetime", None) is datetime]
    for module in modules:
        vars(module)["datetime"] = VirtualDatetime
    try:
        yield
    finally:
        for module in modules:
            vars(module)["datetime"] = datetime


KEEPS_CHANGING = re.compile(r"(five|5) times", re.IGNORECASE)


def says_that_it_keeps_changing(log: str) -> bool:
    """Return whether the log says that a listing changed each time it was read again."""
    return bool(KEEPS_CHANGING.search(log))


def bookmarks_of(state: Mapping[str, Any]) -> dict[tuple[str, str], datetime]:
    """Return the bookmarks in a state, by stream and account ("" if it is the stream's own)."""
    found: dict[tuple[str, str], datetime] = {}
    for stream, entry in state.get("bookmarks", {}).items():
        own = entry.get("replication_key_value")
        for account, value in {"": own, **entry.get("accounts", {})}.items():
            with suppress(TypeError, ValueError):
                found[stream, account] = datetime.fromisoformat(value)
    return found


def tokens_of(state: Mapping[str, Any]) -> dict[tuple[str, str], object]:
    """Return what is kept to see that accounts have not been synced since, by stream, account."""
    return {
        (stream, account): token
        for stream, entry in state.get("bookmarks", {}).items()
        for account, token in entry.get("synced", {}).items()
    }
