"""How fast requests are sent."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import requests

from tap_analytics.http.throttle import Throttle


@dataclass
class Throttling:
    """A server that allows so many requests in each second, and a client, in simulated time."""

    allowed: int
    latency: float
    now: float = 0.0
    answered: int = 0
    refusals: list[int] = field(default_factory=list)
    seconds: dict[int, int] = field(default_factory=dict)
    in_flight: list[tuple[float, requests.Response]] = field(default_factory=list)

    def read(self, throttle: Throttle, pages: int) -> None:
        in_flight = self.in_flight
        sent = 0
        while self.answered < pages:
            delay = throttle.delay()
            arrival = min((time for time, _ in in_flight), default=float("inf"))
            if delay is not None and self.now + delay <= arrival:
                self.now += delay
                throttle.sent()
                sent += 1
                in_flight.append((self.now + self.latency, self.answer(sent)))
            else:
                self.now = arrival
                due = next(entry for entry in in_flight if entry[0] == arrival)
                in_flight.remove(due)
                self.answered += due[1].ok
                throttle.came_back(due[1])

    def answer(self, number: int) -> requests.Response:
        second = int(self.now)
        self.seconds[second] = self.seconds.get(second, 0) + 1
        response = requests.Response()
        response.status_code = 200
        if self.seconds[second] > self.allowed:
            self.refusals.append(number)
            response.status_code = 429
            response.headers["Retry-After"] = "1"
        return response


@pytest.mark.parametrize("max_concurrent", [1, 2, 8, 32])
@pytest.mark.parametrize("latency", [0.0, 0.05, 0.3])
def test_a_server_that_allows_five_requests_a_second_is_hardly_asked_for_more(
    monkeypatch: pytest.MonkeyPatch, max_concurrent: int, latency: float
) -> None:
    server = Throttling(allowed=5, latency=latency)
    monkeypatch.setattr("tap_analytics.http.throttle.monotonic", lambda: server.now)
    server.read(Throttle(max_concurrent), pages=500)
    first = server.refusals[0] if server.refusals else 0
    burst = [number for number in server.refusals if number <= first + max_concurrent]
    later = len(server.refusals) - len(burst)
    assert later <= (500 + later) / 5
    # Manners are no excuse for idling: half of what is allowed is used.
    assert server.now < 2 * 500 / 5


def test_a_refusal_that_stands_alone_costs_the_pause_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Throttling(allowed=1000, latency=0.1)
    monkeypatch.setattr("tap_analytics.http.throttle.monotonic", lambda: server.now)
    throttle = Throttle(8)
    server.read(throttle, pages=5)
    refusal = requests.Response()
    refusal.status_code = 503
    refusal.headers["Retry-After"] = "30"
    throttle.sent()
    throttle.came_back(refusal)
    refused_at = server.now
    server.read(throttle, pages=205)
    assert server.now - refused_at < 30 * 1.1 + 200 * 0.1 / 4


def test_a_pause_that_is_too_long_is_left_to_who_asks_for_the_page() -> None:
    throttle = Throttle(8)
    refusal = requests.Response()
    refusal.status_code = 429
    for asked in ("901", "9" * 400):
        refusal.headers["Retry-After"] = asked
        throttle.sent()
        throttle.came_back(refusal)
        assert throttle.delay() == 0


def test_the_window_doubles_with_each_answer_and_halves_with_each_refusal() -> None:
    throttle = Throttle(limit=10)
    answer, refusal = requests.Response(), requests.Response()
    answer.status_code, refusal.status_code = 200, 429
    windows = []
    for outcome in [answer] * 5 + [refusal] * 5 + [answer] + [ConnectionError()]:
        throttle.sent()
        throttle.came_back(outcome)
        windows.append(throttle.window)
    assert windows == [2, 4, 8, 10, 10, 5, 2, 1, 1, 1, 2, 2]
