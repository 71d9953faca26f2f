"""The session: what is sent ahead, what is handed over, and what is sent no more."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
import requests
from requests.adapters import BaseAdapter
from requests.auth import HTTPBasicAuth

from tap_analytics._compat import override
from tap_analytics.exceptions import UnsafeRedirectError
from tap_analytics.http.hints import Hint
from tap_analytics.http.session import PrefetchingSession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

URL = "https://api.example.com"
PATIENCE = 10

Answer = requests.Response | Exception


@pytest.fixture(autouse=True)
def _every_hint_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else none would, as answers come at once."""
    monkeypatch.setattr("tap_analytics.http.throttle.NOTICEABLE", 0.0)


def reply(status: int = 200, headers: Mapping[str, str] | None = None) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response.headers.update(headers or {})
    response.raw = BytesIO(b"[]")
    return response


def request_of(path: str) -> requests.PreparedRequest:
    return requests.Request("GET", f"{URL}{path}", auth=("user", "secret")).prepare()


def hint_of(path: str, position: int = 0, **options: Any) -> Hint:
    return Hint((position,), request_of(path), **{"group": None, **options})


class Server(BaseAdapter):
    """A server in memory.

    Attributes:
        answer: What is answered to a path.
        asked: The paths that have been asked for.
        gates: Events that answers wait for, by path.
    """

    def __init__(self, answer: Callable[[str], Answer] = lambda _: reply()) -> None:
        super().__init__()
        self.answer = answer
        self.asked: list[str] = []
        self.gates: dict[str, threading.Event] = {}
        self._has_come = threading.Condition()

    @override
    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        path = str(request.url).removeprefix(URL)
        with self._has_come:
            self.asked.append(path)
            self._has_come.notify_all()
        if path in self.gates:
            assert self.gates[path].wait(PATIENCE)
        answer = self.answer(path)
        if isinstance(answer, Exception):
            raise answer
        answer.url = str(request.url)
        answer.request = request
        return answer

    @override
    def close(self) -> None:
        pass

    def await_requests(self, count: int) -> None:
        with self._has_come:
            assert self._has_come.wait_for(lambda: len(self.asked) >= count, PATIENCE)


@pytest.fixture
def server() -> Server:
    return Server()


def session_of(server: Server, max_concurrent: int = 4, **options: Any) -> PrefetchingSession:
    session = PrefetchingSession(
        URL, max_concurrent=max_concurrent, timeout=10, first_pause=0, **options
    )
    session.mount(URL, server)
    return session


@pytest.fixture
def session(server: Server) -> Iterator[PrefetchingSession]:
    with session_of(server) as session:
        yield session


def await_idleness(session: PrefetchingSession) -> None:
    """Wait until what has been sent ahead has come back."""
    is_idle = threading.Event()
    for _ in range(PATIENCE * 1000):
        with session._traffic.lock:  # noqa: SLF001 - nobody else needs to know
            if not session.throttle._in_flight:  # noqa: SLF001
                break
        is_idle.wait(0.001)
    else:
        pytest.fail("Something is in flight for ever")


# Ahead of need


def test_outside_its_context_a_session_ignores_hints(server: Server) -> None:
    session = session_of(server)
    session.hint([hint_of("/a")])
    assert session.send(request_of("/b")).ok
    assert server.asked == ["/b"]


def test_after_its_context_a_session_is_an_ordinary_one(server: Server) -> None:
    with session_of(server) as session:
        pass
    session.hint([hint_of("/a")])
    assert session.send(request_of("/b")).ok
    assert server.asked == ["/b"]


def test_a_response_that_was_sent_for_ahead_is_handed_over_once(
    server: Server, session: PrefetchingSession
) -> None:
    session.hint([hint_of("/a")] * 2)
    server.await_requests(1)
    first, second = (session.send(request_of("/a")) for _ in range(2))
    assert first is not second
    assert server.asked == ["/a", "/a"]


def test_hints_are_sent_in_the_order_of_reading(server: Server) -> None:
    server.gates["/first"] = threading.Event()
    with session_of(server, 1, streams=5) as session:
        session.hint([hint_of("/first", 9)])
        server.await_requests(1)
        session.hint(hint_of(f"/{position}", position) for position in (1, 0))
        server.gates["/first"].set()
        server.await_requests(3)
    assert server.asked == ["/first", "/0", "/1"]


