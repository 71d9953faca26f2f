"""Fixtures of all tests. What they are made of is in `support`."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from leaks import WatchedPipe, assert_no_leak, watched_log, watched_processes
from postgres import find_binaries, postgres
from runs import Run, RunTap, run_console_script, write_options

from tap_analytics.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

# Deadlines are clocks, and the machines that run this are shared.
settings.register_profile("default", deadline=None)
settings.load_profile("default")


# Tests start hundreds of processes. Without bytecode each would compile the tap.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--chaos",
        type=int,
        default=15,
        help="how many random schedules of faults the tap is run with, and a 25th of that many "
        "histories of kills",
    )
    parser.addoption(
        "--histories",
        type=int,
        default=44,
        help="how many series of syncs against a living API are played",
    )


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


@pytest.fixture(autouse=True)
def pipes() -> Iterator[list[WatchedPipe]]:
    """The pipes of child processes. Each test is checked for secrets in them and in the log."""
    with watched_log(), watched_processes() as pipes:
        yield pipes


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
def run_tap(tmp_path: Path) -> RunTap:
    """Run the tap in this process, with files for its configuration, its state and its catalog."""

    def run(
        config: Mapping[str, Any] | None = None,
        *args: str,
        state: Mapping[str, Any] | None = None,
        catalog: Mapping[str, Any] | None = None,
    ) -> Run:
        options = write_options(tmp_path, config=config, state=state, catalog=catalog)
        done = run_console_script(*options, *args)
        for text in (done.output, done.log):
            assert_no_leak(text, config)
        return done

    return run
