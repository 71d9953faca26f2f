"""Batches: files of records in place of RECORD messages, if `batch_config` is set.

The SDK announces the files, but does not write them. Its Parquet encoder takes the columns from
the first record of each file: it drops other fields silently, fails on nested data that varies,
and two files rarely agree. Its JSONL is always compressed, even if the settings and the BATCH
message say otherwise. Both create a bucket that does not exist, even after a typing error.
"""

from __future__ import annotations

import gzip
import logging
import re
from dataclasses import fields
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from singer_sdk.contrib.msgspec import encoder
from singer_sdk.helpers._batch import BaseBatchFileEncoding, BatchConfig, StorageTarget
from upath import UPath
from upath.implementations.cloud import CloudPath

from tap_analytics.exceptions import StorageError
from tap_analytics.log.wording import listed, one_line
from tap_analytics.singer.parquet import ParquetEncoder, row_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from singer_sdk.helpers.types import Record

    Encoder = Callable[[Sequence[Record]], bytes]

# At DEBUG it logs the headers of all requests, and with them keys and session tokens.
logging.getLogger("botocore").setLevel(logging.INFO)


def find_errors(config: Mapping[str, Any]) -> Iterator[str]:
    """Find the errors in the setting `batch_config` that its JSON schema does not find.

    Args:
        config: The value of the setting.

    Yields:
        A line per error.
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
    """Gathers the records of one stream and writes them to files.

    Attributes:
        encoding: The encoding of the files, for BATCH messages.
        schemas: The JSON schemas of what the files hold, by stream, for SCHEMA messages.
    """

    def __init__(
        self, tap_name: str, config: BatchConfig, schemas: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Prepare to write; nothing is written yet.

        Args:
            tap_name: The name of the tap.
            config: The value of the setting `batch_config`.
            schemas: The JSON schemas of the records, by the streams that they are emitted in.
                Stream maps may make several streams of one.
        """
        self.encoding = config.encoding
        self.schemas = dict(schemas)
        if self.encoding.format == "parquet":
            self.schemas = {stream: row_schema(schema) for stream, schema in schemas.items()}
        self._count = 0
        self._size = config.batch_size
        self._storage = config.storage
        self._encoders = {
            stream: _encoder_for(self.encoding, schema) for stream, schema in schemas.items()
        }
        self._gathered: dict[str, list[Record]] = {stream: [] for stream in schemas}
        self._prefix = f"{self._storage.prefix or ''}{tap_name}--"
        self._id = uuid4()

    def add(self, stream: str, record: Record) -> str | None:
        """Take a record.

        Args:
            stream: The stream that it is emitted in.
            record: The record, as a RECORD message would hold it.

        Returns:
            The URL of a file if the record has completed one.

        Raises:
            StorageError: If the file can't be written.
        """
        records = self._gathered[stream]
        records.append(record)
        return self._write(stream) if len(records) >= self._size else None

    @property
    def is_empty(self) -> bool:
        """Whether all records are written."""
        return not any(self._gathered.values())

    def write_rest(self) -> Iterator[tuple[str, str]]:
        """Write the records that don't fill a file.

        Yields:
            A stream, and the URL of the file with its records.

        Raises:
            StorageError: If a file can't be written.
        """
        for stream, records in self._gathered.items():
            if records:
                yield stream, self._write(stream)

    def _write(self, stream: str) -> str:
        records = self._gathered[stream]
        content = self._encoders[stream](records)
        records.clear()
        self._count += 1
        stem = re.sub(r"[^\w-]", "_", stream)
        name = f"{self._prefix}{stem}-{self._id}-{self._count}{_suffix_for(self.encoding)}"
        try:
            return _store(self._storage, name, content)
        except Exception as error:
            reason = f"{type(error).__name__}: {one_line(str(error))}"
            message = f"`batch_config.storage`: {self._storage.root} can't be written to: {reason}"
            raise StorageError(message) from error


def _store(storage: StorageTarget, name: str, content: bytes) -> str:
    """Write a file, so that it appears when it is complete, and return its URL."""
    root = UPath(storage.root, **storage.params).resolve()
    path = root.joinpath(name)
    if isinstance(root, CloudPath):
        path.fs.pipe_file(path.path, content)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.fs.transaction, path.open("wb") as file:
            file.write(content)
    return str(path.as_uri())


def _encoder_for(encoding: BaseBatchFileEncoding, schema: Mapping[str, Any]) -> Encoder:
    if encoding.format == "parquet":
        return ParquetEncoder(schema, encoding.compression)
    return _gzipped_lines if encoding.compression == "gzip" else encoder.encode_lines


def _suffix_for(encoding: BaseBatchFileEncoding) -> str:
    if encoding.format == "parquet":
        return ".parquet"
    return ".jsonl.gz" if encoding.compression == "gzip" else ".jsonl"


def _gzipped_lines(records: Sequence[Record]) -> bytes:
    return gzip.compress(encoder.encode_lines(records), compresslevel=6)