def test_the_reader_comes_before_all_hints(server: Server) -> None:
    server.gates["/first"] = threading.Event()
    with session_of(server, 1, streams=5) as session:
        session.hint([hint_of("/first"), hint_of("/ahead", 1)])
        server.await_requests(1)
        is_waiting = threading.Event()
        look = session.throttle.delay

        def delay() -> float | None:
            is_waiting.set()
            return look()

        session.throttle.delay = delay  # type: ignore[method-assign]
        reader = threading.Thread(target=session.send, args=(request_of("/reader"),))
        reader.start()
        assert is_waiting.wait(PATIENCE)
        server.gates["/first"].set()
        reader.join()
        server.await_requests(3)
    assert server.asked == ["/first", "/reader", "/ahead"]


def test_no_more_requests_are_in_flight_than_allowed(server: Server) -> None:
    gate = threading.Event()
    with session_of(server, 3, streams=9) as session:
        for number in range(3):
            session.send(request_of(f"/{number}"))
        server.gates = {f"/{number}": gate for number in range(10, 20)}
        session.hint(hint_of(path) for path in server.gates)
        server.await_requests(6)
        assert session.throttle.delay() is None
        gate.set()
        server.await_requests(9)


def test_no_more_responses_wait_than_there_is_room_for(server: Server) -> None:
    with session_of(server, 2, streams=1) as session:
        session.hint(hint_of(f"/{number}", number) for number in range(20))
        server.await_requests(5)
        await_idleness(session)
        assert sorted(server.asked) == [f"/{number}" for number in range(5)]
        session.send(request_of("/0"))
        server.await_requests(6)
    assert server.asked[5] == "/5"


def test_what_follows_is_sent_ahead_too(server: Server, session: PrefetchingSession) -> None:
    session.hint([hint_of("/a", follow=lambda _: [hint_of("/b")])])
    server.await_requests(2)
    session.send(request_of("/a"))
    session.send(request_of("/b"))
    assert server.asked == ["/a", "/b"]


@pytest.mark.parametrize("status", [404, 500])
def test_a_failure_leads_to_nothing(status: int) -> None:
    server = Server(lambda _: reply(status))
    follow = Mock()
    with session_of(server) as session:
        session.hint([hint_of("/a", follow=follow)])
        server.await_requests(1)
        await_idleness(session)
    follow.assert_not_called()


def test_what_is_forgotten_is_not_sent_and_leads_to_nothing(server: Server) -> None:
    server.gates["/0"] = threading.Event()
    with session_of(server, 1, streams=5) as session:
        session.hint(
            hint_of(f"/{n}", n, group="listing", follow=lambda _: [hint_of("/follower")])
            for n in range(3)
        )
        server.await_requests(1)
        session.forget("listing")
        server.gates["/0"].set()
        session.send(request_of("/other"))
        await_idleness(session)
    assert server.asked == ["/0", "/other"]


