"""However the output fails, that is one line and status 1."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sandboxes import impatient

if TYPE_CHECKING:
    from tap_analytics.sandbox import Sandbox

TAP = (sys.executable, "-m", "tap_analytics")
LINE = re.compile(r"\d{4}-\d\d-\d\d [\d:,]+ \| ([A-Z]+) +\| [\w.-]+ +\| (.*)")


def run(shell: str, *args: str, **environment: str) -> list[str]:
    """The warnings and errors of a run that a shell starts with `exec "$@"`."""
    done = subprocess.run(
        ["/bin/sh", "-c", shell, "sh", *TAP, *args],
        env=os.environ | environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        check=False,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    # What is logged before there is a format stands alone on its line.
    lines = [
        match[2] if (match := LINE.fullmatch(line)) else line
        for line in done.stderr.splitlines()
        if not ((match := LINE.fullmatch(line)) and match[1] in {"INFO", "DEBUG"})
    ]
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    return lines


@pytest.fixture
def config(sandbox: Sandbox, tmp_path: Path) -> str:
    # More than fits a buffer, and less.
    sandbox.data["accounts"] = [{"id": str(row), "x": "x" * 2000} for row in range(60)]
    path = tmp_path / "config.json"
    path.write_text(json.dumps(impatient(sandbox, page_size=100)))
    return f"--config={path}"


OPTIONS = pytest.mark.parametrize("option", ["", "--discover", "--about", "--version", "--help"])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux")
@pytest.mark.parametrize("option", ["", "--about"])
def test_a_full_disk_is_one_line(config: str, option: str) -> None:
    lines = run('exec "$@" >/dev/full', config, *filter(None, [option]))
    assert lines == ["The output can't be written: No space left on device"]


@OPTIONS
def test_a_closed_output_is_one_line(config: str, option: str) -> None:
    lines = run('exec "$@" >&-', config, *filter(None, [option]))
    assert lines == ["Standard output is closed"]


@pytest.mark.parametrize("option", ["", "--discover"])
def test_a_file_that_may_not_grow_is_one_line(config: str, tmp_path: Path, option: str) -> None:
    output = tmp_path / "output"
    lines = run(
        f'ulimit -f 8; exec "$@" >{output}',
        config,
        *filter(None, [option]),
        PYTHONDONTWRITEBYTECODE="1",
        # A measurement of coverage would want to write files, too.
        COVERAGE_PROCESS_CONFIG="",
        COVERAGE_PROCESS_START="",
    )
    # Besides it there are warnings of records only.
    assert "The output can't be written: File too large" in lines
    assert lines[-1].endswith("moves the bookmark") or lines[-1].startswith("The output")
    assert sum("output" in line for line in lines) == 1
    assert output.stat().st_size in {8 * 512, 8 * 1024}


def test_an_output_that_can_only_be_read_is_one_line(config: str) -> None:
    lines = run('exec "$@" 1</dev/null', config)
    assert lines == ["The output can't be written: Bad file descriptor"]


@pytest.mark.parametrize("option", ["", "--discover", "--version"])
def test_a_target_that_has_gone_is_one_line(config: str, tmp_path: Path, option: str) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    # The reader goes before the tap starts.
    lines = run(f': <{fifo} & exec 3>{fifo}; wait; exec "$@" >&3', config, *filter(None, [option]))
    assert lines == ["The target has gone, and so does the tap"]


@pytest.mark.parametrize(
    ("variable", "option"), [("TAP_ANALYTICS_LOGLEVEL", ""), ("LOGLEVEL", "--discover")]
)
def test_a_wrong_log_level_is_one_line(config: str, option: str, variable: str) -> None:
    lines = run('exec "$@"', config, *filter(None, [option]), **{variable: "nonsense"})
    assert lines == [
        (
            f"The environment variable {variable} must be DEBUG, INFO, WARNING, ERROR or CRITICAL: "
            "'nonsense'"
        )
    ]


def test_the_log_level_of_the_tap_comes_before_that_of_all_programs(
    config: str, tmp_path: Path
) -> None:
    (tmp_path / "wrong.json").write_text("[]")
    levels = {"TAP_ANALYTICS_LOGLEVEL": "error", "LOGLEVEL": "nonsense"}
    (line,) = run('exec "$@"', config, f"--config={tmp_path / 'wrong.json'}", **levels)
    assert line.endswith("wrong.json holds no JSON object")


def test_a_log_that_can_not_be_written_does_not_stop_the_sync(config: str) -> None:
    for shell in ('exec "$@" 2>/dev/full', 'exec "$@" 2>&-'):
        done = subprocess.run(
            ["/bin/sh", "-c", shell, "sh", *TAP, config], capture_output=True, check=False
        )
        assert done.returncode == 0
        assert done.stdout.count(b"\n") > 300
