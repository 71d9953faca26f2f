"""APIs that can't be reached, or that fail for good: one line, and the rest goes on."""

from __future__ import annotations

import socket
import ssl
from collections import Counter
from typing import TYPE_CHECKING

import pytest
import trustme
from scripted_api import CONTENT, CREATOR, EXPERIENCE, PER_ACCOUNT, Answer, Call, ScriptedApi
from series import assert_holds_all, at_most, mentions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runs import Run, RunTap


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi() as running, at_most(60):
        running.fill(4, contents=2)
        yield running


def assert_given_up(run: Run, streams: tuple[str, ...]) -> str:
    """Assert that one line, and no other, tells what becomes of these streams."""
    assert run.status == 1
    assert "Traceback" not in run.log
    (line,) = run.errors
    for stream in streams:
        assert stream in line
    for stream in set(CREATOR + EXPERIENCE) - set(streams):
        assert f"`{stream}`" not in line
    return line


# What can't be reached


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@pytest.mark.parametrize("dead", ["creator", "experience"])
def test_an_api_that_accepts_no_connections_is_given_up_with_one_line(
    api: ScriptedApi, run_tap: RunTap, dead: str
) -> None:
    config = api.both(**{f"{dead}_api_url": f"http://127.0.0.1:{closed_port()}"})
    run = run_tap(config)
    lost, kept = (CREATOR, EXPERIENCE) if dead == "creator" else (EXPERIENCE, CREATOR)
    line = assert_given_up(run, lost)
    assert "refused" in line.lower()
    assert_holds_all(api, kept, run)


