"""Both APIs on a loopback port, at next to no cost per request, in a process of their own."""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import rows

from tap_analytics._compat import override

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEFAULT_LIMIT = 10
EXPERIENCES = 5
"""How many records each listing of the experience API has."""

_REQUESTS = "/benchmark/requests"
"""Asks how many requests there were since this was last asked."""


@dataclass(frozen=True)
class Api:
    """What there is to be read.

    Attributes:
        content_items: Number of content items.
        accounts: Number of accounts.
        content_items_per_account: Number of content items if an account is asked for.
        changed_per_account: Number of content items that the service has changed when it has synced
            every third account once more; 0 if it hasn't.
        latency: How long an answer takes, in milliseconds.
    """

    content_items: int = 0
    accounts: int = 0
    content_items_per_account: int = 0
    changed_per_account: int = 0
    latency: int = 0

    @property
    def synced_accounts(self) -> int:
        """The number of accounts that the service has synced once more."""
        return sum(self._is_synced(account) for account in range(self.accounts))

    def _is_synced(self, account: int) -> bool:
        # Not the account with the latest content, for the largest bookmark to be another's.
        return self.changed_per_account > 0 and account % 3 == 1

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
            body = b'{"data":[%b]}' % rows.experiences(0, EXPERIENCES)
        elif path == "/v1/social/contents" and "account_id" in parameters:
            account = int(parameters["account_id"][-12:])
            changed = self.changed_per_account if self._is_synced(account) else 0
            render = partial(rows.content_of_account, account, changed)
            body = _page(render, parameters, self.content_items_per_account)
        elif path == "/v1/social/contents":
            body = _page(rows.content_items, parameters, self.content_items)
        elif path == "/v1/accounts":
            body = _page(partial(rows.accounts, self._is_synced), parameters, self.accounts)
        else:
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        return _respond(body)


def _page(render: Callable[[int, int], bytes], parameters: dict[str, str], total: int) -> bytes:
    limit = int(parameters.get("limit", DEFAULT_LIMIT))
    offset = int(parameters.get("offset", 0))
    records = render(offset, min(offset + limit, total))
    metadata = b'{"offset":%d,"limit":%d,"from_date":null,"to_date":null}' % (offset, limit)
    return b'{"data":[%b],"metadata":%b}' % (records, metadata)


def _respond(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


class Service:
    """The APIs, and how many requests there were."""

    def __init__(self, api: Api) -> None:
        """Begin to count.

        Args:
            api: What there is to be read.
        """
        self._api = api
        self._requests = 0

    def answer(self, target: str) -> tuple[bytes, float]:
        """Answer a request.

        Args:
            target: The request's path and query.

        Returns:
            A response with its headers, and the seconds after which it is due.
        """
        if target == _REQUESTS:
            count, self._requests = self._requests, 0
            return _respond(b"%d" % count), 0
        self._requests += 1
        return self._api.answer(target), self._api.latency / 1000


class Connection(asyncio.Protocol):
    """One connection, kept open, with one request at a time."""

    def __init__(self, service: Service) -> None:
        """Wait for a request.

        Args:
            service: What answers it.
        """
        self._service = service
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
        response, delay = self._service.answer(target)
        if delay:
            asyncio.get_running_loop().call_later(delay, self._transport.write, response)
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


def count_requests(url: str) -> int:
    """Count requests.

    Args:
        url: The base URL.

    Returns:
        How many there were since this was last asked.
    """
    # Unlike requests and urllib, this takes no proxy from the environment.
    connection = HTTPConnection(urlsplit(url).netloc)
    connection.request("GET", _REQUESTS)
    with connection.getresponse() as response:
        return int(response.read())


async def _serve(api: Api) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(partial(Connection, Service(api)), "127.0.0.1", 0)
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
