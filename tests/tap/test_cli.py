"""The command line: options, discovery, selection, and settings from files and variables."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sandboxes import STREAMS, impatient, only

if TYPE_CHECKING:
    from runs import RunTap

    from tap_analytics.sandbox import Sandbox

CONSOLE_SCRIPT = [str(Path(sys.executable).with_name("tap-analytics"))]
MODULE = [sys.executable, "-m", "tap_analytics"]


def catalog_of(run_tap: RunTap, config: dict[str, Any]) -> dict[str, Any]:
    catalog: dict[str, Any] = json.loads(run_tap(config, "--discover").output)
    return catalog


def metadata(catalog: dict[str, Any], stream: str, *breadcrumb: str) -> dict[str, Any]:
    entry = next(entry for entry in catalog["streams"] if entry["tap_stream_id"] == stream)
    found: dict[str, Any] = next(
        item["metadata"] for item in entry["metadata"] if item["breadcrumb"] == list(breadcrumb)
    )
    return found


@pytest.mark.parametrize("command", [CONSOLE_SCRIPT, MODULE], ids=["script", "module"])
def test_the_tap_runs_as_a_process(command: list[str], sandbox: Sandbox, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps(impatient(sandbox)))
    done = subprocess.run(
        [*command, "--config", str(config)], capture_output=True, check=True, text=True
    )
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    assert {m["stream"] for m in messages if m["type"] == "SCHEMA"} == set(STREAMS)
    assert sum(m["type"] == "RECORD" for m in messages) == 13 * 25
    assert messages[-1]["type"] == "STATE"


@pytest.mark.parametrize("command", [CONSOLE_SCRIPT, MODULE], ids=["script", "module"])
def test_a_wrong_setting_ends_the_process_with_status_1(command: list[str], tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"page_size": 0}')
    done = subprocess.run(
        [*command, "--config", str(config)], capture_output=True, check=False, text=True
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "`page_size`: 0 is less than the minimum of 2" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_version_is_printed(run_tap: RunTap) -> None:
    run = run_tap(None, "--version")
    assert run.status == 0
    assert run.output.startswith(b"tap-analytics v")


def test_help_names_every_option(run_tap: RunTap) -> None:
    run = run_tap(None, "--help")
    assert run.status == 0
    for option in ("--config", "--catalog", "--state", "--discover", "--test", "--about"):
        assert option in run.output.decode()


@pytest.mark.parametrize("form", ["text", "json", "markdown"])
def test_about_lists_every_setting(run_tap: RunTap, form: str) -> None:
    run = run_tap(None, "--about", *([] if form == "text" else [f"--format={form}"]))
    assert run.status == 0
    for name in ("account_id", "client_secret", "content_by_account", "page_size", "stream_maps"):
        assert name in run.output.decode()


def test_about_marks_secrets_as_secret(run_tap: RunTap) -> None:
    settings = json.loads(run_tap(None, "--about", "--format=json").output)["settings"]
    secret = {name for name, setting in settings["properties"].items() if setting.get("secret")}
    assert secret == {"password", "client_secret"}


def test_discovery_without_config_shows_every_stream(run_tap: RunTap) -> None:
    run = run_tap(None, "--discover")
    assert run.status == 0
    catalog = json.loads(run.output)
    assert {entry["tap_stream_id"] for entry in catalog["streams"]} == set(STREAMS)
    for entry in catalog["streams"]:
        assert entry["key_properties"] == ["id"]
        assert entry["replication_key"] == "updated_at"
        assert entry["replication_method"] == "INCREMENTAL"
        root = metadata(catalog, entry["tap_stream_id"])
        assert root["table-key-properties"] == ["id"]
        assert root["valid-replication-keys"] == ["updated_at"]


@pytest.mark.parametrize(("api", "count"), [("experience", 7), ("creator", 6)])
def test_streams_of_an_api_without_credentials_are_not_discovered(
    run_tap: RunTap, sandbox: Sandbox, api: str, count: int
) -> None:
    catalog = catalog_of(run_tap, only(api, sandbox))
    assert len(catalog["streams"]) == count
    assert sandbox.requests == []


def test_a_sync_without_credentials_says_what_to_set(run_tap: RunTap) -> None:
    for arguments in ([], ["--test"]):
        run = run_tap({}, *arguments)
        assert run.status == 1
        assert run.output == b""
        assert run.errors[0] == (
            "There are no credentials: set `username`, `password` and `account_id` or "
            "`client_id` and `client_secret`"
        )


def test_several_config_files_are_merged(run_tap: RunTap, sandbox: Sandbox, tmp_path: Path) -> None:
    more = tmp_path / "more.json"
    more.write_text('{"page_size": 25}')
    run = run_tap(only("creator", sandbox, page_size=5), "--config", str(more))
    assert run.status == 0
    first = [request.query for request in sandbox.requests if request.query["offset"] == "0"]
    assert {query["limit"] for query in first} == {"25"}


def test_every_setting_is_read_from_the_environment(
    run_tap: RunTap, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {
        **sandbox.environment,
        "TAP_ANALYTICS_CONTENT_BY_ACCOUNT": "true",
        "TAP_ANALYTICS_START_DATE": "2025-06-01",
        "TAP_ANALYTICS_LOOKBACK_WINDOW": "60",
        "TAP_ANALYTICS_PAGE_SIZE": "7",
        "TAP_ANALYTICS_MAX_RETRIES": "0",
        "TAP_ANALYTICS_BACKOFF_FACTOR": "0",
        "TAP_ANALYTICS_REQUEST_TIMEOUT": "30",
        "TAP_ANALYTICS_USER_AGENT": "pipeline/7",
        "TAP_ANALYTICS_STREAM_MAPS": '{"users": {"name": "sha256(name)"}}',
        "TAP_ANALYTICS_FLATTENING_ENABLED": "true",
        "TAP_ANALYTICS_FLATTENING_MAX_DEPTH": "1",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    run = run_tap(None, "--config=ENV")
    assert run.status == 0, run.log
    creator_requests = [r for r in sandbox.requests if r.path.startswith("/v1/")]
    # An account without content is asked again with the largest limit.
    first = [
        r.query for r in creator_requests if r.path == "/v1/users" and r.query["offset"] == "0"
    ]
    assert [query["limit"] for query in first] == ["7"]
    assert {request.headers["User-Agent"] for request in sandbox.requests} == {"pipeline/7"}
    assert any("account_id" in request.query for request in creator_requests)
    assert 0 < len(run.ids("profiles")) < 25
    assert all(record["updated_at"] >= "2025-06-01" for record in run.records("profiles"))
    assert all(len(record["name"]) == 64 for record in run.records("users"))
    assert any("user__id" in record for record in run.records("accounts"))


def test_the_user_agent_names_tap_and_version(run_tap: RunTap, sandbox: Sandbox) -> None:
    version = run_tap(None, "--version").output.decode().split(",")[0].replace(" v", "/")
    run_tap(only("experience", sandbox))
    assert {request.headers["User-Agent"] for request in sandbox.requests} == {version}


def test_a_connection_test_reads_one_page_of_each_stream(run_tap: RunTap, sandbox: Sandbox) -> None:
    run = run_tap(impatient(sandbox), "--test")
    assert run.status == 0, run.log
    assert len(sandbox.requests) == 13
    assert {m["stream"] for m in run.of_type("RECORD")} == set(STREAMS)


def test_the_schema_test_makes_no_request(run_tap: RunTap, sandbox: Sandbox) -> None:
    run = run_tap(impatient(sandbox), "--test=schema")
    assert run.status == 0
    assert {message["stream"] for message in run.of_type("SCHEMA")} == set(STREAMS)
    assert sandbox.requests == []


def test_a_connection_test_with_a_wrong_password_fails(run_tap: RunTap, sandbox: Sandbox) -> None:
    run = run_tap(only("experience", sandbox, password="wrong"), "--test")  # noqa: S106
    assert run.status == 1
    assert "401" in run.errors[-1]


def test_a_deselected_stream_causes_no_request(run_tap: RunTap, sandbox: Sandbox) -> None:
    config = impatient(sandbox)
    catalog = catalog_of(run_tap, config)
    for stream in STREAMS:
        metadata(catalog, stream)["selected"] = stream in {"tags", "users"}
    run = run_tap(config, catalog=catalog)
    assert run.status == 0
    assert {message["stream"] for message in run.of_type("SCHEMA")} == {"tags", "users"}
    paths = {request.path.rsplit("/", 1)[-1] for request in sandbox.requests}
    assert paths == {"tags", "users"}


def test_deselected_fields_do_not_arrive(run_tap: RunTap, sandbox: Sandbox) -> None:
    config = impatient(sandbox)
    catalog = catalog_of(run_tap, config)
    metadata(catalog, "profiles", "properties", "emails")["selected"] = False
    metadata(catalog, "profiles", "properties", "reputation", "properties", "like_count")[
        "selected"
    ] = False
    run = run_tap(config, catalog=catalog)
    (schema,) = run.of_type("SCHEMA", "profiles")
    properties = schema["schema"]["properties"]
    assert "emails" not in properties
    assert "like_count" not in properties["reputation"]["properties"]
    assert "follower_count" in properties["reputation"]["properties"]
    records = run.records("profiles")
    assert len(records) == 25
    assert not any("emails" in record for record in records)
    reputations = [record["reputation"] for record in records if record.get("reputation")]
    assert reputations
    assert not any("like_count" in reputation for reputation in reputations)


def test_key_and_replication_key_arrive_when_they_are_deselected(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    config = only("creator", sandbox)
    catalog = catalog_of(run_tap, config)
    for field in ("id", "updated_at", "name"):
        metadata(catalog, "users", "properties", field)["selected"] = False
    records = run_tap(config, catalog=catalog).records("users")
    assert all(record.keys() >= {"id", "updated_at"} for record in records)
    assert not any("name" in record for record in records)