def test_an_api_whose_host_has_no_address_is_given_up_with_one_line(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    run = run_tap(api.both(creator_api_url="https://api.invalid"))
    assert "api.invalid" in assert_given_up(run, CREATOR)
    assert_holds_all(api, EXPERIENCE, run)


def test_an_api_whose_certificate_is_not_valid_is_asked_once_and_given_up_with_one_line(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with ScriptedApi(tls=context) as untrusted:
        run = run_tap(api.both(creator_api_url=untrusted.url, max_retries=3))
        assert untrusted.calls == []
        # The first pages of four streams may be asked for at once, but none of them twice.
        assert 1 <= untrusted.connections <= 5
    assert "certificate" in assert_given_up(run, CREATOR).lower()
    assert "retry" not in run.log
    assert_holds_all(api, EXPERIENCE, run)


def test_an_api_with_a_certificate_for_another_host_is_asked_once(
    api: ScriptedApi, run_tap: RunTap, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("elsewhere.test").configure_cert(context)
    with ScriptedApi(tls=context) as other, authority.cert_pem.tempfile() as path:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", path)
        run = run_tap(api.both(creator_api_url=other.url, max_retries=3))
        assert 1 <= other.connections <= 5
    assert_given_up(run, CREATOR)
    assert "retry" not in run.log


def test_a_handshake_that_is_cut_off_is_tried_again(
    api: ScriptedApi, run_tap: RunTap, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with ScriptedApi(tls=context) as busy, authority.cert_pem.tempfile() as path:
        busy.fill(2)
        # The first pages of four streams are asked for ahead; then it is the turn of the first.
        busy.cut_handshakes = 6
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", path)
        settings = {"max_concurrent_requests": 1, "max_retries": 5, "backoff_factor": 0}
        run = run_tap(api.both(creator_api_url=busy.url, **settings))
        assert_holds_all(busy, CREATOR, run)
    assert run.status == 0


def test_an_api_behind_a_proxy_that_is_not_there_is_given_up_with_one_line(
    api: ScriptedApi, run_tap: RunTap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    run = run_tap(api.both(creator_api_url="https://api.invalid"))
    assert_given_up(run, CREATOR)
    assert_holds_all(api, EXPERIENCE, run)


def test_an_api_that_comes_back_is_read_from_where_it_was(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    first = run_tap(api.both())
    api.wait(days=1)
    api.change("users", "users-0002")
    dead = run_tap(api.both(creator_api_url=f"http://127.0.0.1:{closed_port()}"), state=first.state)
    for stream in CREATOR:
        assert dead.state["bookmarks"][stream] == first.state["bookmarks"][stream]
    api.wait(hours=1)
    second = run_tap(api.both(), state=dead.state)
    assert second.status == 0
    assert len(second.ids("users")) <= 2
    assert_holds_all(api, CREATOR + EXPERIENCE, first, dead, second)


# What fails for good


@pytest.mark.parametrize(
    "answer", [Answer(500), Answer(fault="drop"), Answer(200, b"<html>maintenance</html>")]
)
def test_an_api_that_fails_three_listings_in_a_row_is_given_up_with_one_line(
    api: ScriptedApi, run_tap: RunTap, answer: Answer
) -> None:
    api.script = lambda call: answer if call.stream in CREATOR else None
    run = run_tap(api.both(max_concurrent_requests=1, max_retries=2))
    assert run.status == 1
    counts = {stream: len(api.asked(stream)) for stream in CREATOR}
    tried = {stream for stream, count in counts.items() if count >= 3}
    # Those that are listed by account are not even known.
    assert len(tried) <= 3
    rest = set(CREATOR) - tried
    assert mentions(run.errors, *rest - set(PER_ACCOUNT))
    for stream in CREATOR:
        assert mentions(run.errors, stream)
    # What was sent for ahead is not tried again.
    assert sum(counts.values()) <= 3 * (3 + 1) + len(rest)
    assert len(run.errors) <= len(tried) + len(PER_ACCOUNT) + 1
    assert_holds_all(api, EXPERIENCE, run)


def test_an_api_that_fails_while_accounts_are_read_is_given_up(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    accounts = [row["id"] for row in api.rows["accounts"]]
    api.rows["accounts"] += [
        api.row("accounts", f"another-{number}", age=100 + number) for number in range(40)
    ]
    has_died = False

    def die(call: Call) -> Answer | None:
        nonlocal has_died
        has_died = has_died or (call.stream == CONTENT and call.account == accounts[2])
        return Answer(500) if has_died and call.stream in CREATOR else None

    api.script = die
    run = run_tap(api.both(max_concurrent_requests=1, max_retries=1))
    assert run.status == 1
    asked = Counter(
        (call.stream, call.account) for call in api.calls if str(call.account).startswith("another")
    )
    # Some have been sent for ahead, but they are not waited for, nor tried again.
    assert len(asked) < 2 * 40
    assert set(asked.values()) <= {1}
    assert len(run.errors) <= 6
    for stream in ("profiles", "users"):
        assert mentions(run.errors, stream)
    assert_holds_all(api, EXPERIENCE, run)
    api.script = None
    api.wait(hours=1)
    again = run_tap(api.both(), state=run.state)
    assert again.status == 0
    assert_holds_all(api, CREATOR, run, again)


def test_an_api_that_asks_to_wait_an_hour_is_not_asked_for_each_account(
    run_tap: RunTap,
) -> None:
    answer = Answer(429, headers={"Retry-After": "3600"})
    with ScriptedApi() as api, at_most(60):
        api.fill(100, contents=1)
        api.script = lambda call: answer if call.stream in PER_ACCOUNT else None
        run = run_tap(api.creator(max_concurrent_requests=2))
        assert run.status == 1
        assert sum(len(api.asked(stream)) for stream in PER_ACCOUNT) < 20
    assert mentions(run.errors, "wait 3600 s", "3 listings in a row")


def test_two_listings_that_fail_and_one_that_does_not_give_nothing_up(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    order: list[str] = []

    def note(call: Call) -> None:
        if call.stream in EXPERIENCE and call.stream not in order:
            order.append(call.stream)

    api.script = note
    run_tap(api.both(max_concurrent_requests=1))
    assert len(order) == 7
    good = {order[2], order[5]}
    api.script = lambda call: (
        Answer(500) if call.stream in EXPERIENCE and call.stream not in good else None
    )
    run = run_tap(api.both(max_concurrent_requests=1))
    for stream in set(EXPERIENCE) - good:
        assert len(api.asked(stream)) >= 2
        assert mentions(run.errors, f"{stream}: 500")
    assert_holds_all(api, good, run)


def test_listings_that_are_refused_at_once_give_nothing_up(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    refused = {"launchpads", "banners", "checklists", "flows", "pins"}
    api.script = lambda call: Answer(403) if call.stream in refused else None
    run = run_tap(api.both())
    assert {line.split(":")[0] for line in run.errors} == refused
    assert_holds_all(api, {*EXPERIENCE, *CREATOR} - refused, run)


# 401


def test_a_401_after_an_answer_is_asked_once_more(api: ScriptedApi, run_tap: RunTap) -> None:
    api.rows["users"] = [api.row("users", f"users-{number:04}", age=number) for number in range(30)]
    refused = 0

    def refuse(call: Call) -> Answer | None:
        nonlocal refused
        if call.stream == "users" and call.offset > 0 and not refused:
            refused += 1
            return Answer(401)
        return None

    api.script = refuse
    run = run_tap(api.creator(max_concurrent_requests=1, max_retries=0))
    assert refused == 1
    assert run.status == 0, run.log
    assert run.errors == []
    assert_holds_all(api, CREATOR, run)


def test_a_second_401_for_the_same_request_ends_the_api(api: ScriptedApi, run_tap: RunTap) -> None:
    api.rows["users"] = [api.row("users", f"users-{number:04}", age=number) for number in range(30)]
    is_revoked = False

    def refuse(call: Call) -> Answer | None:
        nonlocal is_revoked
        is_revoked = is_revoked or (call.stream == "users" and call.offset > 0)
        return Answer(401) if is_revoked else None

    api.script = refuse
    run = run_tap(api.creator(max_concurrent_requests=1))
    assert run.status == 1
    assert mentions(run.errors, "401", "users")
    # Sent ahead, it may be another stream that meets the next 401.
    assert 1 <= sum(call.offset > 0 for call in api.asked("users")) <= 2
    assert run.bookmark("users") is None


def test_a_401_before_any_answer_ends_the_api_at_once(api: ScriptedApi, run_tap: RunTap) -> None:
    api.script = lambda call: Answer(401) if call.stream in CREATOR else None
    run = run_tap(api.both())
    line = assert_given_up(run, CREATOR)
    assert "401" in line
    assert sum(call.stream in CREATOR for call in api.calls) == 1
    assert_holds_all(api, EXPERIENCE, run)


# One endpoint among others


def test_an_endpoint_that_is_down_for_all_accounts_does_not_take_all_retries_for_each(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    accounts = api.fill(20, contents=1)
    api.script = lambda call: Answer(500) if call.stream == CONTENT else None
    run = run_tap(api.creator(max_retries=3, max_concurrent_requests=1))
    assert run.status == 1
    tried = Counter(line.rpartition("; tried ")[2] for line in run.errors if "; tried " in line)
    # Of ten that are named.
    assert tried == {"4 times": 3, "1 time": 7}
    assert {call.query["account_id"] for call in api.calls if call.stream == CONTENT} == set(
        accounts
    )
    assert_holds_all(api, set(CREATOR) - {CONTENT}, run)


def test_an_endpoint_that_comes_back_has_its_retries_again(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    accounts = api.fill(20, contents=1)
    order = [row["id"] for row in api.rows["accounts"]]
    assert set(order) == set(accounts)
    failed: Counter[str] = Counter()

    def script(call: Call) -> Answer | None:
        if call.stream != CONTENT:
            return None
        account = call.query["account_id"]
        # The first five fail for good, the tenth and later fail twice each.
        place = order.index(account)
        failed[account] += 1
        if place < 5 or (place >= 10 and failed[account] <= 2):
            return Answer(500)
        return None

    api.script = script
    run = run_tap(api.creator(max_retries=3, max_concurrent_requests=1))
    assert run.status == 1
    assert {account for account in accounts if any(account in line for line in run.errors)} == set(
        order[:5]
    )


def test_nothing_more_is_asked_of_an_api_that_is_given_up_while_accounts_are_read(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    api.fill(40, contents=1)
    api.script = lambda call: Answer(500) if call.stream in PER_ACCOUNT else None
    run = run_tap(api.creator(page_size=5, max_retries=1, max_concurrent_requests=1))
    assert run.status == 1
    offsets = {call.query["offset"] for call in api.calls if call.stream == "accounts"}
    # The page with the third listing that fails, and what was sent ahead.
    assert len(offsets) < 5
    assert not any(call.stream == "profiles" and call.query["offset"] != "0" for call in api.calls)
