"""Both APIs on a loopback port, at next to no cost per request, in a process of their own."""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import rows

from tap_analytics._compat import override

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_LIMIT = 10
EXPERIENCES = 5
"""How many records each listing of the experience API has."""


@dataclass(frozen=True)
class Api:
    """What there is to be read.

    Attributes:
        content_items: Number of content items.
        accounts: Number of accounts.
        content_items_per_account: Number of content items if an account is asked for.
        latency: How long an answer takes, in milliseconds.
    """

    content_items: int = 0
    accounts: int = 0
    content_items_per_account: int = 0
    latency: int = 0

    def answer(self, target: str) -> bytes:
        """Answer a request.

        Args:
            target: The request's path and query.

        Returns:
            A response with its headers.
        """
        path, _, query = target.partition("?")
        parameters = dict(parse_qsl(query))
        if path.startswith("/accounts/"):
            body = b'{"data":[%b]}' % rows.render("experience", 0, EXPERIENCES)
        elif path == "/v1/social/contents":
            per_account = "account_id" in parameters
            first = int(parameters["account_id"][-12:]) << 16 if per_account else 0
            total = self.content_items_per_account if per_account else self.content_items
            body = _page("content_item", parameters, total, first)
        elif path == "/v1/accounts":
            body = _page("account", parameters, self.accounts)
        else:
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        return head % len(body) + body


def _page(kind: str, parameters: dict[str, str], total: int, first: int = 0) -> bytes:
    limit = int(parameters.get("limit", DEFAULT_LIMIT))
    offset = int(parameters.get("offset", 0))
    records = rows.render(kind, first + offset, first + min(offset + limit, total))
    metadata = b'{"offset":%d,"limit":%d,"from_date":null,"to_date":null}' % (offset, limit)
    return b'{"data":[%b],"metadata":%b}' % (records, metadata)


class Connection(asyncio.Protocol):
    """One connection, kept open, with one request at a time."""

    def __init__(self, api: Api) -> None:
        """Wait for a request.

        Args:
            api: What there is to be read.
        """
        self._api = api
        self._received = b""
        self._transport: asyncio.Transport

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write to; asyncio has set TCP_NODELAY."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    @override
    def data_received(self, data: bytes) -> None:
        """Answer as soon as a request is complete: a GET ends with its headers."""
        self._received += data
        if not self._received.endswith(b"\r\n\r\n"):
            return
        target = self._received.split(b" ", 2)[1].decode()
        self._received = b""
        response = self._api.answer(target)
        if self._api.latency:
            loop = asyncio.get_running_loop()
            loop.call_later(self._api.latency / 1000, self._transport.write, response)
        else:
            self._transport.write(response)


@contextmanager
def serving(api: Api) -> Iterator[str]:
    """Serve in another process.

    Args:
        api: What there is to be read.

    Yields:
        The base URL.
    """
    options = [f"--{name.replace('_', '-')}={value}" for name, value in vars(api).items()]
    with subprocess.Popen(
        [sys.executable, __file__, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        # Leaving the block closes its standard input, which ends it.
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"


async def _serve(api: Api) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(partial(Connection, api), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - to whom has started it
    await loop.run_in_executor(None, sys.stdin.read)


def main() -> None:
    """Serve until standard input is closed."""
    parser = argparse.ArgumentParser()
    for name in Api.__dataclass_fields__:
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=0)
    asyncio.run(_serve(Api(**vars(parser.parse_args()))))


if __name__ == "__main__":
    main()
