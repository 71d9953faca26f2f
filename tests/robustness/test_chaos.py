"""Servers that fail by chance: what has arrived in the end is what would have arrived without."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from math import inf
from os import sched_yield
from random import Random
from threading import Lock
from typing import TYPE_CHECKING, Any

import pytest
from sandboxes import STREAMS, impatient, only
from waits import (
    send_ahead_on_loopback,
    send_nothing_ahead,
    shorten_pauses,
    skip_waits_between_tries,
)

from tap_analytics.listing.timestamps import canonical
from tap_analytics.sandbox import Reply, Request, Sandbox
from tap_analytics.sandbox.store import owner_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runs import Run, RunTap

PATHS = {
    "contents": "content_items",
    "transactions": "social_income_transactions",
    "work-platforms": "work_platforms",
}
PER_ACCOUNT = ("content_items", "social_income_transactions")
PASSING_STATUSES = (429, 500, 502, 503, 504)
LASTING_STATUSES = (400, 403, 404, 410)
HTML = "<!doctype html><title>Bad gateway</title>"

# Which of the seeds a test takes, by what its name speaks of: the first one, and how far apart.
SEEDS = {"within": (0, 2), "beyond": (1, 2), "revoked": (0, 10)}

Page = tuple[str, str, str, str]

GIVEN_UP = "3 listings in a row have failed"


pytestmark = pytest.mark.slow


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    first, step = next(
        numbers for word, numbers in SEEDS.items() if word in metafunc.function.__name__
    )
    metafunc.parametrize("seed", range(first, metafunc.config.getoption("chaos"), step))


@pytest.fixture(autouse=True)
def _nothing_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    skip_waits_between_tries(monkeypatch)
    shorten_pauses(monkeypatch, 1 / 1000)
    send_ahead_on_loopback(monkeypatch)


def stream_of(path: str) -> str:
    name = path.rsplit("/", 1)[-1]
    return PATHS.get(name, name)


def page_of(request: Request) -> Page:
    """Tell what is asked for, without what depends on the day."""
    query = request.query
    # An empty page is asked for again with a larger limit, which may be sent ahead.
    numbers = query.get("offset", ""), query.get("limit", "")
    return request.path, query.get("account_id", ""), *numbers


@dataclass
class Weather:
    """What goes wrong by chance, for each page by a chance of its own.

    Attributes:
        seed: What decides.
        sandbox: What is served otherwise.
        most: How often in a row a request fails at most.
        rate: Share of requests that fail.
        storms: From which to which request all are refused.
        doomed: What always fails; with a reply, always with that.
        revoked: From which request on the credentials are refused.
    """

    seed: int
    sandbox: Sandbox
    most: int
    rate: float
    storms: list[range]
    doomed: dict[Page, Reply | None] = field(default_factory=dict)
    revoked: float = inf
    tries: Counter[Page] = field(default_factory=Counter)
    failed: Counter[Page] = field(default_factory=Counter)
    lock: Lock = field(default_factory=Lock)

    @classmethod
    def at_random(cls, seed: int, sandbox: Sandbox, most: int) -> Weather:
        chance = Random(f"weather {seed}")  # noqa: S311
        storms = [
            range(start, start + chance.choice((3, 10, 30)))
            for start in chance.choices(range(100), k=chance.randrange(3))
        ]
        return cls(seed, sandbox, most, chance.choice((0.03, 0.1, 0.3, 0.7)), storms)

    def __call__(self, request: Request) -> Reply | None:
        page = page_of(request)
        with self.lock:
            number = self.tries.total()
            self.tries[page] += 1
            chance = Random(f"{self.seed} {page} {self.tries[page]}")  # noqa: S311
            is_storm = any(number in storm for storm in self.storms)
            is_due = is_storm or chance.random() < self.rate
            if page not in self.doomed and (self.failed[page] >= self.most or not is_due):
                self.failed[page] = 0
                is_storm = is_due = False
            else:
                self.failed[page] += 1
                is_due = True
        if chance.random() < 0.1:
            # Let other requests overtake this one.
            for _ in range(chance.randrange(100)):
                sched_yield()
        if number >= self.revoked:
            return Reply(status=401)
        if self.doomed.get(page):
            return self.doomed[page]
        if is_storm:
            return too_many(chance)
        return self.fault(request, chance) if is_due else None

    def fault(self, request: Request, chance: Random) -> Reply:
        listing = Reply.json({"data": self.sandbox.data[stream_of(request.path)]})
        match chance.randrange(8):
            case 0:
                return Reply(fault="drop")
            case 1:
                return Reply(body=listing.content, fault="cut")
            case 2:
                return Reply(body=listing.content[: chance.randrange(len(listing.content))])
            case 3:
                return Reply(chance.choice((200, 502)), HTML, {"Content-Type": "text/html"})
            case 4:
                return too_many(chance)
            case _:
                return Reply(status=chance.choice(PASSING_STATUSES))


def too_many(chance: Random) -> Reply:
    wait = chance.choice((None, "0", "1"))
    return Reply(status=429, headers={"Retry-After": wait} if wait else {})


def bookmarks_of(state: Mapping[str, Any] | None, stream: str) -> dict[str, str]:
    """The bookmark of each account; of a stream that is one listing, under an empty name."""
    bookmark = (state or {}).get("bookmarks", {}).get(stream, {})
    if value := bookmark.get("replication_key_value"):
        return {"": value}
    by_account: dict[str, str] = bookmark.get("accounts", {})
    return by_account


@dataclass
class Case:
    """A server, settings, and what was there before."""

    chance: Random
    sandbox: Sandbox
    config: dict[str, Any]
    retries: int
    initial: dict[str, Any] | None

    def is_by_account(self, stream: str) -> bool:
        return bool(self.config.get("content_by_account")) and stream in PER_ACCOUNT

    def listing_of(self, stream: str, record: Mapping[str, Any]) -> str:
        """The account whose listing holds a record, if there is one for each."""
        return (owner_id(dict(record)) or "") if self.is_by_account(stream) else ""

    def records(self, run: Run, stream: str) -> dict[str, list[dict[str, Any]]]:
        """The records of a run by the account whose listing they come from."""
        found: dict[str, list[dict[str, Any]]] = {}
        for record in run.records(stream):
            found.setdefault(self.listing_of(stream, record), []).append(record)
        return found


@pytest.fixture
def case(seed: int, run_tap: RunTap) -> Iterator[Case]:
    chance = Random(seed)  # noqa: S311
    size = chance.choice((2, 2, 3, 7, 10, 10, 25, 100))
    retries = chance.randint(1, 4)
    by_account = chance.random() < 0.5
    settings: dict[str, Any] = {
        "page_size": size,
        "max_concurrent_requests": chance.choice((1, 2, 3, 8, 8, 32)),
        "max_retries": retries,
        "content_by_account": by_account,
    }
    rows = chance.randrange(min(16 * size, 30 if by_account else 60))
    with Sandbox(rows) as sandbox:
        if api := chance.choice((None, None, "creator", "creator", "experience")):
            config = only(api, sandbox, **settings)
        else:
            config = impatient(sandbox, **settings)
        initial = None
        if chance.random() < 0.6:
            first = run_tap(config)
            assert first.status == 0
            kept = [stream for stream in STREAMS if chance.random() < 0.8]
            bookmarks = first.state["bookmarks"]
            initial = {"bookmarks": {name: bookmarks[name] for name in kept if name in bookmarks}}
            if chance.random() < 0.8:
                sandbox.advance(chance.randint(1, 4))
        yield Case(chance, sandbox, config, retries, initial)


def run_without_faults(case: Case, run_tap: RunTap) -> tuple[Run, set[Page]]:
    """Run the tap as simply as can be, and check that all arrives.

    Returns:
        What the run came to, and what it had to ask for.
    """
    case.sandbox.intercept = None
    case.sandbox.requests.clear()
    with pytest.MonkeyPatch.context() as patch:
        send_nothing_ahead(patch)
        run = run_tap(case.config, state=case.initial)
    assert run.status == 0
    asked = {page_of(request) for request in case.sandbox.requests}
    for stream in {stream_of(path) for path, *_ in asked}:
        since = bookmarks_of(case.initial, stream)
        due = [
            record["id"]
            for record in case.sandbox.data[stream]
            if (canonical(record["updated_at"]) or "")
            >= since.get(case.listing_of(stream, record), "")
        ]
        assert Counter(run.ids(stream)) == Counter(due), stream
    return run, asked


def without_times(run: Run) -> list[dict[str, Any]]:
    messages = []
    for original in run.messages:
        message = dict(original)
        message.pop("time_extracted", None)
        messages.append(message)
    return messages


def test_faults_within_the_limit_of_retries_change_only_times(
    run_tap: RunTap, case: Case, seed: int
) -> None:
    expected, _ = run_without_faults(case, run_tap)
    weather = Weather.at_random(seed, case.sandbox, case.retries)
    case.sandbox.intercept = weather
    run = run_tap(case.config, state=case.initial)
    assert run.status == 0, run.log
    assert run.errors == []
    assert without_times(run) == without_times(expected)


def doom(case: Case, asked: set[Page]) -> dict[Page, Reply | None]:
    """Choose what is to fail for good."""
    chance = case.chance
    # First the stream, as some have many pages and some have one.
    streams = sorted({stream_of(path) for path, *_ in asked})
    chosen = set(chance.choices(streams, k=chance.choice((1, 1, 2, 5))))
    doomed: dict[Page, Reply | None] = {}
    for stream in sorted(chosen):
        pages = sorted(page for page in asked if stream_of(page[0]) == stream)
        for page in chance.choices(pages, k=chance.choice((1, 1, 3))):
            no_listing = Reply.json({"items": []})
            lasting = [no_listing, *(Reply(status=status) for status in LASTING_STATUSES)]
            doomed[page] = chance.choice([None, chance.choice(lasting)])
    return doomed


def latest(*runs: Run) -> Mapping[tuple[str, str], dict[str, Any]]:
    """Keep the last version of each record, as a target does."""
    return {
        (message["stream"], message["record"]["id"]): message["record"]
        for run in runs
        for message in run.of_type("RECORD")
    }


def complete(case: Case, run_tap: RunTap, failed: Run, expected: Run) -> None:
    """Run the tap once more, which is to bring what has been left out."""
    assert latest(failed).items() <= latest(expected).items()
    case.sandbox.intercept = None
    if case.chance.random() < 0.3:
        case.sandbox.advance(case.chance.randint(1, 3))
        expected, _ = run_without_faults(case, run_tap)
    completed = run_tap(case.config, state=failed.state)
    assert completed.status == 0, completed.log
    assert latest(failed, completed) == latest(expected)
    assert completed.state == expected.state


def named(run: Run) -> set[str]:
    """The streams that the errors of a run speak of."""
    lines = [(re.split("[ :]", line)[0], line) for line in run.errors]
    return {
        stream
        for stream in STREAMS
        for first, line in lines
        if stream == first or f"`{stream}`" in line.split("; also not read: ")[-1]
    }


def assert_rest_is_complete(case: Case, failed: Run, expected: Run, streams: set[str]) -> None:
    """Assert that what the errors don't speak of is there, and no bookmark has moved too early."""
    for stream in streams:
        before = bookmarks_of(case.initial, stream)
        after = bookmarks_of(failed.state, stream)
        later = bookmarks_of(expected.state, stream)
        if stream not in named(failed):
            assert after == later, stream
            assert failed.records(stream) == expected.records(stream), stream
        elif not case.is_by_account(stream):
            assert after == before, stream
        else:
            assert before.keys() <= after.keys() <= later.keys(), stream
            given, wanted = case.records(failed, stream), case.records(expected, stream)
            for account, bookmark in after.items():
                assert before.get(account, "") <= bookmark <= later[account], account
                if bookmark != before.get(account):
                    assert given.get(account) == wanted.get(account), account


