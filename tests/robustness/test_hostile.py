"""A server that misbehaves: the data arrives unharmed, or there is one clear error."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
from raw_server import raw_server
from sandboxes import only
from waits import look_at_the_clock_every

from tap_analytics.sandbox import Reply, Request, Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runs import Run, RunTap

USER = b'{"data": [{"id": "1", "name": "Zo\xc3\xab", "updated_at": "2024-05-01T10:00:00"}]}'


def serve(reply: Reply) -> Callable[[Request], Reply | None]:
    """Serve this as the first page of the users."""
    return lambda request: (
        None
        if request.path != "/v1/users"
        else reply
        if request.query["offset"] == "0"
        else Reply.json([])
    )


def users(run_tap: RunTap, sandbox: Sandbox, reply: Reply, **settings: object) -> Run:
    sandbox.intercept = serve(reply)
    return run_tap(only("creator", sandbox, max_retries=1, **settings))


def one_error(run: Run) -> str:
    """The error of the users, with which all is over for them, but for nobody else."""
    assert run.status == 1
    assert "Traceback" not in run.log
    (error,) = run.errors
    assert error.startswith("users: ")
    assert run.bookmark("users") is None
    assert run.bookmark("profiles")
    return error


# Bodies


@pytest.mark.parametrize("field", ["name", "external_id"])
@pytest.mark.parametrize(
    ("sent", "arrives"),
    [
        (r"half \ud83d of one", "half \ufffd of one"),
        (r"the other \ude00 half", "the other \ufffd half"),
        (r"\ude00\ud83d", "\ufffd\ufffd"),
        (r"\ud83d\ude00", "\U0001f600"),
        (r"a\u0000b", "a\0b"),
        (r"\u2028\u0085\u202e", "\u2028\u0085\u202e"),
    ],
)
def test_text_arrives_and_half_of_a_surrogate_pair_is_replaced(
    run_tap: RunTap, sandbox: Sandbox, field: str, sent: str, arrives: str
) -> None:
    run = users(run_tap, sandbox, Reply(body=f'{{"data": [{{"id": "7", "{field}": "{sent}"}}]}}'))
    assert run.status == 0
    assert run.records("users")[0][field] == arrives
    told = [line for line in run.log.splitlines() if "Record 7 holds text that is not" in line]
    assert len(told) == ("\ufffd" in arrives)
    assert all("| tap-analytics.users " in line for line in told)


def test_records_with_the_same_id_on_a_page_all_arrive(run_tap: RunTap, sandbox: Sandbox) -> None:
    records = [{"id": "1", "name": "A"}, {"id": "1", "name": "A"}, {"id": "1", "name": "B"}]
    sandbox.data["users"] = records
    run = run_tap(only("creator", sandbox))
    assert run.status == 0
    assert run.records("users") == records


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('{"data": ["one"]}', "record 0 of the listing is no object: 'one'"),
        ('{"data": [{"id": true}]}', "record 0 of the listing has an `id` that is neither text"),
        ('{"data": 7}', "the response holds a number where a list is expected"),
        ('{"data": [{"id": "1", "count": NaN}]}', "the response is not JSON"),
        ('{"data": [{"id": "1"}', "the response is not JSON"),
    ],
)
def test_a_body_that_lists_no_valid_records_fails_its_stream_alone(
    run_tap: RunTap, sandbox: Sandbox, body: str, problem: str
) -> None:
    assert problem in one_error(users(run_tap, sandbox, Reply(body=body)))


@pytest.mark.parametrize("depth", [900, 200_000])
def test_nesting_of_900_levels_arrives_and_of_200000_is_an_error(
    run_tap: RunTap, sandbox: Sandbox, depth: int
) -> None:
    body = f'{{"data": [{{"id": "1", "deep": {"[" * depth}{"]" * depth}}}]}}'
    run = users(run_tap, sandbox, Reply(body=body))
    if depth > 1000:
        assert "nested too deeply to be read" in one_error(run)
    else:
        assert run.status == 0
        assert b"[" * depth in run.output


@pytest.mark.slow
def test_a_page_of_200_mb_arrives(run_tap: RunTap, sandbox: Sandbox) -> None:
    name = "n" * 2_000_000
    sandbox.data["users"] = [{"id": str(number), "name": name} for number in range(100)]
    run = run_tap(only("creator", sandbox, page_size=100))
    assert run.status == 0
    count = 0
    for line in run.output.split(b"\n"):
        if b'"users","record"' in line[:100]:
            assert json.loads(line)["record"] == {"id": str(count), "name": name}
            count += 1
    assert count == 100


# Encodings


@pytest.mark.parametrize(
    ("headers", "encode"),
    [
        ({"Content-Encoding": "gzip"}, gzip.compress),
        ({"Content-Encoding": "deflate"}, zlib.compress),
        ({"Content-Encoding": "deflate"}, lambda body: zlib.compress(body, wbits=-15)),
        (
            {"Content-Type": "application/json; charset=iso-8859-1"},
            lambda body: body.decode().encode("latin-1"),
        ),
        ({}, lambda body: body.decode().encode("utf-16")),
    ],
    ids=["gzip", "deflate", "raw deflate", "latin-1", "UTF-16"],
)
def test_a_body_in_another_encoding_arrives(
    run_tap: RunTap,
    sandbox: Sandbox,
    headers: dict[str, str],
    encode: Callable[[bytes], bytes],
) -> None:
    run = users(run_tap, sandbox, Reply(body=encode(USER), headers=headers))
    assert run.status == 0, run.log
    assert [record["name"] for record in run.records("users")] == ["Zoë"]
    assert not any("Record 1 " in line for line in run.warnings)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_body_that_is_not_encoded_as_declared_is_an_error(
    run_tap: RunTap, sandbox: Sandbox, encoding: str
) -> None:
    run = users(run_tap, sandbox, Reply(body=USER, headers={"Content-Encoding": encoding}))
    error = one_error(run)
    assert "no answer from 127.0.0.1" in error
    assert error.endswith("; tried 2 times")


def test_the_rest_of_a_body_is_not_taken_for_the_next_answer(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    # What is left of a body would be taken for the beginning of the next answer.
    answers = iter([Reply(body=USER, headers={"Content-Length": str(len(USER) - 5)})])
    sandbox.intercept = lambda request: next(answers, None) if request.path == "/v1/users" else None
    run = run_tap(only("creator", sandbox))
    assert run.status == 0, run.log
    assert len(run.ids("users")) == 25


# The protocol


def api(*answers: bytes | Iterator[bytes]) -> Callable[[bytes], Iterator[bytes]]:
    """Answer requests for users like this in turn, and others with an empty list."""
    left = list(answers)
    empty = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"

    def answer(head: bytes) -> Iterator[bytes]:
        if b"/users" in head and left:
            following = left.pop(0)
            return iter([following]) if isinstance(following, bytes) else following
        return iter([empty])

    return answer


def ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def from_raw(run_tap: RunTap, *answers: bytes | Iterator[bytes], **settings: object) -> Run:
    with raw_server(api(*answers)) as url:
        return run_tap(
            {
                "client_id": "a client id",
                "client_secret": "a client secret",
                "creator_api_url": url,
                "backoff_factor": 0,
                "max_retries": 1,
                **settings,
            }
        )


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" + ok(USER),
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\nX: y\r\n\r\n" + ok(USER),
        b"HTTP/1.1 102 Processing\r\n\r\n" + ok(USER),
        b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n" + ok(USER),
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + ok(USER),
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + USER,
        b"HTTP/1.0 200 OK\r\n\r\n" + USER,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"%x\r\n%s\r\n0\r\n\r\n" % (len(USER), USER),
        b"HTTP/1.1 200\r\nContent-Length: %d\r\n\r\n%s" % (len(USER), USER),
    ],
    ids=[
        *("continue", "continue twice", "processing", "early hints", "hints and continue"),
        *("until the end", "HTTP/1.0", "chunked", "no reason"),
    ],
)
def test_every_valid_form_of_an_http_answer_is_read(run_tap: RunTap, answer: bytes) -> None:
    run = from_raw(run_tap, answer)
    assert run.status == 0, run.log
    # No answer is taken for that of another request.
    assert [message["stream"] for message in run.of_type("RECORD")] == ["users"]
    assert run.ids("users") == ["1"]


def test_an_answer_with_status_204_is_an_empty_page(run_tap: RunTap) -> None:
    run = from_raw(run_tap, b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")
    assert run.status == 0, run.log
    assert run.ids("users") == []


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[]",
    ],
    ids=["nothing", "no HTTP", "no chunk", "many headers", "a long header", "cut chunk"],
)
def test_an_answer_that_is_not_http_is_an_error_after_all_tries(
    run_tap: RunTap, answer: bytes
) -> None:
    run = from_raw(run_tap, *[answer] * 20)
    assert run.status == 1
    (error,) = run.errors
    assert error.startswith("users: no answer from 127.0.0.1")
    assert error.endswith("; tried 2 times")
    assert len(error) < 700
    assert "Traceback" not in run.log


@pytest.mark.parametrize("error", [-5, 100])
def test_a_body_of_another_length_than_declared_is_an_error(run_tap: RunTap, error: int) -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    run = from_raw(run_tap, *[head % (len(USER) + error) + USER] * 20)
    assert run.status == 1
    (line,) = run.errors
    assert line.startswith("users: ")
    assert line.endswith("; tried 2 times")
    assert run.ids("users") == []


def test_a_valid_answer_at_the_second_try_counts(run_tap: RunTap) -> None:
    run = from_raw(run_tap, b"nonsense\r\n\r\n", ok(USER))
    assert run.status == 0, run.log
    assert run.ids("users") == ["1"]


@pytest.mark.parametrize(
    "head",
    [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n["],
    ids=["status", "headers", "body"],
)
def test_a_response_that_drips_for_ever_is_given_up_after_the_timeout(
    run_tap: RunTap, monkeypatch: pytest.MonkeyPatch, head: bytes
) -> None:
    look_at_the_clock_every(monkeypatch, seconds=10)

    def drip() -> Iterator[bytes]:
        yield head
        for _ in range(100_000):
            yield b" "

    run = from_raw(run_tap, *[drip() for _ in range(20)], request_timeout=60)
    assert run.status == 1
    (error,) = run.errors
    assert error.startswith("users: no complete answer from 127.0.0.1")
    assert error.endswith(" within 60 s; tried 2 times")


# Redirects


def location(target: str) -> Reply:
    return Reply(status=307, headers={"Location": target})


def test_a_redirect_within_the_host_is_followed(run_tap: RunTap, sandbox: Sandbox) -> None:
    sandbox.intercept = lambda request: (
        location(f"/v1/users?{urlencode(dict(request.query))}&moved=1")
        if request.path == "/v1/users" and "moved" not in request.query
        else None
    )
    run = run_tap(only("creator", sandbox))
    assert run.status == 0, run.log
    assert len(run.ids("users")) == 25


def test_a_redirect_to_another_host_is_refused_and_sees_no_credentials(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    with Sandbox() as other:
        run = users(run_tap, sandbox, location(f"{other.url}/v1/users"))
        assert other.requests == []
        error = one_error(run)
        assert f"{sandbox.url} redirects to {other.url}, where credentials are not sent" in error
    assert "tried" not in error


@pytest.mark.parametrize(
    "target", ["//example.com/v1/users", "https://127.0.0.1/v1/users", "ftp://127.0.0.1/users"]
)
def test_a_redirect_to_another_port_or_protocol_is_refused(
    run_tap: RunTap, sandbox: Sandbox, target: str
) -> None:
    assert " redirects to " in one_error(users(run_tap, sandbox, location(target)))


def test_redirects_that_never_end_are_an_error(run_tap: RunTap, sandbox: Sandbox) -> None:
    sandbox.intercept = lambda request: (
        location("/v1/users") if request.path == "/v1/users" else None
    )
    error = one_error(run_tap(only("creator", sandbox)))
    assert "Exceeded 30 redirects" in error
    assert "tried" not in error


def test_a_redirect_without_location_is_an_error(run_tap: RunTap, sandbox: Sandbox) -> None:
    error = one_error(users(run_tap, sandbox, Reply(status=302)))
    assert "users: 302 Found for /v1/users" in error
