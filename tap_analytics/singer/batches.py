"""Batches: files of records, in place of RECORD messages, where `batch_config` is set.

The SDK has encoders of its own. Its Parquet lets each file have the columns and types that its
first record happens to have: other fields are dropped without a word, nested data that varies
can't be written, and two files rarely agree. Its JSONL is compressed, whatever the settings and
the BATCH message say, and both make a bucket where there is none, which a typing error is enough
for. So files are written here; what they are announced with is the SDK's.
"""

from __future__ import annotations

import gzip
import logging
import re
from contextlib import suppress
from dataclasses import fields
from datetime import datetime
from decimal import Context, Decimal
from importlib.util import find_spec
from io import BytesIO
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from singer_sdk.contrib.msgspec import encoder
from singer_sdk.helpers._batch import BaseBatchFileEncoding, BatchConfig, StorageTarget
from upath import UPath
from upath.implementations.cloud import CloudPath

from tap_analytics.exceptions import StorageError
from tap_analytics.log.wording import listed, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from singer_sdk.helpers.types import Record

RESCUED = "_rescued_data"
"""The column of a Parquet file for what has no other: a JSON object, or null as a rule."""

SCALE = 18
"""Digits after the point in a column of numbers; there are 38 in all."""

_CONTEXT = Context(prec=38)
_UNIT = Decimal(1).scaleb(-SCALE)


# At DEBUG it logs all headers of requests, and with them keys and session tokens.
logging.getLogger("botocore").setLevel(logging.INFO)


def find_errors(config: Mapping[str, Any]) -> Iterator[str]:
    """Find what is wrong with the setting `batch_config`, beyond what its JSON schema says.

    Args:
        config: The value of the setting.

    Yields:
        A line for each error.
    """
    encoding = config.get("encoding") or {}
    storage = config.get("storage") or {}
    parts = {"": config, ".encoding": encoding, ".storage": storage}
    kinds = (BatchConfig, BaseBatchFileEncoding, StorageTarget)
    for (path, part), kind in zip(parts.items(), kinds, strict=True):
        unknown = part.keys() - {field.name for field in fields(kind)}
        if unknown:
            yield f"`batch_config{path}` has no {listed(sorted(unknown))}"
    for path, value in ((".encoding.format", encoding), (".storage.root", storage)):
        if not value.get(path.rpartition(".")[2]):
            yield f"`batch_config{path}` is missing"
    size = config.get("batch_size")
    if size is not None and (type(size) is not int or size < 1):
        yield f"`batch_config.batch_size` must be a whole number, 1 or more: {size!r}"
    needed = {
        "parquet": encoding.get("format") == "parquet" and "pyarrow",
        "s3": re.match("s3a?://", storage.get("root") or "") and "s3fs",
    }
    extras = [extra for extra, module in needed.items() if module and not find_spec(module)]
    if extras:
        names = ",".join(extras)
        yield f"`batch_config` takes what is not installed: pip install 'tap-analytics[{names}]'"