def test_the_next_run_brings_records_lost_to_faults_beyond_the_limit_of_retries(
    run_tap: RunTap, case: Case, seed: int
) -> None:
    expected, asked = run_without_faults(case, run_tap)
    doomed = doom(case, asked)
    failing = {stream_of(path) for path, *_ in doomed}
    if "accounts" in failing and case.config["content_by_account"]:
        failing.update(PER_ACCOUNT)
    weather = Weather.at_random(seed, case.sandbox, case.retries)
    weather.doomed = doomed
    case.sandbox.intercept = weather

    failed = run_tap(case.config, state=case.initial)
    assert failed.status == 1
    is_given_up = any(GIVEN_UP in line for line in failed.errors)
    if is_given_up:
        assert failing <= named(failed)
        assert len({page[:2] for page in doomed}) >= 3
    else:
        assert named(failed) == failing
    assert_rest_is_complete(case, failed, expected, {stream_of(path) for path, *_ in asked})
    if not is_given_up and "accounts" not in failing:
        # One bad account leaves the others as if it weren't there.
        bad = {page[:2] for page in doomed}
        for path, account, *_ in asked:
            if account and (path, account) not in bad:
                stream = stream_of(path)
                given, wanted = case.records(failed, stream), case.records(expected, stream)
                assert given.get(account) == wanted.get(account), (stream, account)
                moved = bookmarks_of(failed.state, stream).keys()
                assert (account in moved) == (account in bookmarks_of(expected.state, stream))
    complete(case, run_tap, failed, expected)


def test_the_next_run_brings_records_lost_to_revoked_credentials(
    run_tap: RunTap, case: Case, seed: int
) -> None:
    expected, asked = run_without_faults(case, run_tap)
    weather = Weather.at_random(seed, case.sandbox, case.retries)
    weather.revoked = case.chance.randrange(len(asked))
    case.sandbox.intercept = weather

    failed = run_tap(case.config, state=case.initial)
    assert failed.status == 1
    # One line for each API, which names all that is not read.
    assert len(failed.errors) <= 2
    assert_rest_is_complete(case, failed, expected, {stream_of(path) for path, *_ in asked})
    complete(case, run_tap, failed, expected)
