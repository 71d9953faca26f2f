"""Loaders that people use, and what is in their tables."""

from __future__ import annotations

import ast
import csv
import json
import os
import subprocess
import sys
from abc import ABC, abstractmethod
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import postgres
import sandboxes
import series
from psycopg.types.json import set_json_loads
from uv import find_uv_bin

from tap_analytics._compat import override
from tap_analytics.listing.timestamps import canonical

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

SCHEMAS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))["properties"]
    for path in (Path(__file__).parents[2] / "tap_analytics" / "schemas").glob("*.json")
}
STREAMS = tuple(sorted(sandboxes.STREAMS))
TAP = Path(sys.executable).with_name("tap-analytics")

loads = partial(json.loads, parse_float=Decimal)


def tool(program: str, *requirements: str) -> list[str]:
    """Make the command that runs a program in an environment of its own.

    Args:
        program: Its name.
        *requirements: What is installed, the program's package first.

    Returns:
        The command without the program's options.
    """
    first, *others = requirements
    extra = [argument for other in others for argument in ("--with", other)]
    return [
        *(find_uv_bin(), "tool", "run", "--quiet", "--python", sys.executable),
        *("--from", first, *extra, program),
    ]


class Loader(ABC):
    """A loader, run in an environment of its own.

    Attributes:
        requirements: What is installed, the loader first.
        overrides: What is installed in place of versions that the loader asks for.
        program: What is run.
        wants: Settings of the tap.
    """

    requirements: tuple[str, ...]
    overrides: tuple[str, ...] = ()
    program: str
    wants: Mapping[str, object] = {}

    def __init__(self, folder: Path, **settings: object) -> None:
        """Prepare to load.

        Args:
            folder: Where files of this loader may lie.
            **settings: Further settings.
        """
        self.folder = folder
        self._settings = settings

    @property
    def command(self) -> list[str]:
        """The command without its options."""
        return tool(self.program, *self.requirements)

    @property
    def environment(self) -> dict[str, str]:
        """Variables that are added to those of this process."""
        overrides = self.folder / "overrides.txt"
        overrides.write_text("\n".join(self.overrides))
        return {"UV_OVERRIDE": str(overrides), "UV_COMPILE_BYTECODE": "1"}

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Make the loader's settings."""

    @abstractmethod
    def rows(self, stream: str) -> Iterator[dict[str, Any]]:
        """Read a table, in the order in which it was written where there is one."""

    def load(self, messages: Path) -> dict[str, Any]:
        """Load messages.

        Args:
            messages: What a tap has written.

        Returns:
            The last state that the loader has confirmed.
        """
        config = self.folder / "loader.json"
        config.write_text(json.dumps(self.config() | self._settings))
        with messages.open("rb") as lines:
            done = subprocess.run(
                [*self.command, "--config", config],
                stdin=lines,
                capture_output=True,
                cwd=self.folder,
                env=os.environ | self.environment,
                check=False,
            )
        assert done.returncode == 0, done.stderr.decode()[-2000:]
        state: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return state

    def columns(self, stream: str) -> dict[str, tuple[tuple[str, ...], dict[str, Any]]]:
        """Tell what the columns of a table are.

        Args:
            stream: Its name.

        Returns:
            For each column the keys that lead to its value in a record, and its JSON schema.
        """
        return {name: ((name,), definition) for name, definition in SCHEMAS[stream].items()}

    def in_column(self, definition: dict[str, Any], value: object) -> object:
        """Tell what a column should hold, where that differs from what was served."""
        del definition
        return value

    def table(self, stream: str) -> dict[str, dict[str, Any]]:
        """Read a table.

        Args:
            stream: Its name.

        Returns:
            For each `id` the last record, with values as in `expected`.
        """
        return {row["id"]: dict(sorted(row.items())) for row in self.rows(stream)}


class JSONL(Loader):
    """Appends to files."""

    requirements = ("target-jsonl~=0.1.4",)
    program = "target-jsonl"

    @override
    def config(self) -> dict[str, Any]:
        return {"destination_path": str(self.folder), "do_timestamp_file": False}

    @override
    def rows(self, stream: str) -> Iterator[dict[str, Any]]:
        with (self.folder / f"{stream}.jsonl").open(encoding="utf-8") as lines:
            for line in lines:
                record = loads(line)
                yield {
                    name: typed(definition, record.get(name))
                    for name, definition in SCHEMAS[stream].items()
                }


