"""The check that every test is under: no secret in a log, an output or an argument."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
from base64 import b64encode
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tap_analytics.sandbox.service import CREATOR_LOGIN, EXPERIENCE_LOGIN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def spellings(user: str, secret: str) -> set[bytes]:
    """Spell a secret in all the ways in which it could be found where it must not be."""
    bare = [text.encode() for text in (secret, f"{user}:{secret}")]
    texts = [secret, *(b64encode(text).decode().rstrip("=") for text in bare)]
    return {
        spelling.encode()
        for text in texts
        for spelling in (text, quote(text, safe=""), json.dumps(text)[1:-1])
    }


def assert_no_leak(text: bytes | str | None, config: Mapping[str, Any] | None = None) -> None:
    """Assert that a text gives away no secret of the sandbox, nor of a configuration."""
    logins = [EXPERIENCE_LOGIN, CREATOR_LOGIN]
    for user, secret in (("username", "password"), ("client_id", "client_secret")):
        value = str((config or {}).get(secret) or "")
        if len(value) >= 8:
            logins.append((str((config or {}).get(user) or ""), value))
    searched = text.encode(errors="replace") if isinstance(text, str) else text or b""
    for spelling in {spelling for login in logins for spelling in spellings(*login)}:
        at = searched.find(spelling)
        assert at < 0, f"A secret leaks: {searched[max(0, at - 200) : at + 200]!r}"


class WatchedPipe:
    """A pipe from a child process, of which all that is read is remembered."""

    def __init__(self, pipe: IO[Any]) -> None:
        self._pipe = pipe
        self._seen: list[bytes] = []

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a pipe has
        return getattr(self._pipe, name)

    def __iter__(self) -> Iterator[Any]:
        return (self._see(line) for line in self._pipe)

    def read(self, size: int = -1) -> Any:  # noqa: ANN401 - bytes or text
        return self._see(self._pipe.read(size))

    def readline(self) -> Any:  # noqa: ANN401
        return self._see(self._pipe.readline())

    def _see(self, data: bytes | str) -> bytes | str:
        self._seen.append(data.encode() if isinstance(data, str) else data)
        return data

    @property
    def seen(self) -> bytes:
        return b"".join(self._seen)


@contextmanager
def watched_processes() -> Iterator[list[WatchedPipe]]:
    """Fail if a child process gets a secret as an argument, or writes one.

    Yields:
        The pipes of all child processes. They are checked at the end; whoever takes one out of the
        list takes it out of the check.
    """
    pipes: list[WatchedPipe] = []
    start, communicate = subprocess.Popen.__init__, subprocess.Popen.communicate

    def watched_start(process: Any, args: Any, *rest: Any, **options: Any) -> None:  # noqa: ANN401
        words = [args] if isinstance(args, str | bytes | os.PathLike) else args
        assert_no_leak(b" ".join(map(os.fsencode, words)))
        start(process, args, *rest, **options)
        # The sandbox's `serve` is there to print a configuration.
        if b"serve" not in map(os.fsencode, words[1:2]):
            for name in ("stdout", "stderr"):
                if pipe := getattr(process, name):
                    setattr(process, name, WatchedPipe(pipe))
                    pipes.append(getattr(process, name))

    def watched_communicate(process: Any, *args: Any, **options: Any) -> Any:  # noqa: ANN401
        outputs = communicate(process, *args, **options)
        for output in outputs:
            assert_no_leak(output)
        return outputs

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", watched_start)
        patch.setattr(subprocess.Popen, "communicate", watched_communicate)
        yield pipes
    for pipe in pipes:
        assert_no_leak(pipe.seen)


@contextmanager
def watched_log() -> Iterator[None]:
    """Fail if a secret is logged in this process."""
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    yield
    logging.getLogger().removeHandler(handler)
    assert_no_leak(log.getvalue())
