"""One account that can't be read: the others are as if it weren't there."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from scripted_api import CONTENT, CREATOR, INCOME, PER_ACCOUNT, Answer, Call, ScriptedApi
from series import (
    account_bookmark,
    assert_holds_all,
    at_most,
    discover,
    emitted,
    full_table,
    mentions,
    select,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from runs import RunTap

HTML = {"Content-Type": "text/html"}
AN_HOUR = {"Retry-After": "3600"}

BAD = {
    "500": Answer(500),
    "500 with an HTML page": Answer(500, b"<html>oops</html>", HTML),
    "503 for an hour": Answer(503, headers=AN_HOUR),
    "429 for an hour": Answer(429, headers=AN_HOUR),
    "501": Answer(501),
    "400": Answer(400, {"error": {"error_code": "MISSING_FIELDS", "message": "no product"}}),
    "403": Answer(403, {"error": {"message": "not in the plan"}}),
    "404": Answer(404),
    "410": Answer(410),
    "304": Answer(304),
    "an HTML page": Answer(200, b"<html>sign in</html>", HTML),
    "accepted": Answer(202, {"status": "pending"}),
    "accepted without a word": Answer(202),
    "nothing at all": Answer(200),
    "null": Answer(200, b"null"),
    "a number as data": Answer(200, {"data": 7}),
    "no data": Answer(200, {"items": []}),
    "half of a listing": Answer(200, b'{"data": [{"id": "1"}, {"id":'),
    "a record without id": Answer(200, {"data": [{"name": "no id"}]}),
    "a record that is text": Answer(200, {"data": ["one"]}),
    "a record that is null": Answer(200, {"data": [None]}),
    "a redirect elsewhere": Answer(302, headers={"Location": "http://elsewhere.invalid/"}),
    "a redirect to itself": Answer(302, headers={"Location": "?"}),
    "a redirect to nowhere": Answer(301, headers={"Location": "http://["}),
    "a closed connection": Answer(fault="drop"),
    "a body cut short": Answer(200, b'{"data": []}' + b" " * 1000, fault="cut"),
    "what is no HTTP": Answer(fault="garbage"),
    "what is not compressed": Answer(200, b"{}", {"Content-Encoding": "gzip"}),
    "compressed in part": Answer(
        200, gzip.compress(b'{"data": []}' * 99)[:-30], {"Content-Encoding": "gzip"}
    ),
}


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi() as running, at_most(60):
        yield running


def refuse(
    answer: Answer, *accounts: str, streams: tuple[str, ...] = (CONTENT,), offset: int = 0
) -> Callable[[Call], Answer | None]:
    """Answer this whenever certain accounts are asked for."""
    refused = set(accounts)
    return lambda call: (
        answer
        if call.stream in streams and call.account in refused and call.offset >= offset
        else None
    )


@pytest.mark.parametrize("answer", BAD.values(), ids=BAD)
def test_whatever_one_account_answers_the_others_are_as_if_it_were_not_there(
    api: ScriptedApi, run_tap: RunTap, answer: Answer
) -> None:
    accounts = api.fill(7, contents=4)
    bad = accounts[2]
    api.script = refuse(answer, bad)
    runs = [run_tap(api.creator())]
    assert runs[0].status == 1
    assert "Traceback" not in runs[0].log
    assert mentions(runs[0].errors, CONTENT, bad)
    assert len(mentions(runs[0].errors, bad)) == 1
    for account in accounts:
        if account != bad:
            assert len(emitted(runs[0], CONTENT, account)) == 4
            assert account_bookmark(runs[0].state, CONTENT, account) is not None
    assert account_bookmark(runs[0].state, CONTENT, bad) is None
    assert_holds_all(api, set(CREATOR) - {CONTENT}, *runs)

    api.wait(hours=1)
    runs.append(run_tap(api.creator(), state=runs[-1].state))
    assert runs[1].status == 1
    assert mentions(runs[1].errors, CONTENT, bad)
    for stream in CREATOR:
        assert len(runs[1].ids(stream)) <= 1, stream

    api.script = None
    api.wait(hours=1)
    runs.append(run_tap(api.creator(), state=runs[-1].state))
    assert runs[2].status == 0
    assert len(emitted(runs[2], CONTENT, bad)) == 4
    assert len(runs[2].ids(CONTENT)) <= 4 + 1
    assert_holds_all(api, CREATOR, *runs)


def test_an_account_without_an_answer_within_the_time_limit_costs_nobody_else(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    accounts = api.fill(4, contents=2)
    api.script = refuse(Answer(fault="silence"), accounts[1])
    # The answer is waited for without the lock, so others are answered meanwhile.
    run = run_tap(api.creator(request_timeout=1, max_retries=0))
    assert mentions(run.errors, CONTENT, accounts[1], "within 1 s")
    missing = api.versions(CONTENT).keys() - set(run.ids(CONTENT))
    assert missing == api.versions(CONTENT, accounts[1]).keys()
    assert_holds_all(api, set(CREATOR) - {CONTENT}, run)


def test_an_account_that_answers_without_content_is_empty(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    accounts = api.fill(5, contents=3)
    api.script = refuse(Answer(204), accounts[1])
    first = run_tap(api.creator())
    for account in set(accounts) - {accounts[1]}:
        assert len(emitted(first, CONTENT, account)) == 3
    api.script = None
    api.wait(hours=1)
    second = run_tap(api.creator(), state=first.state)
    assert_holds_all(api, CREATOR, first, second)


@pytest.mark.parametrize("answer", [Answer(500), Answer(403), Answer(200, {"data": [{"n": 1}]})])
def test_a_bad_account_that_was_good_is_caught_up_from_its_own_bookmark(
    api: ScriptedApi, run_tap: RunTap, answer: Answer
) -> None:
    accounts = api.fill(6, contents=8)
    runs = [run_tap(api.creator())]
    keys = list(api.versions(CONTENT, accounts[2]))
    api.script = refuse(answer, accounts[2])
    for _ in range(2):
        api.wait(days=1)
        for key in (keys[0], f"{CONTENT}-of-{accounts[4]}-0000"):
            api.change(CONTENT, key)
        api.wait(hours=1)
        runs.append(run_tap(api.creator(), state=runs[-1].state))
    api.script = None
    runs.append(run_tap(api.creator(), state=runs[-1].state))
    assert runs[-1].status == 0
    assert keys[0] in emitted(runs[-1], CONTENT, accounts[2])
    assert len(emitted(runs[-1], CONTENT, accounts[2])) <= 2
    assert_holds_all(api, CREATOR, *runs)


@pytest.mark.parametrize("position", [0, 6])
def test_the_first_and_the_last_account_may_be_the_bad_one(
    api: ScriptedApi, run_tap: RunTap, position: int
) -> None:
    accounts = api.fill(7, contents=4)
    api.script = refuse(Answer(500), accounts[position])
    first = run_tap(api.creator())
    assert mentions(first.errors, CONTENT, accounts[position])
    api.script = None
    api.wait(hours=1)
    second = run_tap(api.creator(), state=first.state)
    assert len(second.ids(CONTENT)) <= 4 + 1
    assert_holds_all(api, CREATOR, first, second)


def test_an_account_that_is_bad_in_one_stream_is_read_in_the_other(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    accounts = api.fill(4, contents=3)
    api.script = refuse(Answer(404), accounts[0], streams=(INCOME,))
    run = run_tap(api.creator())
    (line,) = run.errors
    assert INCOME in line
    assert accounts[0] in line
    assert account_bookmark(run.state, CONTENT, accounts[0]) is not None
    assert_holds_all(api, [CONTENT], run)


def test_an_account_whose_second_page_is_bad_is_caught_up(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    accounts = api.fill(5, contents=15)
    api.script = refuse(Answer(200, {"data": [{"name": "no id"}]}), accounts[1], offset=5)
    first = run_tap(api.creator())
    assert mentions(first.errors, CONTENT, accounts[1])
    api.script = None
    api.wait(hours=1)
    second = run_tap(api.creator(), state=first.state)
    assert len(second.ids(CONTENT)) <= 15 + 1
    assert_holds_all(api, CREATOR, first, second)


def test_bad_accounts_that_do_not_follow_each_other_end_nothing(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    accounts = api.fill(12, contents=2)
    # Never three in a row; a good one has an income that can be read.
    bad = accounts[::2]
    api.script = refuse(Answer(500), *bad)
    run = run_tap(api.creator())
    for account in bad:
        assert mentions(run.errors, CONTENT, account)
    missing = api.versions(CONTENT).keys() - set(run.ids(CONTENT))
    assert len(missing) == 2 * len(bad)
    assert_holds_all(api, set(CREATOR) - {CONTENT}, run)


def test_more_than_ten_bad_accounts_are_counted(api: ScriptedApi, run_tap: RunTap) -> None:
    accounts = api.fill(20, contents=1)
    api.script = refuse(Answer(403), *accounts[:15], streams=PER_ACCOUNT)
    run = run_tap(api.creator())
    assert run.status == 1
    for stream in PER_ACCOUNT:
        text = "\n".join(mentions(run.errors, stream))
        assert "and 5 more" in text
        assert sum(account in text for account in accounts) == 10
    assert_holds_all(api, set(CREATOR) - set(PER_ACCOUNT), run)


def test_an_account_that_is_not_found_is_no_reason_to_check_the_address(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    accounts = api.fill(3, contents=1)
    api.script = refuse(Answer(404), accounts[1])
    run = run_tap(api.creator())
    (line,) = mentions(run.errors, "404", CONTENT)
    assert accounts[1] in line
    assert "creator_api_url" not in line


def test_ten_bad_accounts_are_all_named(api: ScriptedApi, run_tap: RunTap) -> None:
    accounts = api.fill(12, contents=1)
    api.script = refuse(Answer(403), *accounts[:10])
    run = run_tap(api.creator())
    text = "\n".join(mentions(run.errors, CONTENT))
    assert sum(account in text for account in accounts) == 10
    assert " more" not in text


def test_a_full_table_of_which_an_account_is_missing_is_not_activated(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    accounts = api.fill(5, contents=2)
    config = api.creator(emit_activate_version_messages=True)
    catalog = full_table(discover(run_tap, config), *CREATOR)
    api.script = refuse(Answer(403), accounts[1])
    run = run_tap(config, catalog=catalog)
    activated = {message["stream"] for message in run.of_type("ACTIVATE_VERSION")}
    assert activated == set(CREATOR) - {CONTENT}


PEAK = """
import resource, sys
from tap_analytics.__main__ import main
path = sys.argv.pop()
try:
    main()
