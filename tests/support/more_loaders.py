"""Further loaders, and what is in their tables."""

from __future__ import annotations

import csv
import json
import os
import sqlite3
import struct
import subprocess
import sys
from abc import abstractmethod
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.request import urlopen

import duckdb
import postgres
from loaders import (
    SCHEMAS,
    DuckDB,
    Loader,
    Postgres,
    in_utc,
    kinds_of,
    loads,
    typed,
    with_doubles,
)
from upath import UPath
from uv import find_uv_bin

from tap_analytics._compat import override

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SUPPORT = Path(__file__).parent
# Some were written before Python 3.10.
OLD_PYTHON = {"PYTHONPATH": str(SUPPORT / "old_python")}
TEXT = {"type": "string"}
FLAT = {"flattening_enabled": True, "flattening_max_depth": 5}


class PipelineWisePostgres(Postgres):
    """Upserts into PostgreSQL; numbers become doubles, also within JSON; text holds escapes."""

    requirements = ("pipelinewise-target-postgres==2.1.2", "setuptools<81")

    @override
    def config(self) -> dict[str, Any]:
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "user": postgres.USER,
            "password": "none",
            "dbname": postgres.DATABASE,
            "default_target_schema": self.schema,
        }

    @override
    def in_column(self, definition: dict[str, Any], value: object) -> object:
        match value:
            case str():
                # A line break arrives as a backslash and an `n`.
                escaped = json.dumps(value, ensure_ascii=False)[1:-1]
                return escaped.replace(r"\"", '"').replace(r"\\", "\\")
            case _ if "number" in kinds_of(definition):
                return double(value)
            case _:
                return with_doubles(day_as_text(value))

    @override
    def rows(self, stream: str) -> Iterator[dict[str, Any]]:
        for row in super().rows(stream):
            yield {
                name: Decimal(repr(value)) if isinstance(value, float) else value
                for name, value in row.items()
            }


