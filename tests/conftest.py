from __future__ import annotations

import io
import json
import logging
import os
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from hypothesis import settings

from tap_analytics.__main__ import main
from tap_analytics.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

# Deadlines are clocks, and the machines that run this are shared.
settings.register_profile("default", deadline=None)
settings.load_profile("default")

EXPERIENCE_STREAMS = ("launchpads", "flows", "banners", "checklists", "pins", "tags", "segments")
CREATOR_STREAMS = (
    "work_platforms",
    "users",
    "accounts",
    "profiles",
    "content_items",
    "social_income_transactions",
)
STREAMS = EXPERIENCE_STREAMS + CREATOR_STREAMS


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

    @property
    def errors(self) -> list[str]:
        lines = (line.split(" | ") for line in self.log.splitlines())
        return [line[3] for line in lines if line[1:2] and line[1].strip() == "ERROR"]

    @property
    def warnings(self) -> list[str]:
        lines = (line.split(" | ") for line in self.log.splitlines())
        return [line[3] for line in lines if line[1:2] and line[1].strip() == "WARNING"]


class RunTap(Protocol):
    def __call__(
        self,
        config: Mapping[str, Any] | None = None,
        *args: str,
        state: Mapping[str, Any] | None = None,
        catalog: Mapping[str, Any] | None = None,
    ) -> Run: ...


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("TAP_ANALYTICS_"):
            monkeypatch.delenv(name)
    # Where the SDK would look for a .env file.
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(rows=25) as running:
        yield running


@pytest.fixture
def run_tap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunTap:
    """Run the console script's function in this process, which spares importing the SDK."""

    def run(
        config: Mapping[str, Any] | None = None,
        *args: str,
        state: Mapping[str, Any] | None = None,
        catalog: Mapping[str, Any] | None = None,
    ) -> Run:
        arguments = ["tap-analytics"]
        for option, content in (("config", config), ("state", state), ("catalog", catalog)):
            if content is not None:
                path = tmp_path / f"{option}.json"
                path.write_text(json.dumps(content))
                arguments += [f"--{option}", str(path)]
        monkeypatch.setattr(sys, "argv", [*arguments, *args])
        output = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        log = io.StringIO()
        root = logging.getLogger()
        handlers, hook = root.handlers[:], sys.excepthook
        with redirect_stdout(output), redirect_stderr(log), warnings.catch_warnings():
            try:
                with pytest.raises(SystemExit) as ended:
                    main()
            finally:
                root.handlers, sys.excepthook = handlers, hook
                logging.captureWarnings(capture=False)
        output.flush()
        written = output.buffer
        assert isinstance(written, io.BytesIO)
        status = ended.value.code
        return Run(status if isinstance(status, int) else 0, written.getvalue(), log.getvalue())

    return run


def impatient(sandbox: Sandbox, **settings: object) -> dict[str, Any]:
    """Settings that reach the sandbox and wait for nothing."""
    return {**sandbox.settings, "backoff_factor": 0, **settings}


def only(api: str, sandbox: Sandbox, **settings: object) -> dict[str, Any]:
    """Settings for one of the APIs."""
    names = {
        "creator": ("client_id", "client_secret", "creator_api_url"),
        "experience": ("username", "password", "account_id", "experience_api_url"),
    }[api]
    every = impatient(sandbox, **settings)
    return {name: every[name] for name in (*names, "backoff_factor", *settings)}
