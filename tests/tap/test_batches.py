"""Files in place of RECORD messages, read back by what is not the SDK."""

from __future__ import annotations

import gzip
import io
import json
import sys
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import duckdb
import pytest
from s3 import ACCESS_KEY, SECRET_KEY, give_key, make_bucket, s3_server
from sandboxes import CREATOR_STREAMS, STREAMS, impatient, only
from series import mentions
from singer_sdk import Target
from singer_sdk.sinks import BatchSink
from upath import UPath

from tap_analytics._compat import override
from tap_analytics.listing.timestamps import canonical
from tap_analytics.sandbox import Reply, Request, Sandbox
from tap_analytics.singer import batches, state
from tap_analytics.singer.parquet import RESCUED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runs import Run, RunTap

JSONL = {"format": "jsonl", "compression": "gzip"}
PARQUET = {"format": "parquet"}

TOKEN = "batches-session-token"  # noqa: S105 - the same

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

each_encoding = pytest.mark.parametrize("encoding", [JSONL, PARQUET], ids=["jsonl", "parquet"])
each_root = pytest.mark.parametrize(
    "root", ["folder", pytest.param("s3", marks=pytest.mark.slow)], indirect=True
)


@pytest.fixture(scope="session")
def s3_address() -> Iterator[str]:
    """The address of a server that speaks S3."""
    with s3_server() as address:
        yield address


bucket_numbers = count(1)


