"""States: how large they are, and those of other releases, other taps and careless hands."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from scripted_api import CONTENT, CREATOR, INCOME, PER_ACCOUNT, ScriptedApi
from series import account_bookmark, assert_holds_all, at_most, discover, mentions, refusals, select

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runs import RunTap

BOOKMARK = "2024-05-31T12:00:00.000000+00:00"


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi() as running, at_most(60):
        yield running


def state_of(stream: str, bookmark: object) -> dict[str, Any]:
    return {"bookmarks": {stream: bookmark}}


def one_bookmark(value: object = BOOKMARK) -> dict[str, object]:
    """What a stream has that isn't listed by account."""
    return {"replication_key": "updated_at", "replication_key_value": value}


# Size


@pytest.mark.slow
def test_an_account_takes_ninety_bytes_of_the_state_at_most(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    count = 2_000
    keys = [str(UUID(int=number * 2**90 + 7, version=4)) for number in range(1, count + 1)]
    api.rows["accounts"] = [api.row("accounts", key, age=n) for n, key in enumerate(keys)]
    by_account = {
        key: [api.row(CONTENT, f"of-{key}", age=n, account={"id": key})]
        for n, key in enumerate(keys)
    }
    # Looking through all rows for each account would take longer than the rest.
    api.rows |= {CONTENT: []}
    listing = api.listing

    def script(call: Any) -> Any:  # noqa: ANN401
        if call.stream != CONTENT:
            return None
        api.rows[CONTENT] = by_account[call.account]
        return listing(call)

    api.script = script
    config = api.creator(page_size=100)
    run = run_tap(config, catalog=select(discover(run_tap, config), CONTENT))
    assert run.status == 0, run.log[-2000:]
    assert len(run.ids(CONTENT)) == count
    sizes = [len(line) for line in run.output.splitlines() if b'"type":"STATE"' in line]
    text = json.dumps(run.state["bookmarks"][CONTENT], separators=(",", ":"))
    assert all(account_bookmark(run.state, CONTENT, key) is not None for key in keys[::100])
    assert len(text) <= 90 * count
    assert sum(sizes) < 20 * sizes[-1]


# Those of a release or a setting before


@pytest.mark.parametrize("stream", PER_ACCOUNT)
def test_from_a_state_with_one_bookmark_a_stream_begins_at_the_start_date_and_says_so(
    api: ScriptedApi, run_tap: RunTap, stream: str
) -> None:
    accounts = api.fill(4, contents=3)
    old = api.publish(stream, accounts[0], 1, age=50 * 24 * 60)
    older = api.publish(stream, accounts[0], 1, age=150 * 24 * 60)
    config = api.creator(start_date="2024-03-01")
    run = run_tap(config, state=state_of(stream, one_bookmark()))
    assert run.status == 0
    assert set(run.ids(stream)) == api.versions(stream).keys() - set(older)
    assert set(old) <= set(run.ids(stream))
    assert len(mentions(run.log.splitlines(), stream, "start_date")) == 1
    again = run_tap(config, state=run.state)
    assert len(again.ids(stream)) <= 1
    assert mentions(again.log.splitlines(), stream, "start_date") == []


def test_the_other_streams_of_such_a_state_go_on(api: ScriptedApi, run_tap: RunTap) -> None:
    api.fill(5, contents=2)
    bookmarks = {stream: one_bookmark() for stream in CREATOR}
    run = run_tap(api.creator(), state={"bookmarks": bookmarks})
    for stream in set(CREATOR) - set(PER_ACCOUNT):
        assert len(run.ids(stream)) == 1, stream
    assert_holds_all(api, PER_ACCOUNT, run)


@pytest.mark.parametrize("stream", PER_ACCOUNT)
def test_when_listing_by_account_is_switched_off_a_stream_begins_at_the_start_date_and_says_so(
    api: ScriptedApi, run_tap: RunTap, stream: str
) -> None:
    accounts = api.fill(4, contents=3)
    first = run_tap(api.creator())
    api.wait(hours=1)
    late = api.publish(stream, accounts[0], 1, age=50 * 24 * 60)
    config = api.creator(content_by_account=False, start_date="2024-03-01")
    second = run_tap(config, state=first.state)
    assert second.status == 0, second.log
    assert set(late) <= set(second.ids(stream))
    assert len(mentions(second.log.splitlines(), stream, "start_date")) == 1
    third = run_tap(config, state=second.state)
    assert len(third.ids(stream)) <= 1
    assert mentions(third.log.splitlines(), stream, "start_date") == []


def test_when_listing_by_account_is_switched_off_and_on_again_nothing_is_lost(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    accounts = api.fill(4, contents=3)
    runs = [run_tap(api.creator())]
    for is_on in (False, True):
        api.wait(hours=1)
        api.publish(CONTENT, accounts[1], 1, age=50 * 24 * 60)
        api.publish(INCOME, accounts[2], 1, age=60 * 24 * 60)
        runs.append(run_tap(api.creator(content_by_account=is_on), state=runs[-1].state))
        assert runs[-1].status == 0
        assert_holds_all(api, CREATOR, *runs)


# Those of other taps, and careless hands


@pytest.mark.parametrize("stream", ["users", CONTENT])
def test_a_state_with_partitions_is_refused_in_one_line(
    api: ScriptedApi, run_tap: RunTap, stream: str
) -> None:
    api.fill(2, contents=1)
    partition = {"context": {"account_id": "accounts-0000"}, **one_bookmark()}
    run = run_tap(api.creator(), state=state_of(stream, {"partitions": [partition]}))
    assert run.status == 1
    (line,) = refusals(run)
    assert "partitions" in line
    assert stream in line
    assert "Traceback" not in run.log
    assert api.calls == []


NULLS: dict[str, dict[str, Any]] = {
    "bookmarks": {"bookmarks": None},
    "a stream": state_of("users", None),
    "a stream by account": state_of(CONTENT, None),
    "a value": state_of("users", one_bookmark(None)),
    "a value by account": state_of(CONTENT, one_bookmark(None)),
    "a key": state_of("users", {"replication_key": None, "replication_key_value": BOOKMARK}),
    "both": state_of("users", {"replication_key": None, "replication_key_value": None}),
    "partitions": state_of(CONTENT, {"partitions": None}),
    "markers": state_of("users", {"progress_markers": None, **one_bookmark()}),
    "a signpost": state_of("users", {"replication_key_signpost": None, **one_bookmark()}),
    "a map": state_of(CONTENT, {"accounts": None}),
    "a map under another name": state_of(CONTENT, {"bookmarks": None}),
    "an unknown stream": state_of("another", None),
    "a map of an unknown stream": state_of("another", {"accounts": None}),
    "an unknown key": {"bookmarks": {}, "other": None},
}


@pytest.mark.parametrize("state", NULLS.values(), ids=NULLS)
def test_null_in_odd_places_is_accepted_or_refused_in_one_line(
    api: ScriptedApi, run_tap: RunTap, state: dict[str, Any]
) -> None:
    api.fill(3, contents=1)
    run = run_tap(api.creator(), state=state)
    assert "Traceback" not in run.log
    assert "Exception" not in run.log
    if run.status:
        assert len(refusals(run)) == 1
        assert re.search(r"\bstate\b|bookmark", refusals(run)[0], re.IGNORECASE)
        assert api.calls == []
    else:
        assert_holds_all(api, PER_ACCOUNT, run)
        assert run_tap(api.creator(), state=run.state).status == 0


@pytest.mark.parametrize("place", ["instead of a bookmark", "beside the bookmarks"])
def test_null_within_the_map_of_accounts_is_accepted_or_refused_in_one_line(
    api: ScriptedApi, run_tap: RunTap, place: str
) -> None:
    accounts = api.fill(3, contents=1)
    text = json.dumps(run_tap(api.creator()).state)
    if place == "instead of a bookmark":
        spoilt = re.sub(rf'("{accounts[1]}": )("[^"]*"|[^,}}]*)', r"\1null", text)
    else:
        spoilt = re.sub(rf'("{accounts[1]}": )', r'"another": null, \1', text)
    assert spoilt != text
    api.wait(hours=1)
    run = run_tap(api.creator(), state=json.loads(spoilt))
    assert "Traceback" not in run.log
    assert len(refusals(run)) == run.status
    if run.status == 0 and place == "instead of a bookmark":
        # No bookmark: from its beginning.
        assert set(api.versions(CONTENT, accounts[1])) <= set(run.ids(CONTENT))


@pytest.mark.parametrize("text", ["null", "[]", '"2024"', "7", "", "{"])
def test_what_is_no_state_is_refused_in_one_line(
    api: ScriptedApi, run_tap: RunTap, tmp_path: Path, text: str
) -> None:
    path = tmp_path / "strange.json"
    path.write_text(text)
    run = run_tap(api.creator(), "--state", str(path))
    assert run.status == 1
    assert len(refusals(run)) == 1
    assert "Traceback" not in run.log
    assert api.calls == []


@pytest.mark.parametrize("value", ["page 7", True, [], {}, "31.12.2024"])
def test_the_bookmark_of_an_account_that_is_no_timestamp_is_refused_in_one_line(
    api: ScriptedApi, run_tap: RunTap, value: object
) -> None:
    accounts = api.fill(3, contents=1)
    text = json.dumps(run_tap(api.creator()).state)
    one = rf'("{accounts[1]}": )("[^"]*"|[^,}}]*)'
    spoilt = re.sub(one, lambda found: found[1] + json.dumps(value), text, count=1)
    assert spoilt != text, "the state has no map of accounts to bookmarks"
    api.calls.clear()
    run = run_tap(api.creator(), state=json.loads(spoilt))
    assert run.status == 1
    assert len(refusals(run)) == 1
    assert "Traceback" not in run.log
    assert api.calls == []


def test_a_bookmark_of_a_stream_that_does_not_exist_is_passed_on(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    api.fill(2, contents=1)
    other = {"replication_key": "id", "replication_key_value": 17, "more": [1]}
    run = run_tap(api.creator(), state=state_of("another", other))
    assert run.status == 0
    assert run.state["bookmarks"]["another"] == other
    assert all(
        message["value"]["bookmarks"]["another"] == other for message in run.of_type("STATE")
    )


def test_bookmarks_of_an_api_without_credentials_are_passed_on(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    api.fill(2, contents=1)
    first = run_tap(api.both())
    second = run_tap(api.creator(), state=first.state)
    assert second.status == 0
    assert second.state["bookmarks"]["flows"] == first.state["bookmarks"]["flows"]
