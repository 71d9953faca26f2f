# ruff: noqa: T201 - a demonstration prints
"""A whole pipeline to try: sandbox, tap, Parquet files, and DuckDB views of them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from glob import escape
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from tap_analytics.sandbox.server import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterable

_ROWS = 200
_LOG_LINES_SHOWN = 15
# Not `analytics`: in DuckDB a schema can't have the name of the database, which is the file's.
_SCHEMA = "raw"
# Each sync has a folder of its own, whose name DuckDB makes a column of. What a later sync has
# written of a record replaces what earlier ones have.
_VIEW = """
CREATE VIEW {schema}.{stream} AS
SELECT * EXCLUDE (sync)
FROM read_parquet('{files}', hive_partitioning = true, union_by_name = true)
QUALIFY row_number() OVER (PARTITION BY id ORDER BY sync DESC, updated_at DESC) = 1
"""


def demo(folder: Path) -> int:
    """Extract everything into Parquet files, and show what DuckDB finds in them.

    Each run is a day later than the last one. So the second run shows an incremental sync.

    Args:
        folder: The folder for the files, the database, the state and the log, kept between runs.

    Returns:
        The exit code.
    """
    tap = _find_program("tap-analytics")
    if tap is None or find_spec("duckdb") is None or find_spec("pyarrow") is None:
        message = "The demo needs duckdb and pyarrow: pip install 'tap-analytics[demo]'"
        print(message, file=sys.stderr)
        return 1
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    progress = _Progress(folder)
    with Sandbox(_ROWS, day=progress.day) as sandbox:
        _write(folder / "tap.json", sandbox.settings | {"batch_config": progress.start_files()})
        command = [tap, "--config", "tap.json", *progress.options]
        state = _sync(command, folder, os.environ | sandbox.environment)
        served = {stream: len(records) for stream, records in sandbox.data.items()}
    if state is None:
        return _show_log(folder / "demo.log")
    extracted, held = _make_views(folder, progress.day, sorted(served))
    _show(served, extracted, held, state)
    if held != served:
        print("\nThe views do not show what the API does.", file=sys.stderr)
        return 1
    progress.save(state)
    _explain(progress.day, folder)
    return 0


class _Progress:
    """The files that one run leaves for the next: the state and the day."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._state = folder / "state.json"
        self._day = folder / "day"
        again = self._state.exists() and self._day.exists()
        self.day = int(self._day.read_text()) + 1 if again else 0
        self.options = ["--state", self._state.name] if again else []

    def start_files(self) -> dict[str, object]:
        """Return `batch_config` for this sync, without the files of one that has failed."""
        root = self._folder / "parquet" / f"sync={self.day}"
        shutil.rmtree(root, ignore_errors=True)
        return {"encoding": {"format": "parquet"}, "storage": {"root": f"file://{root}"}}

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


def _sync(command: list[str], folder: Path, env: dict[str, str]) -> str | None:
    # Returns the last state, or `None` if the tap has failed.
    with (folder / "demo.log").open("wb") as log:
        done = subprocess.run(  # noqa: S603 - a program of this environment
            command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=log, check=False
        )
    states = [
        json.dumps(message["value"])
        for message in map(json.loads, done.stdout.splitlines())
        if message["type"] == "STATE"
    ]
    return None if done.returncode or not states else states[-1]


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")


def _make_views(
    folder: Path, day: int, streams: Iterable[str]
) -> tuple[dict[str, int], dict[str, int]]:
    # Returns how many records of each stream this sync has written, and how many there are in all.
    import duckdb  # noqa: PLC0415 - only the demo has it

    database = folder / "analytics.duckdb"
    database.unlink(missing_ok=True)
    extracted, held = {}, {}
    with duckdb.connect(str(database)) as connection:
        connection.execute(f"CREATE SCHEMA {_SCHEMA}")
        for stream in streams:
            name = f"tap-analytics--{stream}-*.parquet"
            files = f"{escape(str(folder))}/parquet/sync={{sync}}/{name}".replace("'", "''")
            every, this = files.format(sync="*"), files.format(sync=day)
            connection.execute(_VIEW.format(schema=_SCHEMA, stream=stream, files=every))
            extracted[stream] = len(connection.sql(f"FROM read_parquet('{this}')"))
            held[stream] = len(connection.table(f"{_SCHEMA}.{stream}"))
    return extracted, held


def _show(
    served: dict[str, int], extracted: dict[str, int], held: dict[str, int], state: str
) -> None:
    bookmarks = json.loads(state).get("bookmarks", {})
    print(f"{'stream':<28}{'in the API':>10}{'extracted':>11}{'in DuckDB':>11}  bookmark")
    for stream, count in extracted.items():
        bookmark = bookmarks.get(stream, {}).get("replication_key_value", "")
        print(f"{stream:<28}{served[stream]:>10}{count:>11}{held[stream]:>11}  {bookmark}")


def _explain(day: int, folder: Path) -> None:
    if day:
        print(
            f"\nDay {day}: only what has been added or changed since was extracted, and again the "
            "record\nthat each bookmark stood at."
        )
    else:
        print("\nDay 0: everything was extracted. Run the demo again: it will be a day later.")
    database = folder / "analytics.duckdb"
    query = f"FROM {_SCHEMA}.social_income_transactions SELECT currency, sum(amount) GROUP BY ALL"
    print(f"\nThe files are in {folder / 'parquet'}, and views of them in {database}.")
    print("A question to it:\n")
    question = f'import duckdb; print(duckdb.connect("{database}").sql("{query}"))'
    print(f"  {sys.executable} -c '{question}'")
