"""A sync that is interrupted repeats next to nothing of what it had done."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from runs import Run
from scripted_api import CONTENT, CREATOR, PER_ACCOUNT, Answer, Call, ScriptedApi
from series import account_bookmark, assert_holds_all, at_most, emitted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runs import RunTap

SCRIPT = Path(sys.executable).with_name("tap-analytics")
ACCOUNTS = 40
CONTENTS = 12
AT = 36


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi() as running, at_most(60):
        yield running


def interrupted(api: ScriptedApi, folder: Path, number: signal.Signals) -> Run:
    """Run the tap as a process, and end it when nine accounts of ten have been read."""
    accounts = [row["id"] for row in api.rows["accounts"]]
    has_arrived = threading.Event()

    def hang(call: Call) -> None:
        if call.stream == CONTENT and call.account == accounts[AT]:
            has_arrived.set()
            api.is_stopped.wait(30)

    def end(process: subprocess.Popen[bytes]) -> None:
        has_arrived.wait(30)
        process.send_signal(number)

    api.gate = hang
    config = folder / "config.json"
    config.write_text(json.dumps(api.creator(max_concurrent_requests=1)))
    with subprocess.Popen(
        [SCRIPT, "--config", config], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        ender = threading.Thread(target=end, args=(process,))
        ender.start()
        output, log = process.communicate()
        ender.join()
    api.gate = None
    return Run(process.returncode, output, log.decode())


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_sync_that_a_signal_ends_near_its_end_repeats_next_to_nothing(
    api: ScriptedApi, run_tap: RunTap, tmp_path: Path, number: signal.Signals
) -> None:
    accounts = api.fill(ACCOUNTS, contents=CONTENTS)
    first = interrupted(api, tmp_path, number)
    assert first.status == 128 + number
    assert first.messages[-1]["type"] == "STATE"
    assert len(first.ids(CONTENT)) >= (AT - 1) * CONTENTS
    api.wait(hours=1)
    second = run_tap(api.creator(), state=first.state)
    assert second.status == 0
    repeated = set(first.ids(CONTENT)) & set(second.ids(CONTENT))
    # An account has a bookmark of its own, at which there is one record.
    assert len(repeated) <= ACCOUNTS + CONTENTS
    for account in accounts[AT + 1 :]:
        assert len(emitted(second, CONTENT, account)) == CONTENTS
    assert_holds_all(api, CREATOR, first, second)
    api.wait(hours=1)
    third = run_tap(api.creator(), state=second.state)
    for stream in CREATOR:
        assert len(third.ids(stream)) <= 1, stream


def test_an_api_that_dies_near_the_end_repeats_next_to_nothing(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    accounts = api.fill(ACCOUNTS, contents=CONTENTS)
    dead = set(accounts[AT:])
    has_died = False

    def die(call: Call) -> Answer | None:
        nonlocal has_died
        has_died = has_died or call.account in dead
        return Answer(fault="drop") if has_died else None

    api.script = die
    first = run_tap(api.creator(max_concurrent_requests=1))
    assert first.status == 1
    api.script = None
    api.wait(hours=1)
    second = run_tap(api.creator(), state=first.state)
    assert second.status == 0
    for stream in PER_ACCOUNT:
        repeated = set(first.ids(stream)) & set(second.ids(stream))
        assert len(repeated) <= ACCOUNTS + CONTENTS, stream
    assert_holds_all(api, CREATOR, first, second)


def test_nothing_is_lost_from_any_state_that_was_written_on_the_way(
    api: ScriptedApi, run_tap: RunTap, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loader confirms a state when what came before it is safe, and then everything stops."""
    api.fill(6, contents=3)
    first = run_tap(api.creator())
    api.wait(days=1)
    for stream in ("accounts", "users", *PER_ACCOUNT):
        for row in [*api.rows[stream]][::2]:
            api.change(stream, row["id"])
    api.wait(hours=1)
    # As if half a minute passed with each account, so that no state is left out.
    monkeypatch.setattr("tap_analytics.singer.state.INTERVAL", 0)
    second = run_tap(api.creator(), state=first.state)
    monkeypatch.undo()
    lines = second.output.splitlines(keepends=True)
    ends = [number for number, line in enumerate(lines) if b'"type":"STATE"' in line]
    assert len(ends) > 6
    for end in ends:
        safe = Run(0, b"".join(lines[: end + 1]), "")
        third = run_tap(api.creator(), state=safe.state)
        assert third.status == 0
        assert_holds_all(api, CREATOR, first, safe, third)


def test_an_account_that_was_being_read_has_no_bookmark_yet(
    api: ScriptedApi, run_tap: RunTap, tmp_path: Path
) -> None:
    accounts = api.fill(ACCOUNTS, contents=CONTENTS)
    first = interrupted(api, tmp_path, signal.SIGTERM)
    assert account_bookmark(first.state, CONTENT, accounts[AT]) is None
    assert account_bookmark(first.state, CONTENT, accounts[0]) is not None
    second = run_tap(api.creator(), state=first.state)
    assert len(emitted(second, CONTENT, accounts[AT])) == CONTENTS
