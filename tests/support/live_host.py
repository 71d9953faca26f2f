"""The sandbox at the address of the live service: by https, through a proxy that knows no other."""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from tap_analytics._compat import override
from tap_analytics.sandbox import Sandbox
from tap_analytics.sandbox.listener import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def live_host(host: str, folder: Path, **options: Any) -> Iterator[Sandbox]:
    """Serve a sandbox as a host of the service, for this process and its children.

    Args:
        host: The host, for which the sandbox has a certificate of a trusted authority.
        folder: Where the authority's certificate goes.
        **options: Of the sandbox.

    Yields:
        The sandbox.
    """
    authority = trustme.CA()
    bundle = folder / "authority.pem"
    authority.cert_pem.write_to_path(bundle)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)

    class TLSServer(Server):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.socket = context.wrap_socket(self.socket, server_side=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tap_analytics.sandbox.endpoint.Server", TLSServer)
        with Sandbox(**options) as sandbox, _Tunnel(host, sandbox.url) as tunnel:
            threading.Thread(target=tunnel.serve_forever, args=(0.01,), daemon=True).start()
            for name in ("no_proxy", "NO_PROXY", "https_proxy", "HTTPS_PROXY"):
                patch.delenv(name, raising=False)
            patch.setenv("https_proxy", f"http://127.0.0.1:{tunnel.server_address[1]}")
            patch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
            yield sandbox
            tunnel.shutdown()


class _Tunnel(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, host: str, url: str) -> None:
        self.host = host
        self.port = int(url.rsplit(":", 1)[1])
        super().__init__(("127.0.0.1", 0), _Conversation)


class _Conversation(socketserver.StreamRequestHandler):
    server: _Tunnel

    @override
    def handle(self) -> None:
        method, target, _ = self.rfile.readline().decode().split()
        while self.rfile.readline().strip():
            pass
        if (method, target) != ("CONNECT", f"{self.server.host}:443"):
            self.wfile.write(b"HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\n\r\n")
            return
        with socket.create_connection(("127.0.0.1", self.server.port)) as service:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pass_on, args=(service, self.connection), daemon=True)
            back.start()
            _pass_on(self.connection, service)
            back.join(10)


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
