# ruff: noqa: T201 - a demonstration prints
"""A pipeline to look at: sandbox, tap, target-duckdb, and what has come of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, cast

from tap_analytics.sandbox.server import Sandbox

_ROWS = 200
_LOG_LINES_SHOWN = 15
# Not `analytics`: DuckDB can't tell a schema from a database (the file) of the same name.
_SCHEMA = "raw"


def demo(folder: Path) -> int:
    """Extract everything into a DuckDB file and show what has been loaded.

    Each run is a day later than the last, so from the second on it shows an incremental sync.

    Args:
        folder: Where the database, the state and the log are kept between runs.

    Returns:
        The exit code.
    """
    tap, target = _find_program("tap-analytics"), _find_program("target-duckdb")
    if find_spec("duckdb") is None or tap is None or target is None:
        missing = "tap-analytics" if tap is None else "target-duckdb"
        message = f"The demo needs {missing}: pip install 'tap-analytics[demo]'"
        print(message, file=sys.stderr)
        return 1
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    progress = _Progress(folder)
    with Sandbox(_ROWS, day=progress.day) as sandbox:
        (folder / "tap.json").write_text(json.dumps(sandbox.settings, indent=2))
        database = folder / "analytics.duckdb"
        settings = {"path": str(database), "default_target_schema": _SCHEMA}
        (folder / "target.json").write_text(json.dumps(settings, indent=2))
        extracted, state = _pipe(
            [tap, "--config", "tap.json", *progress.options],
            [target, "--config", "target.json"],
            folder,
            os.environ | sandbox.environment,
        )
    if state is None:
        log = folder / "demo.log"
        lines = log.read_text(errors="replace").splitlines()
        print(*lines[-_LOG_LINES_SHOWN:], sep="\n", file=sys.stderr)
        print(f"\nThe sync has failed; all of its log is in {log}", file=sys.stderr)
        return 1
    progress.save(state)
    _show(progress.day, extracted, state, database)
    return 0


class _Progress:
    """What one run leaves for the next: the state, and what day it was."""

    def __init__(self, folder: Path) -> None:
        self._state = folder / "state.json"
        self._day = folder / "day"
        again = self._state.exists() and self._day.exists()
        self.day = int(self._day.read_text()) + 1 if again else 0
        self.options = ["--state", self._state.name] if again else []

    def save(self, state: str) -> None:
        self._state.write_text(state)
        self._day.write_text(f"{self.day}\n")


def _find_program(name: str) -> str | None:
    beside = shutil.which(name, path=str(Path(sys.executable).parent))
    return beside or shutil.which(name)


def _pipe(
    tap: list[str], target: list[str], folder: Path, env: dict[str, str]
) -> tuple[dict[str, int], str | None]:
    """Run tap into target.

    Returns:
        How many records of each stream went through, and the last state that the target has
        confirmed, or `None` if either failed.
    """
    extracted: dict[str, int] = {}
    with ExitStack() as stack:
        log = stack.enter_context((folder / "demo.log").open("wb"))
        states = stack.enter_context(tempfile.TemporaryFile())
        source = stack.enter_context(
            subprocess.Popen(tap, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=log)
        )
        sink = stack.enter_context(
            subprocess.Popen(
                target, cwd=folder, env=env, stdin=subprocess.PIPE, stdout=states, stderr=log
            )
        )
        try:
            for line in source.stdout or ():
                cast("IO[bytes]", sink.stdin).write(line)
                message = json.loads(line)
                if message["type"] == "SCHEMA":
                    extracted.setdefault(message["stream"], 0)
                elif message["type"] == "RECORD":
                    extracted[message["stream"]] += 1
        except (BrokenPipeError, ValueError):
            # The target has given up, or will: its log says why.
            source.terminate()
        with suppress(BrokenPipeError):
            cast("IO[bytes]", sink.stdin).close()
        failed = any([source.wait(), sink.wait()])
        states.seek(0)
        lines = states.read().decode().splitlines()
    return extracted, None if failed or not lines else lines[-1]


def _show(day: int, extracted: dict[str, int], state: str, database: Path) -> None:
    import duckdb  # noqa: PLC0415 - an extra of the demo alone

    bookmarks = json.loads(state).get("bookmarks", {})
    print(f"{'stream':<28}{'rows':>6}{'extracted':>11}  bookmark")
    with duckdb.connect(str(database), read_only=True) as connection:
        for stream, count in extracted.items():
            found = connection.execute(f'SELECT count(*) FROM {_SCHEMA}."{stream}"').fetchone()
            bookmark = bookmarks.get(stream, {}).get("replication_key_value", "")
            print(f"{stream:<28}{found[0] if found else 0:>6}{count:>11}  {bookmark}")
    if day:
        print(
            f"\nDay {day}: extracted was what has been added or changed since the day before, and "
            "the record\nthat each bookmark stood at. All else was left out."
        )
    else:
        print("\nDay 0: everything was extracted. Run the demo again to let a day pass.")
    query = f"SELECT currency, sum(amount) FROM {_SCHEMA}.social_income_transactions GROUP BY ALL"
    print(f"\nThe database is {database}. A question to it:\n")
    print(f"""  python -c 'import duckdb; print(duckdb.connect("{database}").sql("{query}"))'""")