def test_nothing_is_sent_ahead_where_answers_come_at_once(
    server: Server, session: PrefetchingSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tap_analytics.http.throttle.NOTICEABLE", 60.0)
    session.send(request_of("/a"))
    session.hint([hint_of("/a?page=2"), hint_of("/unknown")])
    server.await_requests(2)
    await_idleness(session)
    assert server.asked == ["/a", "/unknown"]


def test_without_threads_all_is_read_all_the_same(
    session: PrefetchingSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = Mock(side_effect=RuntimeError("can't start new thread"))
    monkeypatch.setattr("tap_analytics.http.prefetcher.start_without_signals", start)
    session.hint([hint_of("/a")])
    assert session.send(request_of("/a")).ok
    start.assert_called()


# Failures ahead of need


@pytest.mark.parametrize(
    "failure", [reply(503), reply(429), requests.ReadTimeout(), requests.ConnectionError()]
)
def test_a_failure_that_may_pass_is_not_handed_over(failure: Answer) -> None:
    failures = [failure]
    server = Server(lambda _: failures.pop() if failures else reply())
    with session_of(server) as session:
        session.hint([hint_of("/a")])
        server.await_requests(1)
        await_idleness(session)
        assert session.send(request_of("/a")).ok


@pytest.mark.parametrize("failure", [reply(404), reply(429, {"Retry-After": "901"})])
def test_a_failure_that_lasts_is_handed_over(failure: requests.Response) -> None:
    server = Server(lambda _: failure)
    with session_of(server) as session:
        session.hint([hint_of("/a")])
        server.await_requests(1)
        await_idleness(session)
        assert session.send(request_of("/a")) is failure
    assert server.asked == ["/a"]


def test_an_error_while_hints_are_followed_is_raised_where_the_response_is_asked_for(
    server: Server, session: PrefetchingSession
) -> None:
    session.hint([hint_of("/a", follow=Mock(side_effect=LookupError("no such hint")))])
    server.await_requests(1)
    with pytest.raises(LookupError, match="no such hint"):
        session.send(request_of("/a"))


@pytest.mark.parametrize("error", [LookupError("lost"), SystemExit("lost"), MemoryError("lost")])
@pytest.mark.parametrize("name", ["_add", "_arrive"])
def test_an_error_between_answer_and_hand_over_reaches_the_reader(
    server: Server,
    session: PrefetchingSession,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    name: str,
) -> None:
    server.gates["/a"] = threading.Event()
    session.hint([hint_of("/a")])
    server.await_requests(1)
    monkeypatch.setattr(session._prefetcher, name, Mock(side_effect=[error, None]))  # noqa: SLF001
    server.gates["/a"].set()
    with pytest.raises(type(error), match="lost"):
        session.send(request_of("/a"))
    assert session.send(request_of("/b")).ok


@pytest.mark.parametrize("name", ["request_sent", "answer_received"])
def test_an_observer_that_fails_reaches_the_reader(server: Server, name: str) -> None:
    observer = Mock(**{f"{name}.side_effect": [LookupError("no tally"), None, None]})
    with session_of(server, observer=observer) as session:
        session.hint([hint_of("/a")])
        for _ in range(PATIENCE * 1000):
            if getattr(observer, name).called:
                break
            threading.Event().wait(0.001)
        with pytest.raises(LookupError, match="no tally"):
            session.send(request_of("/a"))
        assert session.send(request_of("/b")).ok
        await_idleness(session)


def test_threads_end_with_the_session(server: Server) -> None:
    with session_of(server) as session:
        session.hint(hint_of(f"/{number}") for number in range(8))
        server.await_requests(8)
        threads = [each for each in threading.enumerate() if each.name == "prefetch"]
        assert threads
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


# Credentials


def test_nothing_is_sent_after_a_401(session: PrefetchingSession, server: Server) -> None:
    server.answer = lambda _: reply(401)
    session.hint([hint_of("/a", 0), hint_of("/b", 1)])
    answers = [session.send(request_of(path)) for path in ("/a", "/b", "/c")]
    session.hint([hint_of("/d")])
    assert session.is_unauthorized
    assert [each.status_code for each in answers] == [401] * 3
    assert server.asked == ["/a"]


def gateway(lost: Callable[[str, int], bool]) -> Server:
    """Answer 401 to some tries of some paths."""
    tries = Counter[str]()

    def answer(path: str) -> Answer:
        tries[path] += 1
        return reply(401 if lost(path, tries[path]) else 200)

    return Server(answer)


def read(server: Server, max_concurrent: int) -> list[int]:
    """Read ten pages, all of which are hinted at from the beginning."""
    paths = [f"/{number}" for number in range(10)]
    with session_of(server, max_concurrent, streams=10) as session:
        session.hint(hint_of(path, position) for position, path in enumerate(paths))
        return [session.send(request_of(path)).status_code for path in paths]


@pytest.mark.parametrize("max_concurrent", [1, 4, 8])
@pytest.mark.parametrize("path", ["/1", "/5", "/9"])
def test_one_401_among_answers_changes_nothing(max_concurrent: int, path: str) -> None:
    server = gateway(lambda asked, tries: asked == path and tries == 1)
    assert read(server, max_concurrent) == [200] * 10
    assert server.asked.count(path) == 2


@pytest.mark.parametrize("max_concurrent", [1, 4, 8])
@pytest.mark.parametrize("last", [0, 1, 5, 9])
def test_a_second_401_ends_the_reading_at_the_same_place(max_concurrent: int, last: int) -> None:
    server = gateway(lambda asked, _: asked == f"/{last}")
    assert read(server, max_concurrent) == [200] * last + [401] * (10 - last)
    assert server.asked.count(f"/{last}") == (2 if last else 1)


def test_a_first_401_counts_though_others_have_been_answered_ahead_of_it(server: Server) -> None:
    server.answer = lambda path: reply(401 if path == "/a" else 200)
    with session_of(server) as session:
        session.hint([hint_of("/b")])
        server.await_requests(1)
        await_idleness(session)
        assert session.send(request_of("/a")).status_code == 401
        assert session.is_unauthorized
    assert server.asked == ["/b", "/a"]


def test_a_401_ahead_of_need_stops_the_hints_until_there_is_an_answer() -> None:
    server = gateway(lambda path, tries: path == "/lost" and tries == 1)
    with session_of(server) as session:
        session.hint([hint_of("/lost", 1)])
        server.await_requests(1)
        await_idleness(session)
        session.hint([hint_of("/next", 2)])
        assert server.asked == ["/lost"]
        session.send(request_of("/first"))
        server.await_requests(3)
        assert server.asked == ["/lost", "/first", "/next"]
        assert session.send(request_of("/lost")).ok
        assert not session.is_unauthorized


# Redirects


def redirect(target: str) -> Server:
    return Server(
        lambda path: reply(302, {"Location": target}) if path.startswith("/old") else reply()
    )


def test_a_redirect_belongs_to_the_request_that_led_to_it() -> None:
    server = redirect("/new")
    with session_of(server, 1, streams=5) as session:
        response = session.send(request_of("/old"))
    assert response.url == f"{URL}/new"
    assert server.asked == ["/old", "/new"]


@pytest.mark.parametrize(
    "target", ["//example.com/new", "http://api.example.com/new", "https://api.example.com:8443/"]
)
@pytest.mark.parametrize("is_ahead", [True, False])
def test_a_redirect_that_leaves_host_or_https_is_an_error(target: str, *, is_ahead: bool) -> None:
    server = redirect(target)
    with session_of(server) as session:
        if is_ahead:
            session.hint([hint_of("/old")])
            server.await_requests(1)
        with pytest.raises(UnsafeRedirectError, match=r"redirects to .*, where credentials are"):
            session.send(request_of("/old"))
    assert server.asked == ["/old"]


# What is known of a session


def test_requests_and_answers_are_counted_by_url() -> None:
    server = redirect("/new")
    observer = Mock()
    with session_of(server, observer=observer) as session:
        session.send(request_of("/old?page=1"))
        session.hint([hint_of("/b?page=2")])
        session.send(request_of("/b?page=2"))
    sent = [each.args for each in observer.request_sent.call_args_list]
    received = [each.args for each in observer.answer_received.call_args_list]
    assert sent == [(f"{URL}/old",), (f"{URL}/b",)]
    assert [(url, len(response.history)) for url, response in received] == [
        (f"{URL}/old", 1),
        (f"{URL}/b", 0),
    ]


def test_too_many_redirects_are_counted() -> None:
    server = Server(lambda _: reply(302, {"Location": "/a"}))
    observer = Mock()
    with (
        session_of(server, observer=observer) as session,
        pytest.raises(requests.TooManyRedirects),
    ):
        session.send(request_of("/a"))
    ((url, response),) = [each.args for each in observer.answer_received.call_args_list]
    assert url == f"{URL}/a"
    assert len(response.history) + 1 == len(server.asked)


@pytest.mark.parametrize(
    ("ahead_of_us", "expected"), [(-3600, -3600), (3600, 0), (None, 0)], ids=str
)
def test_the_first_answer_is_dated_by_the_earlier_clock(
    ahead_of_us: int | None, expected: int
) -> None:
    now = datetime.now(UTC)
    dates = [now + timedelta(seconds=seconds) for seconds in (ahead_of_us or 0, -86400)]
    headers = [{"Date": format_datetime(date, usegmt=True)} for date in dates]
    if ahead_of_us is None:
        headers[0] = {"Date": "tomorrow"}
    replies = [reply(503, headers[0]), reply(200, headers[1])]
    with session_of(Server(lambda _: replies.pop(0))) as session:
        for _ in range(2):
            session.send(request_of("/a"))
    assert session.first_answer_at
    assert abs(session.first_answer_at - now - timedelta(seconds=expected)) < timedelta(minutes=1)


def test_the_first_answer_may_be_a_redirect() -> None:
    date = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    hop = reply(302, {"Location": "/new", "Date": format_datetime(date, usegmt=True)})
    server = Server(lambda path: hop if path == "/old" else reply())
    with session_of(server) as session:
        session.send(request_of("/old"))
    assert session.first_answer_at == date


def test_a_request_stays_as_it_is_and_its_response_is_whole(server: Server) -> None:
    session = session_of(server)
    session.auth = HTTPBasicAuth("another", "secret")
    request = request_of("/1")
    headers = dict(request.headers)
    response = session.send(request)
    assert dict(request.headers) == headers
    # The body has been read, and the time to the answer is known.
    assert response.raw.read() == b""
    assert response.elapsed > timedelta(0)


def test_the_secrets_of_proxies_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:p%40ss@proxy.example.com:3128")
    session = session_of(Server())
    assert {"p%40ss", "p@ss", "user:p%40ss", "user:p@ss"} <= set(session.proxy_secrets)
