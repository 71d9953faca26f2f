"""A sync begins and ends with a STATE message, whatever happens between."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from scripted_api import CREATOR, EXPERIENCE, PER_ACCOUNT, Answer, ScriptedApi
from series import assert_holds_all, at_most, discover, full_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runs import Run, RunTap


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi() as running, at_most(60):
        running.fill(6, contents=2)
        yield running


def assert_within_states(run: Run) -> None:
    kinds = [message["type"] for message in run.messages]
    assert kinds[0] == kinds[-1] == "STATE"


def load_forgetfully(run: Run) -> dict[str, Any]:
    """Load as `target-jsonl` does: a RECORD makes it forget the state, and it prints the last."""
    state = None
    for message in run.messages:
        if message["type"] == "STATE":
            state = message["value"]
        elif message["type"] == "RECORD":
            state = None
    assert state is not None, "the loader has no state to print"
    loaded: dict[str, Any] = json.loads(json.dumps(state))
    return loaded


@pytest.mark.parametrize("by_account", [False, True])
def test_the_recipe_for_pipes_works_again_and_again_with_a_loader_that_forgets(
    api: ScriptedApi, run_tap: RunTap, *, by_account: bool
) -> None:
    config = api.both(content_by_account=by_account)
    runs = [run_tap(config)]
    for _ in range(3):
        api.wait(hours=1)
        runs.append(run_tap(config, state=load_forgetfully(runs[-1])))
        assert_within_states(runs[-1])
        for stream in (*CREATOR, *EXPERIENCE):
            assert len(runs[-1].ids(stream)) <= 1, stream
    assert_holds_all(api, (*CREATOR, *EXPERIENCE), *runs)


@pytest.mark.parametrize("by_account", [False, True])
def test_a_sync_without_any_record_begins_and_ends_with_a_state(
    api: ScriptedApi, run_tap: RunTap, *, by_account: bool
) -> None:
    for rows in api.rows.values():
        rows.clear()
    run = run_tap(api.both(content_by_account=by_account))
    assert run.status == 0
    assert_within_states(run)


def test_a_sync_without_a_bookmark_that_moves_begins_and_ends_with_a_state(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    for rows in api.rows.values():
        for row in rows:
            del row["updated_at"]
    first = run_tap(api.both())
    assert_within_states(first)
    second = run_tap(api.both(), state=load_forgetfully(first))
    assert_within_states(second)
    assert second.state == first.state


def test_a_full_table_ends_with_a_state(api: ScriptedApi, run_tap: RunTap) -> None:
    config = api.creator(emit_activate_version_messages=True)
    catalog = full_table(discover(run_tap, config), *CREATOR)
    first = run_tap(config, catalog=catalog)
    assert_within_states(first)
    second = run_tap(config, catalog=catalog, state=load_forgetfully(first))
    assert_within_states(second)


@pytest.mark.parametrize("status", [401, 403, 500])
def test_a_sync_that_fails_ends_with_a_state(
    api: ScriptedApi, run_tap: RunTap, status: int
) -> None:
    first = run_tap(api.both())
    for streams in (PER_ACCOUNT, ("work_platforms",), CREATOR, (*CREATOR, *EXPERIENCE)):
        failing = set(streams)
        api.script = lambda call, failing=failing: (
            Answer(status) if call.stream in failing else None
        )
        run = run_tap(api.both(), state=load_forgetfully(first))
        assert run.status == 1
        assert_within_states(run)
        assert load_forgetfully(run)["bookmarks"].keys() == first.state["bookmarks"].keys()


def test_the_first_state_is_where_the_sync_starts(api: ScriptedApi, run_tap: RunTap) -> None:
    first = run_tap(api.both())
    api.wait(days=1)
    for stream in (*CREATOR, "flows"):
        api.change(stream, api.rows[stream][-1]["id"])
    api.wait(hours=1)
    second = run_tap(api.both(), state=first.state)
    assert second.messages[0]["value"] == first.state
    assert second.state != first.state