finally:
    with open(path, "w") as file:
        file.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
"""


@pytest.mark.slow
def test_memory_stays_flat_when_thousands_of_accounts_refuse(
    api: ScriptedApi, run_tap: RunTap, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """With `--chaos` at 1,000 or more, for 5,000 and 20,000 accounts."""
    is_long = request.config.getoption("chaos") >= 1000
    counts = (5_000, 20_000) if is_long else (500, 2_010)
    config = api.creator(page_size=100)
    for name, content in (
        ("config", config),
        ("catalog", select(discover(run_tap, config), CONTENT)),
    ):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    body = {"error": {"message": "not in the plan", "details": "x" * 2000}}
    peaks = []
    for count in counts:
        api.rows["accounts"] = [
            api.row("accounts", f"account-{number:06}", age=number / 100) for number in range(count)
        ]
        api.script = lambda call: Answer(403, body) if call.stream == CONTENT else None
        with at_most(600 if is_long else 60):
            done = subprocess.run(
                [
                    *(sys.executable, "-c", PEAK, "--config", tmp_path / "config.json"),
                    *("--catalog", tmp_path / "catalog.json", tmp_path / "peak"),
                ],
                capture_output=True,
                env={**os.environ, "TAP_ANALYTICS_LOGLEVEL": "ERROR"},
                check=False,
                cwd=tmp_path,
            )
        log = done.stderr.decode()
        assert done.returncode == 1, log[-2000:]
        assert f"and {count - 10:,} more" in log
        # The log itself doesn't grow either.
        assert len(log) < 20_000
        peaks.append(1024 * int((tmp_path / "peak").read_text()))
    per_account = (peaks[1] - peaks[0]) / (counts[1] - counts[0])
    assert per_account < 2_500, f"{per_account:.0f} bytes an account, {peaks}"
