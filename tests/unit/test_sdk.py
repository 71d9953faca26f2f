# ruff: noqa: SLF001 - private members are what this is about
"""What the package relies on in the SDK, beyond what the SDK promises.

Each test sings when an update of the SDK renames or changes a member of the table in the docstring
of `tap_analytics.singer.stream`.
"""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from click.testing import CliRunner
from sdk_members import (
    TREES,
    final_members_overridden,
    namespace_of,
    private_imports,
    private_members_touched,
)
from singer_sdk import Stream, Tap, plugin_base
from singer_sdk import typing as th
from singer_sdk.contrib.msgspec import encoder
from singer_sdk.helpers import _batch

from tap_analytics._compat import override
from tap_analytics.singer import stream as table_module

if TYPE_CHECKING:
    from collections.abc import Iterable

    from singer_sdk.helpers.types import Context, Record


class Numbers(Stream):
    name = "numbers"
    schema: ClassVar[dict[str, Any]] = th.PropertiesList(
        th.Property("id", th.IntegerType), th.Property("name", th.StringType)
    ).to_dict()

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        yield from ({"id": number, "name": str(number)} for number in range(3))


class SmallTap(Tap):
    """A tap of the SDK without anything of ours, which notes what is called."""

    name = "tap-small"
    config_jsonschema = th.PropertiesList(th.Property("size", th.IntegerType)).to_dict()
    calls: ClassVar[list[str]]
    aborts_at: ClassVar[list[int | None]]

    @override
    def discover_streams(self) -> list[Stream]:
        self.calls.append(f"discover with {self.config.get('size')}")

        class Noted(Numbers):
            @override  # type: ignore[misc] # what is relied on
            def sync(stream, context: Context | None = None) -> None:  # noqa: N805 - two of them
                self.calls.append("sync")
                self.aborts_at.append(stream.ABORT_AT_RECORD_COUNT)

        return [Noted(self)]

    @override
    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        self.calls.append("validate")
        self._config["size"] = 7
        return super()._validate_config(raise_errors=raise_errors)


@pytest.fixture(autouse=True)
def _nothing_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SmallTap, "calls", [], raising=False)
    monkeypatch.setattr(SmallTap, "aborts_at", [], raising=False)


def members_of_the_table() -> set[str]:
    rows = [line for line in (table_module.__doc__ or "").splitlines() if line.startswith("| `")]
    names = [name for row in rows for name in re.findall(r"`([\w.]+)`", row.split("|")[1])]
    assert len(names) == len(set(names))
    return {name.rpartition(".")[2] for name in names}


def test_the_table_lists_all_that_is_private_or_final_and_touched() -> None:
    touched: set[str] = set()
    for module, tree in TREES.items():
        if module.startswith(("singer/", "tap.py")):
            namespace = namespace_of(module)
            names = [*private_imports(tree), *private_members_touched(tree, namespace)]
            touched |= {name.rpartition(".")[2] for name in names}
            for member in namespace.values():
                if isinstance(member, type) and member.__module__.startswith("tap_analytics."):
                    touched |= final_members_overridden(member)
    assert touched == members_of_the_table()


def test_the_command_line_calls_sync_all_and_run_connection_test(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("sync_all", "run_connection_test"):
        assert getattr(getattr(Tap, name), "__final__", False)
        monkeypatch.setattr(SmallTap, name, lambda tap, name=name: tap.calls.append(name) or True)
    for arguments, name in (([], "sync_all"), (["--test"], "run_connection_test")):
        SmallTap.calls.clear()
        done = CliRunner().invoke(SmallTap.cli, arguments)
        assert done.exception is None, done.output
        assert SmallTap.calls[-1] == name


def test_a_connection_test_syncs_each_stream_with_a_limit_of_one_record() -> None:
    assert SmallTap().run_connection_test() is True
    assert SmallTap.calls[-1] == "sync"
    assert SmallTap.aborts_at == [1]


def test_a_sync_calls_the_sync_of_streams_with_a_context_or_none() -> None:
    assert getattr(Stream.sync, "__final__", False)
    (_, context) = inspect.signature(Stream.sync).parameters.values()
    assert (context.name, context.default) == ("context", None)
    SmallTap().sync_all()
    assert SmallTap.calls[-1] == "sync"
    assert SmallTap.aborts_at == [None]


def test_settings_are_validated_before_streams_are_discovered_and_may_be_completed_then() -> None:
    tap = SmallTap(config={})
    assert tap.streams
    assert SmallTap.calls == ["validate", "discover with 7"]


def test_record_messages_lack_what_is_deselected_and_have_the_version_of_the_stream() -> None:
    stream = Numbers(SmallTap())
    assert stream._stream_version is None
    stream.mask[("properties", "name")] = False
    stream._stream_version = 12
    (message,) = stream._generate_record_messages({"id": 1, "name": "one"})
    assert message.record == {"id": 1}
    assert message.version == 12
    assert message.stream == "numbers"


def test_the_callback_for_configuration_files_returns_what_they_hold() -> None:
    given = SmallTap.cb_config(None, None, ("ENV",))  # type: ignore[arg-type] # neither is used
    assert isinstance(given, plugin_base._ConfigInput)
    assert (given.config, given.parse_env) == ({}, True)


def test_batch_messages_hold_encoding_and_files() -> None:
    encoding = _batch.BaseBatchFileEncoding.from_dict({"format": "jsonl", "compression": "gzip"})
    message = _batch.SDKBatchMessage("numbers", encoding, ["file:///a"], None)
    assert json.loads(encoder.encode(message.to_dict())) == {
        "type": "BATCH",
        "stream": "numbers",
        "encoding": {"format": "jsonl", "compression": "gzip"},
        "manifest": ["file:///a"],
    }


def test_the_setting_for_batches_is_read_as_objects() -> None:
    config = _batch.BatchConfig.from_dict(
        {
            "encoding": {"format": "parquet"},
            "storage": {"root": "file:///a", "prefix": "p-", "params": {"key": "k"}},
        }
    )
    assert isinstance(config.encoding, _batch.BaseBatchFileEncoding)
    assert (config.encoding.format, config.encoding.compression) == ("parquet", None)
    assert isinstance(config.storage, _batch.StorageTarget)
    assert (config.storage.root, config.storage.prefix) == ("file:///a", "p-")
    assert config.storage.params == {"key": "k"}
    assert config.batch_size > 0
    assert [field.name for field in fields(config)] == ["encoding", "storage", "batch_size"]