class CSV(Loader):
    """Writes new files in each run, in which nested values are spelt as in Python."""

    requirements = ("meltanolabs-target-csv~=0.5.0",)
    program = "target-csv"

    @override
    def config(self) -> dict[str, Any]:
        return {
            "output_path": str(self.folder),
            "file_naming_scheme": "{stream_name}-{timestamp}.csv",
            "timestamp_format": "%Y%m%dT%H%M%S%f",
        }

    @override
    def rows(self, stream: str) -> Iterator[dict[str, Any]]:
        for path in sorted(self.folder.glob(f"{stream}-*.csv")):
            with path.open(encoding="utf-8", newline="") as lines:
                for row in csv.DictReader(lines):
                    yield {
                        name: self._value(definition, row[name])
                        for name, definition in SCHEMAS[stream].items()
                    }

    @override
    def in_column(self, definition: dict[str, Any], value: object) -> object:
        # Empty text and none at all are the same in such a file.
        return None if value == "" and kinds_of(definition) == {"string"} else value

    @staticmethod
    def _value(definition: dict[str, Any], text: str) -> object:
        kinds = kinds_of(definition)
        if text == "":
            return None
        if kinds & {"object", "array"}:
            return python_literal(text)
        if kinds == {"boolean"}:
            return text == "True"
        if kinds & {"number", "integer"}:
            return Decimal(text)
        return typed(definition, text)


def python_literal(text: str) -> object:
    """Read a value as Python spells it, with `Decimal('…')` for numbers with a point."""
    tree = ast.parse(text, mode="eval")

    def build(node: ast.expr) -> object:
        match node:
            case ast.Dict(keys, values):
                return {
                    build(key): build(value)
                    for key, value in zip(keys, values, strict=True)
                    if key is not None
                }
            case ast.List(items):
                return [build(item) for item in items]
            case ast.Call(ast.Name("Decimal"), [ast.Constant(str(digits))]):
                return Decimal(digits)
            case _:
                return ast.literal_eval(node)

    return build(tree.body)


class DuckDB(Loader):
    """Upserts into a DuckDB file; numbers with a point become doubles, dates are text."""

    # Later versions of DuckDB take the first record of a load for a header (duckdb/duckdb#21653).
    requirements = ("target-duckdb~=0.8.0", "duckdb~=1.1.3")
    program = "target-duckdb"

    @override
    def config(self) -> dict[str, Any]:
        return {"path": str(self.folder / "loaded.duckdb"), "default_target_schema": "raw"}

    @override
    def in_column(self, definition: dict[str, Any], value: object) -> object:
        if isinstance(value, date) and not isinstance(value, datetime):
            return value.isoformat()
        return with_doubles(value)

    @override
    def rows(self, stream: str) -> Iterator[dict[str, Any]]:
        with duckdb.connect(str(self.folder / "loaded.duckdb"), read_only=True) as connection:
            found = connection.execute(f'SELECT * FROM raw."{stream}"')  # noqa: S608 - a known name
            kinds = {column[0]: str(column[1]) for column in found.description or ()}
            for row in found.fetchall():
                yield {
                    name: in_utc(self.value(kind, value))
                    for (name, kind), value in zip(kinds.items(), row, strict=True)
                }

    @staticmethod
    def value(kind: str, value: object) -> object:
        if isinstance(value, float):
            return Decimal(repr(value))
        return loads(value) if kind == "JSON" and isinstance(value, str) else value

    def types(self, stream: str) -> dict[str, str]:
        """Tell the type of each column."""
        with duckdb.connect(str(self.folder / "loaded.duckdb"), read_only=True) as connection:
            found = connection.execute(f'DESCRIBE raw."{stream}"').fetchall()
        return {row[0]: row[1] for row in found}


