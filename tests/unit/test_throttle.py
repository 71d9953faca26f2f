"""How fast requests are sent, in virtual time."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation import FewAtATime, FewPerPeriod, Outcome, Tap, reply

from tap_analytics.exceptions import UnsafeRedirectError
from tap_analytics.http.retries import RETRIED_ERRORS, RETRIED_STATUSES
from tap_analytics.http.throttle import NOTICEABLE, Throttle

if TYPE_CHECKING:
    from tap_analytics.http.window import Ticket

LATENCY = 0.05


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttle(clock: Clock) -> Throttle:
    return Throttle(8, clock=clock)


def exchange(throttle: Throttle, *outcomes: Outcome) -> None:
    """Send requests one after the other."""
    for outcome in outcomes:
        throttle.came_back(throttle.sent(), outcome)


def send_window(throttle: Throttle) -> list[Ticket]:
    tickets = []
    while throttle.delay() == 0:
        tickets.append(throttle.sent())
    return tickets


# The window


def test_the_window_doubles_with_each_answer_up_to_the_limit() -> None:
    throttle = Throttle(10)
    windows = [throttle.window]
    for _ in range(5):
        exchange(throttle, reply())
        windows.append(throttle.window)
    assert windows == [1, 2, 4, 8, 10, 10]


def test_no_more_requests_are_sent_than_the_window_holds(throttle: Throttle) -> None:
    exchange(throttle, reply(), reply())
    assert len(send_window(throttle)) == 4
    assert throttle.delay() is None


FAILURES = [*map(reply, sorted(RETRIED_STATUSES)), *(error() for error in RETRIED_ERRORS)]


@pytest.mark.parametrize("failure", FAILURES, ids=repr)
def test_whatever_may_mean_too_much_halves_the_window(throttle: Throttle, failure: Outcome) -> None:
    exchange(throttle, *[reply()] * 4, failure)
    assert throttle.window == 4


@pytest.mark.parametrize(
    "outcome",
    [reply(401), reply(403), reply(404), reply(501), UnsafeRedirectError(), LookupError()],
    ids=repr,
)
def test_whatever_does_not_mean_too_much_leaves_the_window(
    throttle: Throttle, outcome: Outcome
) -> None:
    exchange(throttle, *[reply()] * 4, outcome)
    assert throttle.window == 8
    assert throttle.delay() == 0


def test_failures_of_one_window_halve_it_once(throttle: Throttle) -> None:
    exchange(throttle, *[reply()] * 4)
    tickets = send_window(throttle)
    for ticket in tickets[:3]:
        throttle.came_back(ticket, requests.ConnectionError())
    assert throttle.window == 4


def test_no_window_is_larger_than_what_is_left_of_a_failing_one(throttle: Throttle) -> None:
    exchange(throttle, *[reply()] * 4)
    tickets = send_window(throttle)
    for ticket in tickets[:6]:
        throttle.came_back(ticket, requests.ConnectionError())
    assert throttle.window == 2


def test_after_a_failure_the_window_grows_by_one_per_window(throttle: Throttle) -> None:
    exchange(throttle, *[reply()] * 4, reply(500))
    sizes = []
    for _ in range(4):
        tickets = send_window(throttle)
        sizes.append(len(tickets))
        for ticket in tickets:
            throttle.came_back(ticket, reply())
    assert sizes == [4, 5, 6, 7]


def test_a_number_in_flight_that_has_failed_is_tried_again_after_twice_as_many_answers() -> None:
    """Two at a time are answered, three are not."""
    throttle = Throttle(8, first_pause=0)
    answers, answers_between = 0, []
    for _ in range(400):
        tickets = send_window(throttle)
        for number, ticket in reversed(list(enumerate(tickets))):
            throttle.came_back(ticket, reply() if number < 2 else reply(429))
            answers += number < 2
        if len(tickets) > 2:
            answers_between.append(answers)
            answers = 0
    assert len(answers_between) < 8
    assert answers_between[1:6] == sorted(answers_between[1:6])
    assert answers_between[5] > 10 * answers_between[1]


def test_a_number_in_flight_that_works_again_is_found_again(throttle: Throttle) -> None:
    exchange(throttle, reply(), reply())
    for ticket in reversed(send_window(throttle)):
        throttle.came_back(ticket, requests.ConnectionError())
    assert throttle.window == 1
    for _ in range(100):
        for ticket in send_window(throttle):
            throttle.came_back(ticket, reply())
    assert throttle.window == 8


# Pauses


def test_retry_after_holds_back_all_requests(throttle: Throttle, clock: Clock) -> None:
    exchange(throttle, *[reply()] * 4, reply(429, {"Retry-After": "20.0, 7"}))
    assert throttle.delay() == 20
    clock.now += 20
    assert throttle.delay() == 0


def test_answers_of_others_do_not_shorten_retry_after(throttle: Throttle, clock: Clock) -> None:
    exchange(throttle, reply(), reply())
    first, *others = send_window(throttle)
    throttle.came_back(first, reply(429, {"Retry-After": "20"}))
    clock.now += 5
    throttle.came_back(others[0], reply())
    throttle.came_back(others[1], reply(503, {"Retry-After": "30"}))
    throttle.came_back(others[2], reply(429))
    assert throttle.delay() == 30


def test_pauses_double_up_to_a_minute_until_there_is_an_answer(
    throttle: Throttle, clock: Clock
) -> None:
    pauses = []
    for _ in range(8):
        exchange(throttle, reply(429))
        pauses.append(throttle.delay())
        clock.now += pauses[-1] or 0
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    exchange(throttle, reply(), reply(429))
    assert throttle.delay() == 1


def test_after_a_pause_one_request_is_sent_alone(throttle: Throttle, clock: Clock) -> None:
    exchange(throttle, *[reply()] * 4, reply(429))
    clock.now += 1
    (ticket,) = send_window(throttle)
    assert throttle.delay() is None
    throttle.came_back(ticket, reply())
    assert len(send_window(throttle)) > 1


def test_answers_to_requests_in_flight_end_a_first_pause(throttle: Throttle, clock: Clock) -> None:
    exchange(throttle, reply(), reply())
    first, second, *_ = send_window(throttle)
    throttle.came_back(first, reply(429))
    assert throttle.window == 2
    clock.now += 0.01
    throttle.came_back(second, reply())
    assert throttle.delay() is None
    throttle.came_back(_[0], reply())
    assert throttle.delay() == 0


def test_without_a_first_pause_there_is_none(clock: Clock) -> None:
    throttle = Throttle(8, first_pause=0, clock=clock)
    exchange(throttle, *[reply(429)] * 3)
    assert throttle.delay() == 0


@pytest.mark.parametrize("asked", ["901", "9" * 400])
def test_a_pause_that_is_too_long_is_left_to_who_asks_for_the_page(
    throttle: Throttle, asked: str
) -> None:
    exchange(throttle, reply(429, {"Retry-After": asked}))
    assert throttle.delay() == 0


def test_a_pause_is_told_once(
    throttle: Throttle, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        exchange(throttle, reply(), reply())
        for ticket in send_window(throttle):
            throttle.came_back(ticket, reply(429, {"Retry-After": "20"}))
    assert caplog.messages == ["the API answers that there are too many requests; all wait 20 s"]
    clock.now += 20


@pytest.fixture
def told() -> list[str]:
    """What the throttle below tells."""
    return []


@pytest.fixture
def telling(clock: Clock, told: list[str]) -> Throttle:
    return Throttle(8, clock=clock, warn=lambda text, *values: told.append(text % values))


QUOTA = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "900"}


def test_a_long_wait_for_the_reset_of_a_rate_limit_is_told_once(
    telling: Throttle, clock: Clock, told: list[str]
) -> None:
    exchange(telling, reply(200, QUOTA))
    assert told == []
    assert [telling.delay(), telling.delay()] == [900, 900]
    clock.now += 400
    # One that was in flight says the same.
    exchange(telling, reply(200, QUOTA | {"X-RateLimit-Reset": "501"}))
    assert telling.delay() == 501
    line = "the rate limit is used up; all wait 900 s, until it is reset"
    assert told == [line]
    clock.now += 501
    assert telling.delay() == 0
    exchange(telling, reply(200, QUOTA))
    assert telling.delay() == 900
    assert told == [line, line]


def test_nothing_is_told_of_a_rate_limit_that_is_reset_at_once_or_not_used_up(
    telling: Throttle, told: list[str]
) -> None:
    exchange(telling, reply(200, QUOTA | {"X-RateLimit-Reset": "9"}))
    assert telling.delay() == 9
    exchange(telling, reply(200, QUOTA | {"X-RateLimit-Remaining": "5"}))
    telling.delay()
    assert told == []


# Gaps


def test_requests_keep_a_gap_where_few_are_answered_between_pauses(
    throttle: Throttle, clock: Clock
) -> None:
    for _ in range(2):
        exchange(throttle, *[reply()] * 4, reply(429, {"Retry-After": "2"}))
        clock.now += 2
        exchange(throttle, reply())
    throttle.sent()
    # Five answers in two seconds.
    assert throttle.delay() == pytest.approx(0.4)


def test_no_gap_is_longer_than_five_seconds(throttle: Throttle, clock: Clock) -> None:
    for _ in range(2):
        exchange(throttle, reply(429, {"Retry-After": "600"}))
        clock.now += 600
        exchange(throttle, reply())
    throttle.sent()
    assert throttle.delay() in {None, 5}
    exchange(throttle, reply())


def test_a_gap_is_given_up_with_answers(throttle: Throttle, clock: Clock) -> None:
    for _ in range(2):
        exchange(throttle, reply(), reply(429, {"Retry-After": "2"}))
        clock.now += 2
        exchange(throttle, reply())
    for _ in range(600):
        clock.now += throttle.delay() or 0
        exchange(throttle, reply())
    assert throttle.delay() == 0


def test_a_pause_that_stands_alone_costs_the_pause_and_no_more(clock: Clock) -> None:
    throttle = Throttle(8, clock=clock)
    exchange(throttle, *[reply()] * 5, reply(503, {"Retry-After": "30"}))
    clock.now += 30
    exchange(throttle, reply())
    assert throttle.delay() == 0
    exchange(throttle, *[reply()] * 50, reply(503, {"Retry-After": "30"}))
    clock.now += 30
    exchange(throttle, reply())
    assert throttle.delay() == 0


# What the API says of its limit


def limits(remaining: object, reset: object, **headers: str) -> dict[str, str]:
    return {"X-RateLimit-Remaining": str(remaining), "X-RateLimit-Reset": str(reset), **headers}


def test_no_request_is_sent_that_the_limit_does_not_allow(throttle: Throttle, clock: Clock) -> None:
    exchange(throttle, *[reply()] * 4, reply(200, limits(3, 60)))
    tickets = send_window(throttle)
    assert len(tickets) == 3
    assert throttle.delay() is None
    for left, ticket in zip((2, 1, 0), tickets, strict=True):
        throttle.came_back(ticket, reply(200, limits(left, 60)))
    assert throttle.delay() == 60
    clock.now += 60
    assert throttle.delay() == 0
    assert len(send_window(throttle)) == 8


def test_responses_that_overtake_each_other_leave_the_fewest(throttle: Throttle) -> None:
    exchange(throttle, *[reply()] * 4)
    tickets = send_window(throttle)
    for left, ticket in zip((0, 3, 2, 1), tickets[:4], strict=True):
        throttle.came_back(ticket, reply(200, limits(left, 30)))
    for ticket in tickets[4:]:
        throttle.came_back(ticket, reply())
    assert throttle.delay() == 30


def test_a_limit_that_is_reset_early_is_a_new_one(throttle: Throttle, clock: Clock) -> None:
    exchange(throttle, *[reply()] * 4, reply(200, limits(0, 1)))
    clock.now += 0.9
    exchange(throttle, reply(200, limits(50, 60)))
    assert len(send_window(throttle)) == 8


@pytest.mark.parametrize("skew", [-3600, 0, 3600])
def test_a_reset_may_be_a_moment_by_the_clock_of_the_api(throttle: Throttle, skew: int) -> None:
    date = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=skew)
    headers = limits(0, int(date.timestamp()) + 40, Date=format_datetime(date, usegmt=True))
    exchange(throttle, reply(200, headers))
    assert throttle.delay() == 40


def test_a_moment_is_compared_with_our_clock_if_the_api_tells_none(throttle: Throttle) -> None:
    exchange(throttle, reply(200, limits(0, datetime.now(UTC).timestamp() + 40)))
    assert 30 < (throttle.delay() or 0) <= 40


@pytest.mark.parametrize(
    "headers",
    [
        {"X-RateLimit-Remaining": "0"},
        {"X-RateLimit-Reset": "60"},
        limits(0, 901),
        limits(0, 0),
        limits(0, -5),
        limits("none", 60),
        limits(0, "soon"),
        limits(0, "inf"),
        limits(-1, 60),
        limits("nan", 60),
        limits(0, 1_000_000_001),
    ],
    ids=repr,
)
def test_limits_that_make_no_sense_are_passed_over(
    throttle: Throttle, headers: dict[str, str]
) -> None:
    exchange(throttle, reply(200, headers))
    assert throttle.delay() == 0


# Round trips


def timed(url: str, seconds: float) -> requests.Response:
    response = reply()
    response.url = url
    response.elapsed = timedelta(seconds=seconds)
    return response


def test_a_round_trip_belongs_to_an_endpoint(throttle: Throttle) -> None:
    assert throttle.is_noticeable_at("https://api.example.com/v1/accounts?offset=0")
    exchange(throttle, timed("https://api.example.com/v1/accounts?offset=0", NOTICEABLE / 2))
    assert not throttle.is_noticeable_at("https://api.example.com/v1/accounts?offset=10")
    assert throttle.is_noticeable_at("https://api.example.com/v1/contents?account_id=1")
    exchange(throttle, timed("https://api.example.com/v1/contents?account_id=1", NOTICEABLE))
    assert throttle.is_noticeable_at("https://api.example.com/v1/contents?account_id=2")
    assert not throttle.is_noticeable_at("https://api.example.com/v1/accounts?offset=10")


def test_an_identifier_in_a_path_makes_no_endpoint(throttle: Throttle) -> None:
    exchange(throttle, timed("https://api.example.com/v1/accounts/a-1/posts", 0.0))
    assert not throttle.is_noticeable_at("https://api.example.com/v1/accounts/b-2/posts")


def test_an_answer_that_waited_for_the_interpreter_does_not_count(throttle: Throttle) -> None:
    url = "https://api.example.com/flows"
    exchange(throttle, timed(url, NOTICEABLE / 2), timed(url, 60))
    assert not throttle.is_noticeable_at(url)


def test_a_redirect_counts_for_the_url_that_was_asked_for(throttle: Throttle) -> None:
    response = timed("https://api.example.com/new", 0)
    response.history = [timed("https://api.example.com/old", 0)]
    exchange(throttle, response)
    assert not throttle.is_noticeable_at("https://api.example.com/old")
    assert throttle.is_noticeable_at("https://api.example.com/new")


# Against servers


def assert_good(tap: Tap, pages: int, limit: float, most: float = 1.3) -> None:
    assert tap.lost == 0
    assert tap.failures <= pages / 10
    assert tap.now <= most * limit


@pytest.mark.parametrize("backoff", [0, 2])
@pytest.mark.parametrize("at_a_time", [1, 2, 4, 7])
@pytest.mark.parametrize(
    "failure", [requests.ConnectionError(), reply(429), reply(503), reply(500)], ids=str
)
def test_a_server_that_bears_few_requests_at_a_time(
    at_a_time: int, failure: Outcome, backoff: float
) -> None:
    tap = Tap(FewAtATime(at_a_time, LATENCY, failure), backoff=backoff).read(400)
    assert_good(tap, 400, 400 * LATENCY / at_a_time, most=1.3 + backoff / 10)


@pytest.mark.parametrize("asked", [None, "20", "20.0", "20, 20"])
@pytest.mark.parametrize("is_sliding", [False, True])
def test_a_server_that_allows_sixty_requests_in_twenty_seconds(
    asked: str | None, *, is_sliding: bool
) -> None:
    headers = {} if asked is None else {"Retry-After": asked}
    tap = Tap(FewPerPeriod(60, 20, LATENCY, headers, is_sliding=is_sliding)).read(600)
    assert_good(tap, 600, 20 * (600 / 60 - 1))


@pytest.mark.parametrize("latency", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("limit", [1, 8, 32])
def test_a_server_that_tells_its_limit_refuses_nothing(latency: float, limit: int) -> None:
    tap = Tap(FewPerPeriod(60, 20, latency, tells_limit=True), limit=limit).read(300)
    assert tap.failures == 0
    assert tap.now < 1.1 * max(80, 300 * latency / limit)


@pytest.mark.parametrize("asked", [None, "1"])
@pytest.mark.parametrize("limit", [1, 2, 8])
@pytest.mark.parametrize("latency", [0.0, 0.05, 0.3])
def test_a_server_that_allows_five_requests_in_a_second(
    latency: float, limit: int, asked: str | None
) -> None:
    headers = {} if asked is None else {"Retry-After": asked}
    tap = Tap(FewPerPeriod(5, 1, latency, headers), limit=limit).read(500)
    # Without a word of how long to wait, more requests are lost in finding out.
    assert_good(tap, 500, max(500 / 5, 500 * latency / limit), most=1.7 if asked else 2.1)


def test_a_server_without_limits_is_read_as_fast_as_it_answers() -> None:
    tap = Tap(FewAtATime(100, LATENCY, reply(429))).read(400)
    assert tap.failures == 0
    # 1, then 2, then 8 at a time.
    assert tap.now == pytest.approx(LATENCY * (2 + 397 / 8), abs=LATENCY)


@settings(max_examples=40)
@given(
    at_a_time=st.integers(1, 12),
    allowed=st.integers(3, 200),
    limit=st.integers(1, 32),
    asked=st.sampled_from([{}, {"Retry-After": "1.5"}]),
)
def test_no_server_makes_the_tap_stop(
    at_a_time: int, allowed: int, limit: int, asked: dict[str, str]
) -> None:
    Tap(FewAtATime(at_a_time, LATENCY, reply(429, asked)), limit=limit).read(100)
    Tap(FewPerPeriod(allowed, 10, LATENCY, asked), limit=limit).read(100)