class Batches:
    """Gathers the records of one stream, and writes them to files.

    Attributes:
        encoding: How files are written.
        count: How many files have been written.
    """

    def __init__(
        self, tap_name: str, config: BatchConfig, schemas: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Prepare to write; nothing is written yet.

        Args:
            tap_name: The name of the tap.
            config: The value of the setting `batch_config`.
            schemas: The streams that the records belong to, which stream maps may make several,
                and their JSON schemas.
        """
        self.encoding = config.encoding
        self.count = 0
        self._size = config.batch_size
        self._storage = config.storage
        compression = config.encoding.compression
        if config.encoding.format == "parquet":
            self._suffix = ".parquet"
        else:
            self._suffix = ".jsonl.gz" if compression == "gzip" else ".jsonl"
        self._encoders: dict[str, Callable[[Sequence[Record]], bytes]] = {}
        for stream, schema in schemas.items():
            if config.encoding.format == "parquet":
                self._encoders[stream] = ParquetEncoder(schema, compression)
            else:
                self._encoders[stream] = _gzipped_lines if compression == "gzip" else _lines
        self._gathered: dict[str, list[Record]] = {stream: [] for stream in schemas}
        self._prefix = f"{self._storage.prefix or ''}{tap_name}--"
        self._id = uuid4()

    def add(self, stream: str, record: Record) -> str | None:
        """Take a record.

        Args:
            stream: The stream that it belongs to.
            record: A record as it would stand in a RECORD message.

        Returns:
            The URL of a file, if the record has completed one.
        """
        records = self._gathered[stream]
        records.append(record)
        return self._write(stream) if len(records) >= self._size else None

    def write_rest(self) -> Iterator[tuple[str, str]]:
        """Write the records that make no full file.

        Yields:
            A stream, and the URL of a file with records of it.
        """
        for stream, records in self._gathered.items():
            if records:
                yield stream, self._write(stream)

    def _write(self, stream: str) -> str:
        records = self._gathered[stream]
        content = self._encoders[stream](records)
        records.clear()
        self.count += 1
        stem = re.sub(r"[^\w-]", "_", stream)
        name = f"{self._prefix}{stem}-{self._id}-{self.count}{self._suffix}"
        try:
            root = UPath(self._storage.root, **self._storage.params).resolve()
            path = root.joinpath(name)
            # Either way, it is there when it is complete.
            if isinstance(root, CloudPath):
                path.fs.pipe_file(path.path, content)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.fs.transaction, path.open("wb") as file:
                    file.write(content)
        except Exception as error:
            reason = f"{type(error).__name__}: {one_line(str(error))}"
            message = f"`batch_config.storage`: {self._storage.root} can't be written to: {reason}"
            raise StorageError(message) from error
        return str(path.as_uri())


def _lines(records: Sequence[Record]) -> bytes:
    return encoder.encode_lines(records)


def _gzipped_lines(records: Sequence[Record]) -> bytes:
    return gzip.compress(_lines(records), compresslevel=6)


class ParquetEncoder:
    """Writes Parquet with the columns of a JSON schema, the same for each file of a stream.

    Texts, booleans and timestamps (microseconds, UTC) have their types, numbers are
    `DECIMAL(38, 18)`, or `BIGINT` where a stream map says that they are whole, everything else is
    JSON. What doesn't fit its column, or has none, stands in the column `RESCUED`, exactly as it
    came; in its own is null then, or, for a number with more digits after the point, what it is
    rounded to.
    """

    def __init__(self, schema: Mapping[str, Any], compression: str | None) -> None:
        """Derive the columns.

        Args:
            schema: The JSON schema of the records.
            compression: `gzip`, `none`, or null for what is usual (Snappy).
        """
        # It takes most of a second to import.
        import pyarrow as pa  # type: ignore[import-untyped] # noqa: PLC0415

        self._compression = compression or "snappy"
        kinds: dict[Callable[[Any], object], pa.DataType] = {
            _text: pa.string(),
            _boolean: pa.bool_(),
            _integer: pa.int64(),
            _number: pa.decimal128(_CONTEXT.prec, SCALE),
            _timestamp: pa.timestamp("us", "UTC"),
            _json: pa.json_(),
        }
        self._converters = {
            name: _converter_of(definition) for name, definition in schema["properties"].items()
        }
        columns = {**self._converters, RESCUED: _json}
        self._schema = pa.schema(
            [pa.field(name, kinds[converter]) for name, converter in columns.items()]
        )

    def __call__(self, records: Sequence[Record]) -> bytes:
        """Write records.

        Args:
            records: The records of one file.

        Returns:
            The file.
        """
        import pyarrow as pa  # noqa: PLC0415
        from pyarrow import parquet  # noqa: PLC0415

        rescued = [
            {name: value for name, value in record.items() if name not in self._converters}
            for record in records
        ]
        columns = {
            name: [*_column(name, converter, records, rescued)]
            for name, converter in self._converters.items()
        }
        columns[RESCUED] = [_json(rest) if rest else None for rest in rescued]
        arrays = [pa.array(columns[field.name], field.type) for field in self._schema]
        file = BytesIO()
        table = pa.Table.from_arrays(arrays, schema=self._schema)
        parquet.write_table(table, file, compression=self._compression)
        return file.getvalue()


def _column(
    name: str,
    converter: Callable[[Any], object],
    records: Sequence[Record],
    rescued: Sequence[dict[str, Any]],
) -> Iterator[object]:
    for record, rest in zip(records, rescued, strict=True):
        value = record.get(name)
        if isinstance(value, float):
            # Of a stream map: what the APIs send are decimals.
            value = Decimal(repr(value))
        fitting = None
        if value is not None:
            with suppress(ArithmeticError, TypeError, ValueError):
                fitting = converter(value)
            if fitting is None or (isinstance(fitting, Decimal) and fitting != value):
                rest[name] = value
        yield fitting


def _converter_of(definition: Mapping[str, Any]) -> Callable[[Any], object]:
    types = definition.get("type", ())
    kinds = ({types} if isinstance(types, str) else {*types}) - {"null"}
    if kinds == {"string"}:
        return _timestamp if definition.get("format") == "date-time" else _text
    by_type = {"boolean": _boolean, "integer": _integer, "number": _number}
    return by_type.get(kinds.pop(), _json) if len(kinds) == 1 else _json


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _boolean(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _integer(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if -(2**63) <= value < 2**63 else None


def _number(value: object) -> Decimal | None:
    if not isinstance(value, int | Decimal) or isinstance(value, bool):
        return None
    number = Decimal(value)
    return number.quantize(_UNIT, context=_CONTEXT) if number.is_finite() else None


def _timestamp(value: str) -> datetime | None:
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo else None


def _json(value: object) -> str:
    return encoder.encode(value).decode()
