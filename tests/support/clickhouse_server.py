"""ClickHouse's HTTP interface, with chDB behind it. Runs in an environment of its own."""

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

from chdb.session import Session  # type: ignore[import-not-found]


class Handler(BaseHTTPRequestHandler):
    """Answers one query per request, in the format that the request names."""

    protocol_version = "HTTP/1.1"
    session: Session

    def do_POST(self) -> None:
        """Run the query in the body."""
        form = parse_qs(urlsplit(self.path).query).get("default_format", ["JSONEachRow"])[0]
        query = self.rfile.read(int(self.headers["Content-Length"])).decode()
        try:
            answer, status = bytes(self.session.query(query, form).bytes()), 200
        except RuntimeError as error:
            answer, status = str(error).encode(), 500
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer)

    def log_message(  # type: ignore[explicit-override] # there is no `override` here
        self, *_what: object
    ) -> None:
        """Say nothing."""


if __name__ == "__main__":
    Handler.session = Session(sys.argv[1])
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        sys.stdout.write(f"{server.server_port}\n")
        sys.stdout.flush()
        server.serve_forever()