def day_as_text(value: object) -> object:
    """Spell a date as JSON does."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    return value


def with_rescued(row: dict[str, Any]) -> dict[str, Any]:
    """Put values where they were before they turned out not to fit their columns."""
    rescued: dict[str, Any] = loads(row.pop("_rescued_data") or "{}")
    return row | rescued


class ParquetPostgres(Postgres):
    """Upserts into PostgreSQL what it reads from Parquet files; JSON is text there."""

    requirements = (*Postgres.requirements, "pyarrow>=19")

    @override
    def in_column(self, definition: dict[str, Any], value: object) -> object:
        return value

    @override
    def rows(self, stream: str) -> Iterator[dict[str, Any]]:
        for row in super().rows(stream):
            yield with_rescued(
                {
                    name: loads(value)
                    if value is not None
                    and kinds_of(SCHEMAS[stream].get(name, TEXT)) & {"array", "object"}
                    else value
                    for name, value in row.items()
                }
            )


class ParquetViews(Loader):
    """No loader at all: the views of the demo, in DuckDB."""

    @override
    def config(self) -> dict[str, Any]:
        raise NotImplementedError

    @override
    def in_column(self, definition: dict[str, Any], value: object) -> object:
        return day_as_text(value)

    @override
    def rows(self, stream: str) -> Iterator[dict[str, Any]]:
        with duckdb.connect(str(self.folder / "analytics.duckdb"), read_only=True) as connection:
            found = connection.execute(f'SELECT * FROM raw."{stream}"')  # noqa: S608 - a known name
            names = [column[0] for column in found.description or ()]
            kinds = [str(column[1]) for column in found.description or ()]
            for values in found.fetchall():
                row = dict(zip(names, values, strict=True))
                rescued = row["_rescued_data"]
                decoded = map(DuckDB.value, kinds, values)
                row = dict(zip(names, decoded, strict=True)) | {"_rescued_data": rescued}
                yield with_rescued(row)


class Flattened(Loader):
    """A loader that is given columns in place of nested objects."""

    wants: Mapping[str, object] = FLAT

    @override
    def columns(self, stream: str) -> dict[str, tuple[tuple[str, ...], dict[str, Any]]]:
        def leaves(
            properties: dict[str, Any], *above: str
        ) -> Iterator[tuple[str, tuple[tuple[str, ...], dict[str, Any]]]]:
            for name, definition in properties.items():
                path = (*above, name)
                if definition.get("properties"):
                    yield from leaves(definition["properties"], *path)
                else:
                    yield "__".join(path), (path, definition)

        return dict(leaves(SCHEMAS[stream]))


class SQLite(Flattened):
    """Upserts into an SQLite file; numbers become doubles, timestamps and JSON are text."""

    requirements = ("target-sqlite==0.2.0", "setuptools<81")
    overrides = ("sqlalchemy~=1.4.54",)
    program = "target-sqlite"

    @property
    @override
    def environment(self) -> dict[str, str]:
        return super().environment | OLD_PYTHON

    @override
    def config(self) -> dict[str, Any]:
        return {"database": str(self.folder / "loaded.db")}

    @override
    def in_column(self, definition: dict[str, Any], value: object) -> object:
        return double(value) if "number" in kinds_of(definition) else value

    @override
    def rows(self, stream: str) -> Iterator[dict[str, Any]]:
        with closing(sqlite3.connect(self.folder / "loaded.db")) as database:
            found = database.execute(f'SELECT * FROM "{stream}"')  # noqa: S608 - a known name
            names = [column[0] for column in found.description]
            for row in found:
                values = dict(zip(names, row, strict=True))
                values.pop("__loaded_at")
                columns = self.columns(stream)
                yield {name: self._value(columns[name][1], value) for name, value in values.items()}

    @staticmethod
    def _value(definition: dict[str, Any], value: Any) -> object:  # noqa: ANN401 - any of SQLite's
        kinds = kinds_of(definition)
        if value is None:
            return None
        if kinds & {"array", "object"}:
            return loads(value)
        if kinds == {"boolean"}:
            return bool(value)
        if kinds & {"number", "integer"}:
            return Decimal(repr(float(value)))
        return typed(definition, value)


class CSVFiles(Flattened):
    """Writes files with a header; none at all and empty text are the same in them."""

    program = "target-csv"

    @property
    def folders(self) -> list[Path]:
        """The folders with the files of each run, in order."""
        return [self.folder]

    @override
    def in_column(self, definition: dict[str, Any], value: object) -> object:
        return None if value == "" and kinds_of(definition) == {"string"} else value

    def files(self, stream: str) -> list[Path]:
        """Name the files of a stream, in the order of the runs."""
        return [path for folder in self.folders for path in sorted(folder.glob(f"{stream}-*.csv"))]

    @override
    def rows(self, stream: str) -> Iterator[dict[str, Any]]:
        columns = self.columns(stream)
        for path in self.files(stream):
            with path.open(encoding="utf-8", newline="") as lines:
                for row in csv.DictReader(lines, strict=True):
                    yield {name: self.value(columns[name][1], text) for name, text in row.items()}

    @staticmethod
    def value(definition: dict[str, Any], text: str) -> object:
        kinds = kinds_of(definition)
        if text == "":
            return None
        if kinds & {"array", "object"}:
            return loads(text)
        if kinds == {"boolean"}:
            return text == "True"
        if kinds & {"number", "integer"}:
            return Decimal(text)
        return typed(definition, text)


class FlatCSV(CSVFiles):
    """Meltano's loader for CSV files, with columns in place of objects."""

    requirements = ("meltanolabs-target-csv~=0.5.0",)

    @override
    def config(self) -> dict[str, Any]:
        return {
            "output_path": str(self.folder),
            "file_naming_scheme": "{stream_name}-{timestamp}.csv",
            "timestamp_format": "%Y%m%dT%H%M%S%f",
        }


class SingerCSV(CSVFiles):
    """Takes the columns from each record anew, and writes a header for the first one."""

    requirements = ("target-csv==0.3.0", "setuptools<81")
    wants: Mapping[str, object] = FLAT | {"complete_records": True}

    @property
    @override
    def environment(self) -> dict[str, str]:
        return super().environment | OLD_PYTHON

    @property
    @override
    def folders(self) -> list[Path]:
        return sorted(self.folder.glob("run-*"))

    @override
    def config(self) -> dict[str, Any]:
        # A file name tells the second, and two runs of one second share a file.
        run = self.folder / f"run-{len(self.folders)}"
        run.mkdir()
        return {"destination_path": str(run), "disable_collection": True}

    @override
    def in_column(self, definition: dict[str, Any], value: object) -> object:
        if "number" in kinds_of(definition):
            return double(value)
        return super().in_column(definition, value)

    @staticmethod
    @override
    def value(definition: dict[str, Any], text: str) -> object:
        value = CSVFiles.value(definition, text)
        return double(value) if "number" in kinds_of(definition) else value


