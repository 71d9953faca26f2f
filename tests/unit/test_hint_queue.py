"""The queue of hints: order, groups, capacity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tap_analytics.http.hints import Hint
from tap_analytics.http.queue import HintQueue, Prefetch

if TYPE_CHECKING:
    from collections.abc import Hashable


def hint(url: str, position: int = 0, group: Hashable = None) -> Hint:
    request = requests.PreparedRequest()
    request.url = url
    return Hint((position,), request, group)


def queue_of(*hints: Hint, capacity: int = 100) -> HintQueue:
    queue = HintQueue(capacity)
    for each in hints:
        queue.add(each)
    return queue


def pop_all(queue: HintQueue) -> list[str | None]:
    urls = []
    while queue.has_next:
        urls.append(queue.pop().hint.request.url)
    return urls


@given(st.permutations(range(10)))
def test_hints_leave_in_the_order_of_reading(positions: list[int]) -> None:
    queue = queue_of(*(hint(f"/{position}", position) for position in positions))
    assert pop_all(queue) == [f"/{position}" for position in range(10)]


def test_hints_with_the_same_position_leave_in_the_order_of_their_coming() -> None:
    urls = [f"/{number}" for number in (3, 1, 4, 5, 9, 2, 6)]
    assert pop_all(queue_of(*map(hint, urls))) == urls


def test_a_position_is_compared_number_by_number() -> None:
    long, short = hint("/long", 1), hint("/short", 1)
    long = Hint((1, -1), long.request, None)
    assert pop_all(queue_of(long, short)) == ["/short", "/long"]


def test_a_hint_at_a_known_url_is_passed_over() -> None:
    queue = queue_of(hint("/a", 1), hint("/a", 0))
    prefetch = queue.pop()
    queue.add(hint("/a", 2))
    assert prefetch.hint.position == (1,)
    assert not queue.has_next


def test_a_request_that_has_been_made_may_be_hinted_at_again() -> None:
    queue = queue_of(hint("/a"))
    assert queue.take("/a") is None
    queue.add(hint("/a"))
    assert pop_all(queue) == ["/a"]


def test_what_has_been_sent_is_handed_over_once() -> None:
    queue = queue_of(hint("/a"))
    prefetch = queue.pop()
    assert queue.take("/a") is prefetch.outcome
    assert queue.take("/a") is None


def test_what_is_asked_for_first_is_not_sent_ahead() -> None:
    queue = queue_of(hint("/a", 0), hint("/b", 1))
    assert queue.take("/a") is None
    assert pop_all(queue) == ["/b"]


def test_a_response_that_waits_takes_up_room_until_it_is_taken_dropped_or_forgotten() -> None:
    queue = queue_of(*(hint(f"/{n}", n, group=n) for n in range(5)), capacity=2)
    _, second = queue.pop(), queue.pop()
    assert not queue.has_next
    queue.take("/0")
    assert pop_all(queue) == ["/2"]
    queue.drop(second)
    assert pop_all(queue) == ["/3"]
    queue.forget(2)
    assert pop_all(queue) == ["/4"]


def test_only_the_group_is_forgotten() -> None:
    queue = queue_of(hint("/a", 0, "x"), hint("/b", 1, "y"), hint("/c", 2, "x"))
    sent = queue.pop()
    queue.forget("x")
    assert sent.is_forgotten
    assert queue.take("/a") is None
    assert pop_all(queue) == ["/b"]


def test_to_drop_a_hint_spares_its_successor_at_the_same_url() -> None:
    queue = queue_of(hint("/a"))
    first = queue.pop()
    queue.take("/a")
    queue.add(hint("/a"))
    second = queue.pop()
    queue.drop(first)
    assert queue.take("/a") is second.outcome


def test_nothing_is_left_of_a_queue_that_is_cleared() -> None:
    queue = queue_of(hint("/a", 0), hint("/b", 1), capacity=1)
    sent = queue.pop()
    queue.clear()
    assert sent.is_forgotten
    assert not queue.has_next
    assert queue.take("/a") is None
    queue.add(hint("/c"))
    assert pop_all(queue) == ["/c"]


class Queue(RuleBasedStateMachine):
    """Compares the queue with a list of hints that is searched from its beginning."""

    CAPACITY = 3
    urls = st.integers(0, 6).map("/{}".format)
    groups = st.integers(0, 2)

    def __init__(self) -> None:
        super().__init__()
        self.queue = HintQueue(self.CAPACITY)
        self.known: list[Hint] = []
        self.sent: dict[str | None, Prefetch] = {}

    @rule(url=urls, position=st.integers(0, 9), group=groups)
    def add(self, url: str, position: int, group: int) -> None:
        added = hint(url, position, group)
        self.queue.add(added)
        if url not in [each.request.url for each in self.known]:
            self.known.append(added)

    def waiting(self) -> list[Hint]:
        return [each for each in self.known if each.request.url not in self.sent]

    @precondition(lambda self: self.queue.has_next)
    @rule()
    def pop(self) -> None:
        prefetch = self.queue.pop()
        assert prefetch.hint is min(self.waiting(), key=lambda each: each.position)
        self.sent[prefetch.hint.request.url] = prefetch

    @rule(url=urls)
    def take(self, url: str) -> None:
        outcome = self.queue.take(url)
        prefetch = self.sent.pop(url, None)
        assert outcome is (prefetch.outcome if prefetch else None)
        self.known = [each for each in self.known if each.request.url != url]

    @rule(group=groups)
    def forget(self, group: int) -> None:
        self.queue.forget(group)
        for each in self.known:
            if each.group == group and (prefetch := self.sent.pop(each.request.url, None)):
                assert prefetch.is_forgotten
        self.known = [each for each in self.known if each.group != group]

    @invariant()
    def there_is_a_next_one_if_one_waits_and_there_is_room(self) -> None:
        is_room = len(self.sent) < self.CAPACITY
        assert self.queue.has_next == (is_room and bool(self.waiting()))


TestQueue = Queue.TestCase
TestQueue.settings = settings(max_examples=40)
