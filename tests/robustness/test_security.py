"""What the tap does to the machine it runs on: nothing that it was not told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandboxes import impatient

if TYPE_CHECKING:
    import pytest

    from tap_analytics.sandbox import Sandbox

# The interpreter tells of all that touches the system, whoever does it.
WATCH = """
import json, os, runpy, sys

events = []

def watch(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
            events.append([event, str(path)])
    elif event == "socket.connect":
        events.append([event, arguments[1][0], arguments[1][1]])
    elif event.startswith((
        "subprocess.", "os.system", "os.exec", "os.fork", "os.spawn", "os.posix_spawn", "pty.",
        "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.chmod", "os.link", "os.symlink",
        "os.truncate", "shutil.", "tempfile.", "socket.bind", "pickle.",
        "ctypes.dlopen", "builtins.breakpoint",
    )):
        events.append([event, *map(str, arguments)])

from tap_analytics.__main__ import main

sys.addaudithook(watch)
try:
    main()
finally:
    sys.stderr.write(json.dumps(events) + "\\n")
"""


def watched(folder: Path, config: dict[str, Any], *arguments: str) -> list[list[Any]]:
    path = folder / "config.json"
    path.write_text(json.dumps(config))
    done = subprocess.run(
        [sys.executable, "-c", WATCH, "--config", str(path), *arguments],
        capture_output=True,
        check=True,
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    events: list[list[Any]] = json.loads(done.stderr.splitlines()[-1])
    return events


def test_a_sync_writes_no_file_starts_no_process_and_connects_only_to_the_api(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    events = watched(tmp_path, impatient(sandbox))
    port = int(sandbox.url.rsplit(":", 1)[1])
    assert [event for event in events if event[0] == "socket.connect"]
    # Standard output is opened anew, by its number.
    assert {tuple(event) for event in events} == {
        ("socket.connect", "127.0.0.1", port),
        ("open", "1"),
    }
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_batches_are_written_where_the_settings_say_and_nowhere_else(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "batches"
    root.mkdir()
    config = impatient(
        sandbox,
        batch_config={
            "encoding": {"format": "jsonl", "compression": "gzip"},
            "storage": {"root": root.as_uri()},
        },
    )
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    opened = {event[1] for event in watched(tmp_path, config) if event[0] == "open"}
    # A file is moved to where it belongs when it is complete.
    assert {Path(path).parent for path in opened - {"1"}} == {temporary}
    assert list(temporary.iterdir()) == []
    assert len(list(root.iterdir())) == 13


def test_the_watch_sees_files_and_processes(sandbox: Sandbox, tmp_path: Path) -> None:
    # Else the tests above could not fail.
    config = impatient(sandbox, stream_maps={"users": {"name": "name"}})
    intruder = WATCH.replace("    main()", "    open('x', 'w').close(); os.system('true'); main()")
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    done = subprocess.run(
        [sys.executable, "-c", intruder, "--config", str(path)],
        capture_output=True,
        check=True,
        cwd=tmp_path,
    )
    names = {event[0] for event in json.loads(done.stderr.splitlines()[-1])}
    assert {"open", "os.system"} <= names