class S3CSV(SingerCSV):
    """Uploads to a bucket what `SingerCSV` leaves in a folder."""

    requirements = ("pipelinewise-target-s3-csv==2.0.0", "setuptools<81")
    program = "target-s3-csv"

    def __init__(self, folder: Path, bucket: str) -> None:
        """Prepare to load.

        Args:
            folder: Where files of this loader may lie.
            bucket: Its name. The environment has its server's address and the key.
        """
        super().__init__(folder)
        self._bucket = bucket

    @override
    def config(self) -> dict[str, Any]:
        run = super().config()["destination_path"]
        return {
            "s3_bucket": self._bucket,
            "s3_key_prefix": f"{Path(run).name}/",
            "aws_endpoint_url": os.environ["AWS_ENDPOINT_URL"],
            "temp_dir": run,
        }

    @override
    def load(self, messages: Path) -> dict[str, Any]:
        state = super().load(messages)
        UPath(f"s3://{self._bucket}").fs.get(f"{self._bucket}/", f"{self.folder}/", recursive=True)
        return state


class Stitch(Loader):
    """Would post to Stitch: in a dry run it validates, and writes what it would post."""

    requirements = ("target-stitch==4.0.3",)
    # It asks for versions that are only there as source, and have to be compiled.
    overrides = ("psutil>=6", "simplejson>=3.19")
    program = "target-stitch"

    @property
    @override
    def command(self) -> list[str]:
        number = len(list(self.folder.glob("posts-*.jsonl")))
        posts = self.folder / f"posts-{number}.jsonl"
        return [*super().command, "--dry-run", "--output-file", str(posts)]

    @override
    def config(self) -> dict[str, Any]:
        return {}

    @override
    def rows(self, stream: str) -> Iterator[dict[str, Any]]:
        for path in sorted(self.folder.glob("posts-*.jsonl")):
            for line in path.read_text(encoding="utf-8").splitlines():
                post = loads(line)
                if post["table_name"] == stream:
                    for message in post["messages"]:
                        assert message["action"] == "upsert"
                        yield {
                            name: typed(definition, message["data"].get(name))
                            for name, definition in SCHEMAS[stream].items()
                        }


class Marking(Loader):
    """A loader that can mark what is deleted."""

    @abstractmethod
    def whole_rows(self, stream: str) -> Iterator[dict[str, Any]]:
        """Read a table, with the columns that the loader adds."""

    def marked(self, stream: str) -> set[str]:
        """Tell which records are marked as deleted, by `id`."""
        return {row["id"] for row in self.whole_rows(stream) if row["_sdc_deleted_at"]}


class Snowflake(Marking):
    """Upserts into Snowflake, or rather what stands in for it without an account."""

    requirements = ("meltanolabs-target-snowflake==0.20.4", "fakesnow==0.12.1")
    program = "target-snowflake"

    @property
    @override
    def command(self) -> list[str]:
        return isolated(self.requirements, "snowflake_without_account.py", str(self.folder))

    @override
    def config(self) -> dict[str, Any]:
        return {
            "account": "none",
            "user": "none",
            "password": "none",
            "database": "ANALYTICS",
            "schema": "RAW",
            "warehouse": "none",
            # A test may want the files once more.
            "clean_up_batch_files": False,
        }

    @override
    def in_column(self, definition: dict[str, Any], value: object) -> object:
        return double(value) if "number" in kinds_of(definition) else with_doubles(value)

    @override
    def rows(self, stream: str) -> Iterator[dict[str, Any]]:
        for row in self.whole_rows(stream):
            yield {name: value for name, value in row.items() if not name.startswith("_sdc_")}

    @override
    def whole_rows(self, stream: str) -> Iterator[dict[str, Any]]:
        with duckdb.connect(str(self.folder / "ANALYTICS.db"), read_only=True) as connection:
            found = connection.execute(f'SELECT * FROM "RAW"."{stream.upper()}"')  # noqa: S608
            kinds = {column[0].lower(): str(column[1]) for column in found.description or ()}
            for row in found.fetchall():
                yield {
                    name: in_utc(DuckDB.value(kind, value))
                    for (name, kind), value in zip(kinds.items(), row, strict=True)
                }


