"""Interim responses (status 1xx) ahead of the answer: what arrives is the answer, always."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from scripted_api import CREATOR, EXPERIENCE, Answer, Call, ScriptedApi
from series import assert_holds_all, at_most, without_times

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runs import RunTap

HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
INTERIM = {
    "100 Continue": b"HTTP/1.1 100 Continue\r\n\r\n",
    "102 Processing": b"HTTP/1.1 102 Processing\r\n\r\n",
    "103 Early Hints": HINTS,
    "several": HINTS + b"HTTP/1.1 102 Processing\r\n\r\n" + HINTS,
    "one that is not known": b"HTTP/1.1 199 Something\r\nX: y\r\n\r\n",
}


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    with ScriptedApi() as running, at_most(60):
        running.fill(12, contents=1)
        yield running


@pytest.mark.parametrize("interim", INTERIM.values(), ids=INTERIM)
@pytest.mark.parametrize("every", [1, 3])
def test_each_record_arrives_in_its_own_stream(
    api: ScriptedApi, run_tap: RunTap, interim: bytes, every: int
) -> None:
    config = api.both(max_concurrent_requests=1)
    expected = without_times(run_tap(config))
    asked = 0

    def announce(call: Call) -> Answer | None:
        nonlocal asked
        asked += 1
        answer = api.listing(call)
        return Answer(body=answer.body, interim=interim) if asked % every == 0 else None

    api.script = announce
    run = run_tap(config)
    assert run.status == 0, run.log
    assert without_times(run) == expected
    for stream in (*CREATOR, *EXPERIENCE):
        assert all(key.startswith(stream) for key in run.ids(stream)), stream
    assert_holds_all(api, (*CREATOR, *EXPERIENCE), run)


def test_an_error_after_an_interim_response_belongs_to_its_own_stream(
    api: ScriptedApi, run_tap: RunTap
) -> None:
    api.script = lambda call: (
        Answer(403, {"error": {"message": "no"}}, interim=HINTS) if call.stream == "users" else None
    )
    run = run_tap(api.creator())
    (error,) = run.errors
    assert error.startswith("users: 403")
    assert_holds_all(api, set(CREATOR) - {"users"}, run)
