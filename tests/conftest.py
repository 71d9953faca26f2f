from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import warnings
from base64 import b64encode
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

import pytest
from hypothesis import settings
from postgres import find_binaries, postgres

from tap_analytics.__main__ import main
from tap_analytics.sandbox import Sandbox
from tap_analytics.sandbox.service import CREATOR_LOGIN, EXPERIENCE_LOGIN

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


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--chaos",
        type=int,
        default=25,
        help="how many random schedules of faults the tap is run with, and a 25th of that many "
        "histories of kills",
    )


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


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("TAP_ANALYTICS_"):
            monkeypatch.delenv(name)
    # Where the SDK would look for a .env file.
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _no_secrets_from_before(monkeypatch: pytest.MonkeyPatch) -> None:
    # Both stay as the test leaves them, which is meant for a process that runs the tap once.
    monkeypatch.setattr(logging.Logger, "makeRecord", logging.Logger.makeRecord)
    monkeypatch.setattr("tap_analytics.log.redaction._forms", set())


def spellings(user: str, secret: str) -> set[bytes]:
    """Spell a secret in all the ways in which it could be found where it must not be."""
    bare = [text.encode() for text in (secret, f"{user}:{secret}")]
    texts = [secret, *(b64encode(text).decode().rstrip("=") for text in bare)]
    return {
        spelling.encode()
        for text in texts
        for spelling in (text, quote(text, safe=""), json.dumps(text)[1:-1])
    }


def assert_no_leak(text: bytes | str | None, config: Mapping[str, Any] | None = None) -> None:
    """Assert that a text gives away no secret of the sandbox, nor of a configuration."""
    logins = [EXPERIENCE_LOGIN, CREATOR_LOGIN]
    for user, secret in (("username", "password"), ("client_id", "client_secret")):
        value = str((config or {}).get(secret) or "")
        if len(value) >= 8:
            logins.append((str((config or {}).get(user) or ""), value))
    searched = text.encode(errors="replace") if isinstance(text, str) else text or b""
    for spelling in {spelling for login in logins for spelling in spellings(*login)}:
        at = searched.find(spelling)
        assert at < 0, f"A secret leaks: {searched[max(0, at - 200) : at + 200]!r}"


class WatchedPipe:
    """A pipe from a child process, of which all that is read is remembered."""

    def __init__(self, pipe: IO[Any]) -> None:
        self._pipe = pipe
        self._seen: list[bytes] = []

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a pipe has
        return getattr(self._pipe, name)

    def __iter__(self) -> Iterator[Any]:
        return (self._see(line) for line in self._pipe)

    def read(self, size: int = -1) -> Any:  # noqa: ANN401 - bytes or text
        return self._see(self._pipe.read(size))

    def readline(self) -> Any:  # noqa: ANN401
        return self._see(self._pipe.readline())

    def _see(self, data: bytes | str) -> bytes | str:
        self._seen.append(data.encode() if isinstance(data, str) else data)
        return data

    @property
    def seen(self) -> bytes:
        return b"".join(self._seen)


@pytest.fixture(autouse=True)
def pipes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[WatchedPipe]]:
    """Let no log give away a secret, and no child process in its arguments or its output."""
    pipes: list[WatchedPipe] = []
    start, communicate = subprocess.Popen.__init__, subprocess.Popen.communicate

    def watched_start(process: Any, args: Any, *rest: Any, **options: Any) -> None:  # noqa: ANN401
        words = [args] if isinstance(args, str | bytes | os.PathLike) else args
        assert_no_leak(b" ".join(map(os.fsencode, words)))
        start(process, args, *rest, **options)
        # The sandbox's `serve` is there to print a configuration.
        if b"serve" not in map(os.fsencode, words[1:2]):
            for name in ("stdout", "stderr"):
                if pipe := getattr(process, name):
                    setattr(process, name, WatchedPipe(pipe))
                    pipes.append(getattr(process, name))

    def watched_communicate(process: Any, *args: Any, **options: Any) -> Any:  # noqa: ANN401
        outputs = communicate(process, *args, **options)
        for output in outputs:
            assert_no_leak(output)
        return outputs

    monkeypatch.setattr(subprocess.Popen, "__init__", watched_start)
    monkeypatch.setattr(subprocess.Popen, "communicate", watched_communicate)
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    yield pipes
    logging.getLogger().removeHandler(handler)
    assert_no_leak(log.getvalue())
    for pipe in pipes:
        assert_no_leak(pipe.seen)


@pytest.fixture(scope="session")
def server() -> Iterator[int]:
    """The port of a PostgreSQL server."""
    if find_binaries() is None:
        pytest.skip("PostgreSQL is not installed")
    with postgres() as port:
        yield port


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
        for text in (written.getvalue(), log.getvalue()):
            assert_no_leak(text, config)
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