class Postgres(Loader):
    """Upserts into PostgreSQL.

    Attributes:
        port: Of the server.
        schema: Of the tables.
    """

    requirements: tuple[str, ...] = ("meltanolabs-target-postgres~=0.8.1",)
    program = "target-postgres"

    def __init__(self, folder: Path, port: int, schema: str, **settings: object) -> None:
        """Prepare to load, see `Loader`."""
        super().__init__(folder, **settings)
        self.port = port
        self.schema = schema

    @override
    def config(self) -> dict[str, Any]:
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "user": postgres.USER,
            "password": "",
            "database": postgres.DATABASE,
            "default_target_schema": self.schema,
        }

    @override
    def rows(self, stream: str) -> Iterator[dict[str, Any]]:
        with postgres.connect(self.port) as connection:
            set_json_loads(loads, connection)
            found = connection.execute(f'SELECT * FROM "{self.schema}"."{stream}"'.encode())  # noqa: S608
            names = [column.name for column in found.description or ()]
            for row in found:
                yield {
                    name: in_utc(value)
                    for name, value in zip(names, row, strict=True)
                    if not name.startswith("_sdc_")
                }

    def types(self, stream: str) -> dict[str, str]:
        """Tell the type of each column."""
        with postgres.connect(self.port) as connection:
            found = connection.execute(
                "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
                "WHERE attrelid = %s::regclass AND attnum > 0",
                (f'"{self.schema}"."{stream}"',),
            ).fetchall()
        return {name: kind for name, kind in found if not name.startswith("_sdc_")}


def extract(
    config: dict[str, Any],
    folder: Path,
    state: dict[str, Any] | None = None,
    catalog: dict[str, Any] | None = None,
) -> Path:
    """Run the tap as a process, and keep its messages in a file.

    Args:
        config: Its settings.
        folder: Where its files may lie.
        state: Where it goes on.
        catalog: What it reads, if not all.

    Returns:
        The file.
    """
    arguments = []
    for option, content in (("config", config), ("state", state), ("catalog", catalog)):
        if content is not None:
            path = folder / f"{option}.json"
            path.write_text(json.dumps(content))
            arguments += [f"--{option}", str(path)]
    messages = folder / "messages.jsonl"
    with messages.open("wb") as output:
        done = subprocess.run(
            [TAP, *arguments],
            stdout=output,
            stderr=subprocess.PIPE,
            check=False,
            env={**os.environ, "TAP_ANALYTICS_LOGLEVEL": "WARNING"},
        )
    assert done.returncode == 0, done.stderr.decode()
    return messages


def full_table(config: dict[str, Any], folder: Path, *streams: str) -> dict[str, Any]:
    """Make a catalog in which some streams are read in full.

    Args:
        config: The tap's settings.
        folder: Where its files may lie.
        *streams: The streams.

    Returns:
        The catalog.
    """
    path = folder / "config.json"
    path.write_text(json.dumps(config))
    catalog: dict[str, Any] = json.loads(
        subprocess.check_output([TAP, "--config", path, "--discover"], stderr=subprocess.DEVNULL)
    )
    return series.full_table(catalog, *streams)


def kinds_of(definition: dict[str, Any]) -> set[str]:
    """Tell which types a property may have, but for null."""
    kinds = definition["type"]
    return {kinds} if isinstance(kinds, str) else set(kinds) - {"null"}


def in_utc(value: object) -> object:
    """Give a timestamp its zone, which columns leave out."""
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value


def with_doubles(value: object) -> object:
    """Give numbers with a point the digits that a double holds."""
    if isinstance(value, list):
        return [with_doubles(item) for item in value]
    if isinstance(value, dict):
        return {key: with_doubles(item) for key, item in value.items()}
    return Decimal(repr(float(value))) if isinstance(value, Decimal) else value


def typed(definition: dict[str, Any], value: Any) -> object:  # noqa: ANN401 - any JSON value
    """Bring a value into the type that its column should have."""
    if value is None:
        return None
    match definition.get("format"):
        case "date-time":
            text = canonical(value)
            return None if text is None else datetime.fromisoformat(text)
        case "date":
            return date.fromisoformat(value)
        case _:
            return value


def mended(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Put U+FFFD where half a surrogate pair stands, and a decimal where a float does."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, list):
        return [mended(item) for item in value]
    if isinstance(value, dict):
        return {key: mended(item) for key, item in value.items()}
    return Decimal(str(value)) if isinstance(value, float) else value


def at(record: object, path: Iterable[str]) -> Any:  # noqa: ANN401 - any JSON value
    """Return what stands at a path of keys, or None."""
    for key in path:
        record = record.get(key) if isinstance(record, dict) else None
    return record


def expected(
    loader: Loader, stream: str, records: Iterable[dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Tell what a table should hold.

    Args:
        loader: The loader.
        stream: The stream.
        records: What the server has served.

    Returns:
        For each `id` the record, by column, absent fields as None.
    """
    columns = sorted(loader.columns(stream).items())
    return {
        record["id"]: {
            name: loader.in_column(definition, typed(definition, mended(at(record, path))))
            for name, (path, definition) in columns
        }
        for record in records
    }
