# ruff: noqa: T201 - a demonstration prints
"""A whole pipeline to try: sandbox, tap, target-duckdb, and a table of what was loaded."""

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
from typing import IO, TYPE_CHECKING, cast

from tap_analytics.sandbox.server import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterable

_ROWS = 200
_LOG_LINES_SHOWN = 15
# Not `analytics`: in DuckDB a schema can't have the name of the database, which is the file's.
_SCHEMA = "raw"
# target-duckdb 0.8 loads CSV files without a header. DuckDB takes the first row for a header if a
# timestamp in it has a zone (duckdb/duckdb#21653), and so would lose the first record of each load.
# It does not if the first column is empty. Columns are sorted by name, so `_` comes first.
_EMPTY_FIRST_COLUMN = {"*": {"_": "None"}}


def demo(folder: Path) -> int:
    """Extract everything into a DuckDB file, and show what was loaded.

    Each run is a day later than the last one. So the second run shows an incremental sync.

    Args:
        folder: The folder for the database, the state and the log, kept between runs.

    Returns:
        The exit code.
    """
    tap, target = _find_program("tap-analytics"), _find_program("target-duckdb")
    if tap is None or target is None or find_spec("duckdb") is None:
        message = "The demo needs target-duckdb and duckdb: pip install 'tap-analytics[demo]'"
        print(message, file=sys.stderr)
        return 1
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    database = folder / "analytics.duckdb"
    progress = _Progress(folder)
    with Sandbox(_ROWS, day=progress.day) as sandbox:
        _write(folder / "tap.json", sandbox.settings | {"stream_maps": _EMPTY_FIRST_COLUMN})
        _write(folder / "target.json", {"path": str(database), "default_target_schema": _SCHEMA})
        extracted, state = _pipe(
            [tap, "--config", "tap.json", *progress.options],
            [target, "--config", "target.json"],
            folder,
            os.environ | sandbox.environment,
        )
        served = {stream: len(sandbox.data[stream]) for stream in extracted}
    if state is None:
        return _show_log(folder / "demo.log")
    loaded = _count_rows(database, extracted)
    _show(served, extracted, loaded, state)
    if loaded != served:
        print("\nThe database does not hold what the API does.", file=sys.stderr)
        return 1
    progress.save(state)
    _explain(progress.day, database)
    return 0


class _Progress:
    """The files that one run leaves for the next: the state and the day."""

    def __init__(self, folder: Path) -> None:
        self._state = folder / "state.json"
        self._day = folder / "day"
        again = self._state.exists() and self._day.exists()
        self.day = int(self._day.read_text()) + 1 if again else 0
        self.options = ["--state", self._state.name] if again else []

    def save(self, state: str) -> None:
        self._state.write_text(state)
        self._day.write_text(f"{self.day}\n")


def _show_log(log: Path) -> int:
    lines = log.read_text(errors="replace").splitlines()
    print(*lines[-_LOG_LINES_SHOWN:], sep="\n", file=sys.stderr)
    print(f"\nThe sync has failed; all of its log is in {log}", file=sys.stderr)
    return 1


def _find_program(name: str) -> str | None:
    beside = shutil.which(name, path=str(Path(sys.executable).parent))
    return beside or shutil.which(name)


def _pipe(
    tap: list[str], target: list[str], folder: Path, env: dict[str, str]
) -> tuple[dict[str, int], str | None]:
    # Returns how many records of each stream went through, and the last state that the target has
    # confirmed. The state is `None` if one of the two failed.
    extracted: dict[str, int] = {}
    with ExitStack() as stack:
        log = stack.enter_context((folder / "demo.log").open("wb"))
        states = stack.enter_context(tempfile.TemporaryFile())
        source = stack.enter_context(
            subprocess.Popen(  # noqa: S603 - a program of this environment
                tap, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=log
            )
        )
        sink = stack.enter_context(
            subprocess.Popen(  # noqa: S603
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
            # The target has given up, or soon does: its log says why. The tap must not wait.
            source.terminate()
            cast("IO[bytes]", source.stdout).close()
        with suppress(BrokenPipeError):
            cast("IO[bytes]", sink.stdin).close()
        failed = any([source.wait(), sink.wait()])
        states.seek(0)
        lines = states.read().decode().splitlines()
    return extracted, None if failed or not lines else lines[-1]


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")


def _count_rows(database: Path, streams: Iterable[str]) -> dict[str, int]:
    import duckdb  # noqa: PLC0415 - only the demo has it

    with duckdb.connect(str(database), read_only=True) as connection:
        return {stream: len(connection.table(f"{_SCHEMA}.{stream}")) for stream in streams}


def _show(
    served: dict[str, int], extracted: dict[str, int], loaded: dict[str, int], state: str
) -> None:
    bookmarks = json.loads(state).get("bookmarks", {})
    print(f"{'stream':<28}{'in the API':>10}{'extracted':>11}{'in the table':>14}  bookmark")
    for stream, count in extracted.items():
        bookmark = bookmarks.get(stream, {}).get("replication_key_value", "")
        print(f"{stream:<28}{served[stream]:>10}{count:>11}{loaded[stream]:>14}  {bookmark}")


def _explain(day: int, database: Path) -> None:
    if day:
        print(
            f"\nDay {day}: only what has been added or changed since was extracted, and again the "
            "record\nthat each bookmark stood at."
        )
    else:
        print("\nDay 0: everything was extracted. Run the demo again: it will be a day later.")
    query = f"FROM {_SCHEMA}.social_income_transactions SELECT currency, sum(amount) GROUP BY ALL"
    print(f"\nThe database is {database}. A question to it:\n")
    question = f'import duckdb; print(duckdb.connect("{database}").sql("{query}"))'
    print(f"  {sys.executable} -c '{question}'")
