"""What the tap writes on the sandbox, in short: a reference to compare later versions with.

Make the reference with the tap of any version, in an environment of its own:

    python tests/support/golden.py PATH/TO/tap-analytics > tests/tap/messages.json

Do so when messages are meant to change, with the version that has changed them.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runs import Run, write_options
from sandboxes import impatient, only

from tap_analytics.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    RunWithFiles = Callable[..., Run]

# All of them are times: versions are milliseconds since 1970.
TIMES = re.compile(rb'"(?:time_extracted|version|replication_key_signpost)":(?:"[^"]*"|\d+)')

MAPS = {
    "users": {"name": "sha256(name)", "external_id": None, "shout": "name.upper()"},
    "profiles": {"__alias__": "faces", "emails": None},
    "accounts": {"__filter__": "id < '8'"},
    "tags": None,
}


def summarize(run: Run) -> dict[str, Any]:
    """Say what a run has written, without times.

    Args:
        run: A run of the tap.

    Returns:
        The kinds of messages in their order, a digest of the lines of each stream and of all STATE
        lines, and what the last STATE holds.
    """
    kinds: list[str] = []
    digests: dict[str, Any] = {}
    for line, message in zip(run.output.splitlines(), run.messages, strict=True):
        stream = message.get("stream", "")
        kinds.append(f"{message['type']} {stream}".rstrip())
        digests.setdefault(stream or "STATE", sha256()).update(TIMES.sub(b"", line) + b"\n")
    return {
        "status": run.status,
        "messages": [f"{len([*group])} {kind}" for kind, group in groupby(kinds)],
        "lines": {stream: digest.hexdigest() for stream, digest in digests.items()},
        "state": run.state,
    }


def full_table(catalog: bytes) -> dict[str, Any]:
    """Set the replication method of all streams to FULL_TABLE.

    Args:
        catalog: What discovery has written.

    Returns:
        The catalog for a sync.
    """
    streams: dict[str, Any] = json.loads(catalog)
    for entry in streams["streams"]:
        entry["replication_method"] = "FULL_TABLE"
    return streams


def run_all(run_tap: RunWithFiles) -> Iterator[tuple[str, Run]]:
    """Run the tap in all ways that the reference knows.

    Args:
        run_tap: Runs the tap, as the fixture of that name does.

    Yields:
        A name and a run for each way.
    """
    with Sandbox(rows=25) as sandbox:
        config = impatient(sandbox)
        first = run_tap(config)
        yield "first sync", first
        per_account = only("creator", sandbox, content_by_account=True)
        yield "content by account", run_tap(per_account)
        yield "content by account, from a state", run_tap(per_account, state=first.state)
        versions = impatient(sandbox, emit_activate_version_messages=True)
        catalog = full_table(run_tap(versions, "--discover").output)
        yield "full table with versions", run_tap(versions, catalog=catalog)
        yield "stream maps", run_tap(impatient(sandbox, stream_maps=MAPS))
        flat = impatient(sandbox, flattening_enabled=True, flattening_max_depth=2)
        yield "flattening", run_tap(flat)
        sandbox.advance()
        yield "second sync, a day later", run_tap(config, state=first.state)


def run_in_process_of(script: str, folder: Path) -> RunWithFiles:
    """Make a function that runs a console script.

    Args:
        script: The path of a `tap-analytics`.
        folder: Where files for its options are written.

    Returns:
        A function with the arguments of the fixture `run_tap`.
    """

    def run(config: dict[str, Any], *arguments: str, **files: dict[str, Any]) -> Run:
        options = write_options(folder, config=config, **files)
        done = subprocess.run(
            [script, *options, *arguments], capture_output=True, check=False, cwd=folder
        )
        return Run(done.returncode, done.stdout, done.stderr.decode())

    return run


def main() -> None:
    """Print the reference."""
    with tempfile.TemporaryDirectory() as folder:
        run_tap = run_in_process_of(sys.argv[1], Path(folder))
        reference = {name: summarize(run) for name, run in run_all(run_tap)}
    json.dump(reference, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
