"""The least that can be done: a session, a decoder and an encoder; nothing is validated."""

from __future__ import annotations

import sys
from typing import Any

import msgspec
import requests


def read(session: requests.Session, url: str, page_size: int) -> None:
    """Read a listing and write its records to standard output.

    Args:
        session: A session with credentials.
        url: Where the listing is.
        page_size: Records per page, or 0 if the listing is not paged.
    """
    output = sys.stdout.buffer
    stream = url.rpartition("/")[2]
    offset = 0
    while True:
        parameters = {"limit": page_size, "offset": offset} if page_size else {}
        response = session.get(url, params=parameters, timeout=60)
        response.raise_for_status()
        records: list[Any] = msgspec.json.decode(response.content)["data"]
        for record in records:
            message = {"type": "RECORD", "stream": stream, "record": record}
            output.write(msgspec.json.encode(message) + b"\n")
        if not records or not page_size:
            break
        offset += len(records)


def main() -> None:
    """Read the listings named on the command line: page size, then URLs."""
    session = requests.Session()
    session.auth = ("user", "secret")
    page_size, *urls = sys.argv[1:]
    for url in urls:
        read(session, url, int(page_size))


if __name__ == "__main__":
    main()