class ClickHouse(Marking):
    """Appends to ClickHouse tables whose engine keeps the last row of each key."""

    requirements = ("shaped-target-clickhouse==0.2.5", "setuptools<81")
    program = "target-clickhouse"
    nothing: ClassVar[Mapping[str, object]] = {
        "boolean": False,
        "number": Decimal("0.0"),
        "integer": 0,
        "string": "",
    }

    def __init__(self, folder: Path, port: int, **settings: object) -> None:
        """Prepare to load.

        Args:
            folder: Where files of this loader may lie.
            port: Of the server.
            **settings: Further settings.
        """
        super().__init__(folder, **settings)
        self._port = port

    @override
    def config(self) -> dict[str, Any]:
        return {
            "sqlalchemy_url": f"clickhouse+http://127.0.0.1:{self._port}/default",
            "engine_type": "ReplacingMergeTree",
            "optimize_after": True,
        }

    @override
    def in_column(self, definition: dict[str, Any], value: object) -> object:
        kinds = kinds_of(definition)
        if value is None and definition.get("format") != "date-time":
            value = next((self.nothing[kind] for kind in kinds if kind in self.nothing), None)
        match value:
            case datetime(year=1):
                # It is sent as `1-01-01`, and a column has room for 1970 to 2106.
                return value.replace(year=2001)
            case datetime():
                return value.replace(microsecond=0)
            case int() | Decimal() if "number" in kinds:
                return single(value)
            case _:
                return with_doubles(day_as_text(value))

    @override
    def rows(self, stream: str) -> Iterator[dict[str, Any]]:
        for row in self.whole_rows(stream):
            yield {
                name: self._value(definition, row[name])
                for name, definition in SCHEMAS[stream].items()
            }

    @override
    def whole_rows(self, stream: str) -> Iterator[dict[str, Any]]:
        query = f'SELECT * FROM "{stream}" FINAL'.encode()  # noqa: S608 - a known name
        with urlopen(f"http://127.0.0.1:{self._port}/", query) as answer:
            yield from map(loads, answer.read().decode().splitlines())

    @staticmethod
    def _value(definition: dict[str, Any], value: Any) -> object:  # noqa: ANN401 - any of JSON
        if definition.get("format") == "date-time":
            return value and datetime.fromisoformat(value).replace(tzinfo=UTC)
        kinds = kinds_of(definition)
        if kinds & {"array", "object"}:
            return loads(value) if value else None
        return single(value) if "number" in kinds else value


class BatchesClickHouse(ClickHouse):
    """Loads files into ClickHouse, and sends timestamps there as text."""

    @override
    def in_column(self, definition: dict[str, Any], value: object) -> object:
        if isinstance(value, datetime) and value.year == 1:
            return datetime(1970, 1, 1, tzinfo=UTC)
        return super().in_column(definition, value)


def double(value: object) -> object:
    """Give a number the digits that a float of 64 bits holds."""
    return Decimal(repr(float(value))) if isinstance(value, int | Decimal) else value


def single(value: float | Decimal) -> Decimal:
    """Give a number the digits that a float of 32 bits holds."""
    return Decimal(repr(struct.unpack("f", struct.pack("f", float(value)))[0]))


def isolated(requirements: tuple[str, ...], script: str, *arguments: str) -> list[str]:
    """Make the command that runs a script of this folder in an environment of its own."""
    needed = [argument for each in requirements for argument in ("--with", each)]
    return [
        *(find_uv_bin(), "run", "--quiet", "--no-project", "--python", sys.executable),
        *(*needed, "python", str(SUPPORT / script), *arguments),
    ]


@contextmanager
def clickhouse(folder: Path) -> Iterator[int]:
    """Start a server.

    Args:
        folder: Where its data may lie.

    Yields:
        Its port.
    """
    command = isolated(("chdb==4.4.0",), "clickhouse_server.py", str(folder))
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=folder, env=os.environ) as server:
        assert server.stdout
        try:
            yield int(server.stdout.readline())
        finally:
            server.terminate()