@pytest.fixture
def bucket(s3_address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket to which the environment has the key, as it would for any program."""
    give_key(monkeypatch, s3_address)
    return make_bucket(f"bucket-{next(bucket_numbers)}")


@pytest.fixture
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where batches go: a folder that nobody has made yet, or a bucket."""
    if getattr(request, "param", "folder") == "folder":
        return (tmp_path / "batches" / "new").as_uri()
    return f"{request.getfixturevalue('bucket')}/new"


def batched(
    encoding: Mapping[str, Any], root: str, size: int | None = None, **storage: str
) -> dict[str, Any]:
    """Settings that have batches written."""
    config = {"encoding": encoding, "storage": {"root": root, **storage}}
    return {"batch_config": config if size is None else config | {"batch_size": size}}


def urls(run: Run, stream: str) -> list[str]:
    return [url for message in run.of_type("BATCH", stream) for url in message["manifest"]]


def rows(relation: duckdb.DuckDBPyRelation) -> list[dict[str, Any]]:
    """What is in a table, with timestamps as the tap writes them."""
    columns = [
        f'epoch_us("{name}")' if str(kind) == "TIMESTAMP WITH TIME ZONE" else f'"{name}"'
        for name, kind in zip(relation.columns, relation.types, strict=True)
    ]

    def python(kind: str, value: Any) -> Any:  # noqa: ANN401 - any value of a column
        if value is not None and kind == "JSON":
            return json.loads(value, parse_float=Decimal)
        if value is not None and kind == "TIMESTAMP WITH TIME ZONE":
            return (EPOCH + timedelta(microseconds=value)).isoformat(timespec="microseconds")
        return value

    return [
        {
            name: python(str(kind), value)
            for name, kind, value in zip(relation.columns, relation.types, row, strict=True)
        }
        for row in relation.project(", ".join(columns)).fetchall()
    ]


def table(files: list[str]) -> duckdb.DuckDBPyRelation:
    """Let DuckDB read files of one stream, all at once."""
    if files[0].startswith("s3:"):
        # Its extension for S3 would have to be downloaded.
        copies = [Path(file.rpartition("/")[2]) for file in files]
        for file, copy in zip(files, copies, strict=True):
            copy.write_bytes(UPath(file).read_bytes())
        files = [*map(str, copies)]
    if files[0].endswith(".parquet"):
        return duckdb.read_parquet(files)
    relation = duckdb.sql(
        "SELECT json FROM read_json_objects($files, format = 'newline_delimited')",
        params={"files": files},
    )
    assert relation is not None
    return relation


def records(run: Run, stream: str) -> list[dict[str, Any]]:
    """The records in the files of a stream, put together again."""
    files = urls(run, stream)
    found = rows(table(files)) if files else []
    if files and files[0].endswith(".parquet"):
        return [row | (row.pop(RESCUED) or {}) for row in found]
    return [row["json"] for row in found]


def timestamps(stream: str) -> set[str]:
    schema = Path(batches.__file__).parents[1] / "schemas" / f"{stream}.json"
    properties = json.loads(schema.read_text(encoding="utf-8"))["properties"]
    return {name for name, field in properties.items() if field.get("format") == "date-time"}


def expected(stream: str, record: dict[str, Any]) -> dict[str, Any]:
    """What must arrive of a record that the sandbox serves."""

    def plain(value: Any) -> Any:  # noqa: ANN401 - any JSON value
        match value:
            case str():
                return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            case list():
                return [plain(item) for item in value]
            case dict():
                return {plain(key): plain(item) for key, item in value.items()}
            case float():
                return Decimal(repr(value))
            case _:
                return value

    values = {key: canonical(record[key]) for key in timestamps(stream) & record.keys()}
    return {key: plain(value) for key, value in record.items()} | values


def compare(run: Run, stream: str, served: list[dict[str, Any]]) -> None:
    """Compare what is in files with what was served; only Parquet has a null for what is absent."""
    is_jsonl = all(".jsonl" in url for url in urls(run, stream))
    arrived = records(run, stream)
    assert len(arrived) == len(served)
    for found, record in zip(arrived, served, strict=True):
        wanted = expected(stream, record)
        if not is_jsonl:
            assert found.keys() >= wanted.keys()
            wanted = dict.fromkeys(found) | wanted
        assert found == wanted
        # Equal is also true to 1.
        assert repr_of_kinds(found) == repr_of_kinds(wanted)


def repr_of_kinds(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, list):
        return [repr_of_kinds(item) for item in value]
    if isinstance(value, dict):
        return {key: repr_of_kinds(item) for key, item in value.items()}
    return "number" if type(value) in {int, Decimal} else type(value).__name__


@each_encoding
@each_root
def test_files_hold_what_the_apis_serve_value_by_value(
    run_tap: RunTap, sandbox: Sandbox, root: str, encoding: dict[str, str]
) -> None:
    run = run_tap(impatient(sandbox, **batched(encoding, root, size=15)))
    assert run.status == 0, run.log
    assert run.of_type("RECORD") == []
    for stream in STREAMS:
        messages = run.of_type("BATCH", stream)
        assert [len(message["manifest"]) for message in messages] == [1, 1]
        for message in messages:
            assert message["encoding"]["format"] == encoding["format"]
            assert message["encoding"].get("compression") == encoding.get("compression")
        assert all(url.startswith(f"{root}/tap-analytics--{stream}-") for url in urls(run, stream))
        assert table(urls(run, stream)[:1]).shape[0] == 15
        compare(run, stream, sandbox.data[stream])
        latest = max(canonical(r["updated_at"]) or "" for r in sandbox.data[stream])
        assert run.bookmark(stream) == latest


NUMBERS: list[Any] = [
    0,
    -1.5,
    Decimal("1.10"),
    2**53 + 1,
    -(10**19) - 1,
    10**40,
    Decimal("0.000000000000000001"),
    Decimal("0.1234567890123456789012345678901"),
    Decimal("-12345678901234567890.123456789012345678"),
    Decimal("1E+400"),
    Decimal("1E-400"),
    "n/a",
    True,
    [1],
]

ODD: list[dict[str, Any]] = [
    {"id": "1", "name": "Zoë 🎬 \u2028 \x00 '\"\\", "new": {"a": [1, None, {"é": 1.5}]}},
    {"id": "2", "name": 5, "external_id": None, "new": None, "_rescued_data": "mine"},
    {"id": "3", "name": ["A"], "created_at": "2026-01-31", "updated_at": 1767225600000},
    {"id": "4", "name": {}, "external_id": False, "newer": 2**70, "id 2": ""},
    {"id": "5", "created_at": "", "updated_at": "9999-12-31T23:59:59.999999Z"},
]


@each_encoding
def test_nothing_is_lost_that_no_schema_has_foreseen(
    run_tap: RunTap, sandbox: Sandbox, root: str, encoding: dict[str, str]
) -> None:
    sandbox.data["users"] = ODD
    sandbox.data["social_income_transactions"] = [
        {"id": str(number), "amount": value, "cpm": None, "user": value}
        for number, value in enumerate(NUMBERS)
    ]
    run = run_tap(only("creator", sandbox, **batched(encoding, root, size=2)))
    assert run.status == 0, run.log
    for stream in ("users", "social_income_transactions"):
        compare(run, stream, sandbox.data[stream])


def test_jsonl_spells_numbers_as_the_api_does(run_tap: RunTap, sandbox: Sandbox, root: str) -> None:
    numbers = [n for n in NUMBERS if isinstance(n, int | Decimal) and n is not True]
    sandbox.data["users"] = [{"id": "1", "numbers": numbers}]
    run = run_tap(only("creator", sandbox, **batched(JSONL, root)))
    (url,) = urls(run, "users")
    text = gzip.decompress(UPath(url).read_bytes()).decode()
    assert text == f'{{"id":"1","numbers":[{",".join(map(str, numbers))}]}}\n'


def test_a_parquet_column_of_numbers_is_exact_or_says_that_it_is_not(
    run_tap: RunTap, sandbox: Sandbox, root: str
) -> None:
    sandbox.data["social_income_transactions"] = [
        {"id": str(number), "amount": value} for number, value in enumerate(NUMBERS)
    ]
    run = run_tap(only("creator", sandbox, **batched(PARQUET, root)))
    arrived = rows(table(urls(run, "social_income_transactions")))
    for row, value in zip(arrived, NUMBERS, strict=True):
        exact = rounded = None
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            exact = Decimal(str(value))
            if abs(exact) < 10**20:
                rounded = exact.quantize(Decimal("1E-18"), context=Context(prec=38))
        assert row["amount"] == rounded
        is_exact = exact is not None and exact == rounded
        assert row[RESCUED] == (None if is_exact else {"amount": value})
    assert sum(row[RESCUED] is None for row in arrived) == 7


def test_all_parquet_files_of_a_stream_have_the_types_of_its_schema(
    run_tap: RunTap, sandbox: Sandbox, root: str
) -> None:
    # The first file has nulls only, the second nothing but the key, the third the usual.
    usual = sandbox.data["content_items"][0]
    sandbox.data["content_items"] = [
        {**dict.fromkeys(usual), "id": "1"},
        {"id": "2"},
        {**usual, "id": "3"},
    ]
    run = run_tap(only("creator", sandbox, **batched(PARQUET, root, size=1)))
    tables = [table([url]) for url in urls(run, "content_items")]
    assert len(tables) == 3
    kinds = dict(zip(tables[0].columns, map(str, tables[0].types), strict=True))
    assert all(dict(zip(t.columns, map(str, t.types), strict=True)) == kinds for t in tables)
    (schema,) = run.of_type("SCHEMA", "content_items")
    assert [*kinds] == [*schema["schema"]["properties"]]
    assert [*kinds][-1] == RESCUED
    assert kinds["title"] == "VARCHAR"
    assert kinds["duration"] == "DECIMAL(38,18)"
    assert kinds["is_owned_by_platform_user"] == "BOOLEAN"
    assert kinds["updated_at"] == "TIMESTAMP WITH TIME ZONE"
    assert kinds["engagement"] == kinds["hashtags"] == kinds[RESCUED] == "JSON"


@each_encoding
@each_root
def test_a_second_sync_writes_only_what_has_changed(
    run_tap: RunTap, sandbox: Sandbox, root: str, encoding: dict[str, str]
) -> None:
    config = impatient(sandbox, **batched(encoding, root))
    first = run_tap(config)
    before = {
        stream: {r["id"]: r["updated_at"] for r in sandbox.data[stream]} for stream in STREAMS
    }
    sandbox.advance()
    second = run_tap(config, state=first.state)
    assert second.status == 0, second.log
    for stream in STREAMS:
        bookmark = first.bookmark(stream) or ""
        due = [r for r in sandbox.data[stream] if (canonical(r["updated_at"]) or "") >= bookmark]
        assert {
            r["id"] for r in sandbox.data[stream] if before[stream].get(r["id"]) != r["updated_at"]
        } <= {r["id"] for r in due}
        assert len(due) < 25
        compare(second, stream, due)
        assert (second.bookmark(stream) or "") > bookmark
    assert not {*urls(first, "users")} & {*urls(second, "users")}


def bookmarked(state: Mapping[str, Any]) -> set[str]:
    bookmarks = state.get("bookmarks", {})
    return {
        name
        for name, value in bookmarks.items()
        if "replication_key_value" in value or value.get("accounts")
    }


def accounts_in(message: Mapping[str, Any]) -> set[str]:
    """The accounts that the files of a BATCH message hold records of."""
    return {row["json"]["account"]["id"] for row in rows(table(message["manifest"]))}


def assert_state_is_never_ahead(run: Run, before: Mapping[str, Any] | None = None) -> None:
    for position, message in enumerate(run.messages):
        if message["type"] == "STATE":
            for later in run.messages[position:]:
                if later["type"] != "BATCH" or later["stream"] not in bookmarked(message["value"]):
                    continue
                bookmark = message["value"]["bookmarks"][later["stream"]]
                if "accounts" in bookmark:
                    assert not accounts_in(later) & bookmark["accounts"].keys()
                else:
                    assert before
                    assert bookmark == before["bookmarks"][later["stream"]]


# 25 records: as many batches as fit exactly, one more, and one that is not full.
@pytest.mark.parametrize("size", [pytest.param(1, marks=pytest.mark.slow), 10, 25, 1000])
@pytest.mark.parametrize("per_account", [False, True], ids=["plain", "per account"])
def test_a_state_never_precedes_a_batch_that_it_stands_for(
    run_tap: RunTap,
    sandbox: Sandbox,
    root: str,
    monkeypatch: pytest.MonkeyPatch,
    size: int,
    *,
    per_account: bool,
) -> None:
    # Else there would be two.
    monkeypatch.setattr(state, "INTERVAL", 0)
    monkeypatch.setattr(state, "GROWTH", 1e9)
    config = only(
        "creator", sandbox, content_by_account=per_account, **batched(JSONL, root, size=size)
    )
    run = run_tap(config)
    assert len(run.of_type("STATE")) >= 6 + (25 if per_account else 0) // size
    assert_state_is_never_ahead(run)
    assert bookmarked(run.state) == {*CREATOR_STREAMS}
    for stream in CREATOR_STREAMS:
        assert len(urls(run, stream)) == -(-25 // size)
        assert len(records(run, stream)) == 25


def test_a_stream_that_fails_half_way_keeps_its_bookmark_and_what_it_has_read(
    run_tap: RunTap, sandbox: Sandbox, root: str
) -> None:
    config = only("creator", sandbox, **batched(PARQUET, root, size=4))
    first = run_tap(config)
    sandbox.advance()

    def intercept(request: Request) -> Reply | None:
        is_last = request.path.endswith("/users") and request.query["offset"] == "18"
        return Reply.json({"message": "no"}, status=403) if is_last else None

    sandbox.intercept = intercept
    second = run_tap(config, state=first.state)
    assert second.status == 1
    assert second.errors[-1].startswith("users: 403 ")
    assert_state_is_never_ahead(second, first.state)
    assert second.bookmark("users") == first.bookmark("users")
    assert (second.bookmark("accounts") or "") > (first.bookmark("accounts") or "")
    bookmark = first.bookmark("users") or ""
    due = [r for r in sandbox.data["users"][:19] if (canonical(r["updated_at"]) or "") >= bookmark]
    assert due
    compare(second, "users", due)

    sandbox.intercept = None
    third = run_tap(config, state=second.state)
    assert (third.bookmark("users") or "") > bookmark
    due = [r for r in sandbox.data["users"] if (canonical(r["updated_at"]) or "") >= bookmark]
    compare(third, "users", due)


class Trouble:
    """Storage that stands in for `UPath` until it has had enough."""

    def __init__(self, files: int, trouble: BaseException) -> None:
        self.files = files
        self.trouble = trouble

    def __call__(self, *args: Any, **options: Any) -> UPath:
        self.files -= 1
        if self.files < 0:
            raise self.trouble
        path: UPath = UPath(*args, **options)
        return path


@pytest.mark.parametrize(
    ("trouble", "status"), [(PermissionError("Access Denied"), 1), (SystemExit(143), 143)]
)
@pytest.mark.parametrize("files", [0, 2, 4])
def test_what_cannot_be_written_is_not_in_the_state(
    run_tap: RunTap,
    sandbox: Sandbox,
    root: str,
    monkeypatch: pytest.MonkeyPatch,
    trouble: BaseException,
    status: int,
    files: int,
) -> None:
    # The first stream has three files, and its last record has been read when the third is due.
    monkeypatch.setattr(batches, "UPath", Trouble(files, trouble))
    run = run_tap(only("creator", sandbox, **batched(JSONL, root, size=10)))
    assert run.status == status
    assert len(run.of_type("BATCH")) == files
    assert_state_is_never_ahead(run)
    assert bookmarked(run.state) == ({"accounts"} if files == 4 else set())
    if status == 1:
        assert run.errors[-1].endswith(
            f"`batch_config.storage`: {root} can't be written to: PermissionError: Access Denied"
        )


@pytest.mark.parametrize("size", [10, None])
def test_records_that_can_not_be_encoded_cost_their_stream_alone(
    run_tap: RunTap,
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    size: int | None,
) -> None:
    users = {record["id"] for record in sandbox.data["users"]}

    def encode(records: list[dict[str, Any]]) -> bytes:
        if records[0]["id"] in users:
            message = "no such type"
            raise TypeError(message)
        return b"".join(json.dumps(record, default=str).encode() + b"\n" for record in records)

    monkeypatch.setattr(batches, "_gzipped_lines", encode)
    config = only("creator", sandbox)
    config |= batched({"format": "jsonl", "compression": "gzip"}, str(tmp_path / "new"), size)
    catalog = json.loads(run_tap(config, "--discover").output)
    for entry in catalog["streams"]:
        entry["replication_method"] = "FULL_TABLE" if entry["stream"] == "users" else "INCREMENTAL"
    run = run_tap(config, catalog=catalog)
    assert run.status == 1
    assert run.errors[-1].endswith("users: TypeError: no such type")
    assert bookmarked(run.state) == {*CREATOR_STREAMS} - {"users"}


@each_encoding
def test_no_version_is_activated_as_loaders_would_delete_what_they_load_from_files(
    run_tap: RunTap, sandbox: Sandbox, root: str, encoding: dict[str, str]
) -> None:
    config = impatient(
        sandbox, emit_activate_version_messages=True, **batched(encoding, root, size=10)
    )
    catalog = json.loads(run_tap(config, "--discover").output)
    for entry in catalog["streams"]:
        entry["replication_method"] = "FULL_TABLE"
    run = run_tap(config, catalog=catalog)
    for stream in STREAMS:
        messages = [m for m in run.messages if m.get("stream") == stream]
        assert [m["type"] for m in messages] == ["SCHEMA", *["BATCH"] * 3]
        compare(run, stream, sandbox.data[stream])
    assert mentions(run.warnings, "`emit_activate_version_messages` does nothing with")


@each_encoding
def test_what_is_deselected_or_mapped_is_so_in_files(
    run_tap: RunTap, sandbox: Sandbox, root: str, encoding: dict[str, str]
) -> None:
    config = only(
        "creator",
        sandbox,
        stream_maps={
            "users": {
                "name": "sha256(name)",
                "external_id": None,
                "third": "float(1) / 3",
                "two": "int(2)",
            },
            "odd/people": {"__source__": "users", "id": "id", "__else__": None},
            "work_platforms": None,
        },
        flattening_enabled=True,
        flattening_max_depth=2,
        **batched(encoding, root),
    )
    catalog = json.loads(run_tap(config, "--discover").output)
    for entry in catalog["streams"]:
        for item in entry["metadata"]:
            if item["breadcrumb"] == ["properties", "username"]:
                item["metadata"]["selected"] = False
    plain = run_tap(
        {name: config[name] for name in config if name != "batch_config"}, catalog=catalog
    )
    run = run_tap(config, catalog=catalog)
    assert run.status == 0, run.log
    assert {m["stream"] for m in run.of_type("BATCH")} == {
        m["stream"] for m in plain.of_type("RECORD")
    }
    for stream in {"odd/people", *CREATOR_STREAMS} - {"work_platforms"}:
        found = records(run, stream)
        wanted = plain.records(stream)
        if encoding is PARQUET:
            (schema,) = plain.of_type("SCHEMA", stream)
            properties = schema["schema"]["properties"]
            assert {*found[0]} == {*properties}
            wanted = [dict.fromkeys(properties) | record for record in wanted]
        assert found == wanted
    assert all(len(record["name"]) == 64 for record in records(run, "users"))
    assert not any("username" in record for record in records(run, "accounts"))


class Sink(BatchSink):
    """A loader's, which remembers what it has been given."""

    received: ClassVar[dict[str, list[dict[str, Any]]]] = {}

    @override
    def process_batch(self, context: dict[str, Any]) -> None:
        self.received.setdefault(self.stream_name, []).extend(context["records"])


class Loader(Target):
    name = "target-of-tests"
    config_jsonschema: ClassVar[dict[str, Any]] = {"properties": {}}
    default_sink_class = Sink


@pytest.mark.parametrize(
    "encoding",
    [
        JSONL,
        {"format": "jsonl", "compression": "none"},
        {"format": "jsonl"},
        PARQUET,
        {"format": "parquet", "compression": "gzip"},
        {"format": "parquet", "compression": "none"},
    ],
    ids=lambda encoding: "-".join(encoding.values()),
)
def test_loaders_that_are_made_with_the_sdk_read_the_files(
    run_tap: RunTap,
    sandbox: Sandbox,
    root: str,
    encoding: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Sink, "received", {})
    run = run_tap(only("creator", sandbox, **batched(encoding, root, size=10, prefix="p/q-")))
    Loader().listen(io.StringIO(run.output.decode()))
    assert Sink.received.keys() == {*CREATOR_STREAMS}
    for stream in CREATOR_STREAMS:
        assert [r["id"] for r in Sink.received[stream]] == [r["id"] for r in sandbox.data[stream]]
        is_gzip = encoding == JSONL
        for url in urls(run, stream):
            assert url.startswith(f"{root}/p/q-tap-analytics--")
            suffix = ".parquet" if encoding["format"] == "parquet" else ".jsonl"
            assert url.endswith(suffix + ".gz" if is_gzip else suffix)


def test_a_connection_test_leaves_no_files(run_tap: RunTap, sandbox: Sandbox, root: str) -> None:
    run = run_tap(impatient(sandbox, **batched(JSONL, root, size=1)), "--test")
    assert run.status == 0
    assert not run.of_type("BATCH")
    assert not UPath(root).exists()


@pytest.mark.parametrize("by", ["environment", "settings"])
@pytest.mark.parametrize("folder", ["", "-typo"], ids=["that works", "that does not"])
def test_keys_of_the_storage_appear_nowhere(
    run_tap: RunTap,
    sandbox: Sandbox,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
    folder: str,
    by: str,
) -> None:
    monkeypatch.setenv("TAP_ANALYTICS_LOGLEVEL", "DEBUG")
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    config = only("creator", sandbox, **batched(PARQUET, bucket + folder))
    if by == "settings":
        keys = {"key": ACCESS_KEY, "secret": SECRET_KEY, "token": TOKEN}
        for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"):
            monkeypatch.delenv(f"AWS_{name}")
        config["batch_config"]["storage"]["params"] = keys
    run = run_tap(config)
    assert run.status == (1 if folder else 0)
    for secret in (ACCESS_KEY, SECRET_KEY, TOKEN):
        assert secret not in run.log
        assert secret.encode() not in run.output


def test_a_bucket_that_is_not_there_is_an_error_and_is_not_made(
    run_tap: RunTap, sandbox: Sandbox, bucket: str
) -> None:
    run = run_tap(only("creator", sandbox, **batched(JSONL, f"{bucket}-typo/batches")))
    assert run.status == 1
    assert run.errors == [
        (
            f"StorageError: `batch_config.storage`: {bucket}-typo/batches can't be written to: "
            "FileNotFoundError: The specified bucket does not exist"
        )
    ]
    assert not bookmarked(run.state)
    assert not UPath(f"{bucket}-typo").exists()


def test_storage_without_keys_is_one_error(
    run_tap: RunTap, sandbox: Sandbox, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    UPath(bucket).fs.clear_instance_cache()
    run = run_tap(only("creator", sandbox, **batched(JSONL, bucket)))
    assert run.status == 1
    assert run.errors == [
        (
            f"StorageError: `batch_config.storage`: {bucket} can't be written to: "
            "NoCredentialsError: Unable to locate credentials"
        )
    ]


@pytest.mark.parametrize(
    ("encoding", "url", "names"),
    [
        (PARQUET, "file:///tmp/batches", "parquet"),
        (JSONL, "s3://bucket", "s3"),
        (PARQUET, "s3a://bucket/folder", "parquet,s3"),
    ],
)
def test_an_extra_that_is_missing_is_named_before_the_first_request(
    run_tap: RunTap,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    encoding: dict[str, str],
    url: str,
    names: str,
) -> None:
    for module in ("pyarrow", "s3fs"):
        monkeypatch.setitem(sys.modules, module, None)
    run = run_tap(impatient(sandbox, **batched(encoding, url)))
    assert run.status == 1
    assert run.errors[:-1] == [
        f"`batch_config` takes what is not installed: pip install 'tap-analytics[{names}]'"
    ]
    assert run.output == b""
    assert sandbox.requests == []


def test_jsonl_in_a_folder_takes_no_extra(
    run_tap: RunTap, sandbox: Sandbox, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("pyarrow", "s3fs", "boto3"):
        monkeypatch.setitem(sys.modules, module, None)
    assert run_tap(only("creator", sandbox, **batched(JSONL, root))).status == 0


STORAGE = {"root": "file:///tmp/batches"}


@pytest.mark.parametrize(
    ("config", "lines"),
    [
        (
            {"encoding": {}, "storage": None},
            [
                "`batch_config.encoding.format` is missing",
                "`batch_config.storage.root` is missing",
            ],
        ),
        (
            {"encoding": JSONL, "storage": STORAGE, "size": 5},
            ["`batch_config` has no `size`"],
        ),
        (
            {"encoding": JSONL | {"level": 9}, "storage": STORAGE | {"path": "", "key": ""}},
            [
                "`batch_config.encoding` has no `level`",
                "`batch_config.storage` has no `key` and `path`",
            ],
        ),
        (
            {"encoding": JSONL, "storage": STORAGE, "batch_size": 0},
            ["`batch_config.batch_size` must be a whole number, 1 or more: 0"],
        ),
        (
            {"encoding": JSONL, "storage": STORAGE, "batch_size": "10"},
            ["`batch_config.batch_size` must be a whole number, 1 or more: '10'"],
        ),
        (
            {"encoding": {"format": "csv"}, "storage": STORAGE},
            ["`batch_config.encoding.format`: 'csv' is not one of ['jsonl', 'parquet']"],
        ),
    ],
)
def test_a_wrong_batch_config_stops_the_tap_before_the_first_request(
    run_tap: RunTap, sandbox: Sandbox, config: dict[str, Any], lines: list[str]
) -> None:
    run = run_tap(impatient(sandbox, batch_config=config))
    assert run.status == 1
    assert run.errors[:-1] == lines
    assert sandbox.requests == []
