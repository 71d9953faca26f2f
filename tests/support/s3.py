"""A server that speaks S3."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from moto.server import ThreadedMotoServer
from upath import UPath

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

ACCESS_KEY = "AKIA0BATCHES0TESTS00"
SECRET_KEY = "batches/tests+0123456789/abcdefghijklmno"  # noqa: S105 - opens nothing


@contextmanager
def s3_server() -> Iterator[str]:
    """Start a server.

    Yields:
        Its address.
    """
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def give_key(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Put the key to a server into the environment, as it would be for any program.

    Args:
        monkeypatch: Takes it out again.
        address: Of the server.
    """
    for name in os.environ:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)


def make_bucket(name: str) -> str:
    """Make a bucket on the server that the environment has the key to.

    Args:
        name: Its name.

    Returns:
        Its URL.
    """
    url = f"s3://{name}"
    # Its clients are kept, with the address and the key of the test before.
    UPath(url).fs.clear_instance_cache()
    UPath(url).mkdir()
    return url
