"""What a program reads in the log: a JSON object a line, as the page about logging shows it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sandboxes import STREAMS, impatient, only

from tap_analytics.sandbox import Reply, Request

if TYPE_CHECKING:
    from tap_analytics.sandbox import Sandbox

PAGE = Path(__file__).parents[2] / "docs" / "logging.md"
SCRIPT = Path(sys.executable).with_name("tap-analytics")


def run_structured(
    folder: Path, config: dict[str, Any], *options: str
) -> tuple[int, list[dict[str, Any]]]:
    """Run the tap with the logging configuration of the page.

    Returns:
        The exit status, and the lines of the log.
    """
    found = re.search(r"<<'YAML'\n(.*?)\nYAML\n", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    (folder / "logging.yml").write_text(found[1], encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    done = subprocess.run(
        [SCRIPT, "--config", "config.json", *options],
        cwd=folder,
        env=os.environ | {"SINGER_SDK_LOG_CONFIG": "logging.yml"},
        capture_output=True,
        check=False,
    )
    return done.returncode, [json.loads(line) for line in done.stderr.splitlines()]


def summary_of(log: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    (summary,) = (line["extra"]["summary"] for line in log if "summary" in line["extra"])
    assert isinstance(summary, dict)
    return summary


def test_the_summary_is_fields_of_one_record(sandbox: Sandbox, tmp_path: Path) -> None:
    status, log = run_structured(tmp_path, impatient(sandbox))
    assert status == 0
    summary = summary_of(log)
    assert [*summary] == [*sorted(STREAMS), "total"]
    assert {fields["status"] for fields in summary.values()} == {"succeeded"}
    assert {fields["records"] for fields in summary.values()} == {25, 25 * len(STREAMS)}
    for stream, path in {"users": "/v1/users", "flows": "/accounts/1/flows"}.items():
        sent = [request for request in sandbox.requests if request.path.endswith(path[-6:])]
        assert summary[stream]["requests"] == len(sent) > 0, stream
    for name in ("records", "requests", "retries", "throttled", "skipped", "seconds"):
        *parts, total = (fields[name] for fields in summary.values())
        assert total == pytest.approx(sum(parts), abs=0.01)


def test_the_summary_says_which_streams_have_failed(sandbox: Sandbox, tmp_path: Path) -> None:
    refused = "/v1/profiles"
    sandbox.intercept = lambda request: Reply(status=403) if request.path == refused else None
    status, log = run_structured(tmp_path, impatient(sandbox))
    assert status == 1
    failed = [name for name, field in summary_of(log).items() if field["status"] == "failed"]
    assert failed == ["profiles", "total"]


def test_retries_and_throttling_are_fields(sandbox: Sandbox, tmp_path: Path) -> None:
    throttled: list[str] = []  # the first page sent ahead, and the first try

    def throttle(request: Request) -> Reply | None:
        if request.path == "/v1/users" and len(throttled) < 2:
            throttled.append(request.path)
            return Reply(status=429)
        return None

    sandbox.intercept = throttle
    status, log = run_structured(tmp_path, only("creator", sandbox, backoff_factor=0))
    assert status == 0
    summary = summary_of(log)
    assert (summary["users"]["retries"], summary["users"]["throttled"]) == (1, 2)
    assert (summary["accounts"]["retries"], summary["accounts"]["throttled"]) == (0, 0)


def test_a_catalog_that_wants_a_stream_that_is_not_there_makes_the_total_fail(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    schema = {"properties": {"id": {"type": "string"}}}
    streams = [
        {"stream": name, "tap_stream_id": name, "selected": True, "schema": schema}
        for name in ("users", "flows")
    ]
    (tmp_path / "catalog.json").write_text(json.dumps({"streams": streams}))
    config = only("creator", sandbox)
    status, log = run_structured(tmp_path, config, "--catalog", "catalog.json")
    assert status == 1
    summary = summary_of(log)
    assert (summary["users"]["status"], summary["total"]["status"]) == ("succeeded", "failed")


def test_what_a_stream_logs_names_it(sandbox: Sandbox, tmp_path: Path) -> None:
    for record in sandbox.data["users"]:
        record["updated_at"] = "yesterday"
    refused = "/v1/profiles"
    sandbox.intercept = lambda request: Reply(status=403) if request.path == refused else None
    _, log = run_structured(tmp_path, impatient(sandbox))
    spoilt = [line for line in log if "yesterday" in line["message"]]
    assert len(spoilt) == 6  # five, and how many more
    assert {line["stream_name"] for line in spoilt} == {"users"}
    (failure,) = [line for line in log if "everything else goes on" in line["message"]]
    assert failure["stream_name"] == "profiles"
    metrics = [line["metric_info"] for line in log if line["message"] == "METRIC"]
    assert {metric["tags"]["stream"] for metric in metrics} == {*STREAMS}
