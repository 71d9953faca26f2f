"""What must not get out: credentials to anybody else, and to the log what nobody has said."""

from __future__ import annotations

import html
import json
import logging
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
from base64 import b64decode, b64encode, urlsafe_b64encode
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus, urlencode, urlsplit

import pytest
import trustme
from leaks import WatchedPipe, assert_no_leak, spellings
from raw_server import raw_server
from requests.utils import get_netrc_auth
from sandboxes import CREATOR_STREAMS, STREAMS, impatient, only

from tap_analytics._compat import override
from tap_analytics.log.protection import MAX_LINE
from tap_analytics.sandbox import Reply, Request, Sandbox
from tap_analytics.sandbox.__main__ import main as sandbox_main
from tap_analytics.sandbox.listener import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runs import Run, RunTap

USER = "client-of-mine"
SECRET = """pä"ss-w'rd+of<>mine & =>>"""  # noqa: S105

FORGED = (
    "\r\n1999-01-01 00:00:00,000 | ERROR    | forged                         | all is lost"
    "\x1b[2K\x85\u2028\u202e\x00"
)
# What stays on one line of what a server sends.
FORGED_LINE = FORGED.replace("\n", "").replace("\0", "")

SPELLINGS = {
    "plain": SECRET,
    "the header": b64encode(f"{USER}:{SECRET}".encode()).decode(),
    "base64": b64encode(SECRET.encode()).decode(),
    "base64 for URLs": urlsafe_b64encode(SECRET.encode()).decode().rstrip("="),
    "URL": quote(SECRET, safe=""),
    "URL path": quote(SECRET),
    "URL in lower case": quote(SECRET, safe="").lower(),
    "form": quote_plus(SECRET),
    "header in a URL": quote(b64encode(f"{USER}:{SECRET}".encode()).decode(), safe=""),
    "JSON": json.dumps(SECRET)[1:-1],
    "JSON as PHP has it": json.dumps(SECRET)[1:-1].replace("/", r"\/"),
    "JSON in upper case": json.dumps(SECRET)[1:-1].replace("00e4", "00E4"),
    "HTML": html.escape(SECRET),
    "HTML in numbers": html.escape(SECRET).replace("&quot;", "&#34;").replace("&#x27;", "&#39;"),
}


def answer(status: str, body: str | bytes = b"{}", *headers: str) -> bytes:
    content = body if isinstance(body, bytes) else body.encode()
    lines = (f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", *headers, "", "")
    return "\r\n".join(lines).encode() + content


def listing(*records: object) -> bytes:
    return answer("200 OK", json.dumps({"data": records}))


PLACES: dict[str, Callable[[str], bytes]] = {
    "body": lambda text: answer("400 Bad Request", f"No: {text}"),
    "message": lambda text: answer(
        "400 Bad Request",
        json.dumps({"error": {"message": text, "error_code": text, "request_id": text}}),
    ),
    "unauthorized": lambda text: answer("401 Unauthorized", f"No: {text}"),
    "retried": lambda text: answer("500 Internal Server Error", f"No: {text}"),
    "HTML with 200": lambda text: answer("200 OK", f"<html>{text}</html>"),
    "reason": lambda text: answer(f"400 {text}"),
    "Retry-After": lambda text: answer("429 Slow", b"", f"Retry-After: {text}", f"X-Echo: {text}"),
    "Location": lambda text: answer("302 Found", b"", f"Location: /gone/{text}?{text}"),
    "Location elsewhere": lambda text: answer("302 Found", b"", f"Location: http://{text}"),
    "Location nowhere": lambda text: answer("302 Found", b"", f"Location: http://[{text}"),
    "no header": lambda text: f"HTTP/1.1 400 Bad Request\r\n{text}\r\n\r\n".encode(),
    "no status": lambda text: f"{text}\r\n\r\n".encode(),
    "no chunk": lambda text: (
        f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{text}\r\n".encode()
    ),
    "no record": listing,
    "no id": lambda text: listing({text: 1}),
    "another id": lambda text: listing({"id": [text]}),
    "no timestamp": lambda text: listing({"id": "1", "updated_at": text}),
}


def serve(reply: bytes) -> Callable[[bytes], Iterator[bytes]]:
    """Answer like this where the users are asked for, and find nothing else."""
    paths = (b"GET /v1/users?limit=10&offset=0 ", b"GET /v1/users?limit=1&offset=0 ")

    def respond(head: bytes) -> Iterator[bytes]:
        if head.startswith(paths):
            yield reply
        elif head.startswith(b"GET /gone/"):
            yield answer("410 Gone", b"")
        else:
            yield answer("200 OK", b"[]")

    return respond


def run_against(run_tap: RunTap, reply: bytes, *args: str, **settings: object) -> Run:
    with raw_server(serve(reply)) as url:
        config = {
            "client_id": USER,
            "client_secret": SECRET,
            "creator_api_url": url,
            "backoff_factor": 0,
            "max_retries": 0,
            **settings,
        }
        return run_tap(config, *args)


@pytest.fixture
def _debug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAP_ANALYTICS_LOGLEVEL", "DEBUG")


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "netrc"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    # It has hundreds of lines to say about each catalog.
    monkeypatch.setattr(logging.getLogger("singer_sdk.singerlib.catalog"), "level", logging.INFO)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


# The check that all tests are under


@pytest.mark.parametrize(
    "text", sorted(spellings("me", 'my "secret" ä') | spellings("", "12345678"))
)
def test_the_check_finds_secrets_of_a_configuration(text: bytes) -> None:
    config = {"username": "me", "password": 'my "secret" ä', "client_secret": 12345678}
    assert_no_leak(b"a log: " + text)
    with pytest.raises(AssertionError, match="A secret leaks"):
        assert_no_leak(b"a log: " + text, config)


@pytest.mark.parametrize(
    "text",
    [
        "sandbox-api-secret",
        b"-sandbox-client-secret-",
        b64encode(b"sandbox-api-secret"),
        b64encode(b"sandbox-client-id:sandbox-client-secret").decode(),
    ],
)
def test_the_check_finds_secrets_of_the_sandbox(text: str | bytes) -> None:
    with pytest.raises(AssertionError, match="A secret leaks"):
        assert_no_leak(text)


def test_the_check_is_made_where_the_tap_runs(
    run_tap: RunTap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tap_analytics.log.protection.add_secrets", lambda _: None)
    with pytest.raises(AssertionError, match="A secret leaks"):
        run_against(run_tap, PLACES["body"](SECRET))


def test_the_check_is_made_where_a_child_process_runs(
    monkeypatch: pytest.MonkeyPatch, pipes: list[WatchedPipe]
) -> None:
    monkeypatch.setenv("TOLD", "sandbox-client-secret")
    for output in ("stdout", "stderr"):
        code = f"import os, sys; print(os.environ['TOLD'], file=sys.{output})"
        command = [sys.executable, "-c", code]
        with pytest.raises(AssertionError, match="A secret leaks"):
            subprocess.run(command, capture_output=True, check=True)
        del pipes[:]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            for pipe in (process.stdout, process.stderr):
                assert pipe
                for _ in pipe:
                    pass
        with pytest.raises(AssertionError, match="A secret leaks"):
            assert_no_leak(b"".join(pipe.seen for pipe in pipes))
        del pipes[:]
    with pytest.raises(AssertionError, match="A secret leaks"):
        subprocess.run([sys.executable, "--password=sandbox-api-secret"], check=False)


# Credentials


@pytest.mark.usefixtures("_debug")
@pytest.mark.parametrize(
    ("place", "spelling"),
    [
        *((place, spelling) for place in PLACES for spelling in ("plain", "the header")),
        *(("body", spelling) for spelling in list(SPELLINGS)[2:]),
    ],
)
def test_a_credential_that_a_server_echoes_is_not_told(
    run_tap: RunTap, place: str, spelling: str
) -> None:
    text = SPELLINGS[spelling]
    run = run_against(run_tap, PLACES[place](text))
    assert run.status == (place != "no timestamp")
    assert ("***" in run.log) == (place not in {"Retry-After", "Location nowhere"})
    shown = run.log + run.output.decode()
    assert not [part for at in range(len(text) - 6) if (part := text[at : at + 6]) in shown]


@pytest.mark.parametrize("spelling", ["plain", "the header"])
@pytest.mark.parametrize(
    ("place", "length"),
    [("body", 500), ("message", 500), ("reason", 100), ("no record", 100), ("no id", 500)],
)
def test_half_of_a_credential_is_not_told_where_a_text_is_cut(
    run_tap: RunTap, place: str, length: int, spelling: str
) -> None:
    text = SPELLINGS[spelling]
    for shown in (12, len(text) - 2):
        run = run_against(run_tap, PLACES[place]("-" * (length - shown) + text))
        assert "---" in run.log
        assert "***" in run.log
        assert text[:4] not in run.log


def test_a_credential_that_a_server_echoes_is_not_told_at_the_usual_level(run_tap: RunTap) -> None:
    for place in PLACES.values():
        run = run_against(run_tap, place(SECRET))
        assert SECRET[:6] not in run.log
        assert "Traceback" not in run.log


@pytest.mark.usefixtures("_debug")
@pytest.mark.parametrize(
    "secret", ["word\n", "\tgroße größe", "C:\\new\\table", "ключ € \U0001f511", "=" * 5, "x" * 900]
)
def test_a_credential_of_any_kind_is_not_told(run_tap: RunTap, secret: str) -> None:
    header = b64encode(f"{USER}:{secret}".encode()).decode()
    text = f"{secret} {quote(secret)} {json.dumps(secret)} {header}"
    for place in ("body", "reason", "no record"):
        line = text if place == "body" else re.sub(r"\s+", " ", text)
        run = run_against(run_tap, PLACES[place](line), client_secret=secret)
        assert run.status == 1
        assert "***" in run.log
        for part in (secret.strip(), quote(secret.strip()), json.dumps(secret.strip())[1:-1]):
            assert part[:15] not in run.log


@pytest.mark.usefixtures("_debug")
@pytest.mark.parametrize("options", [[], ["--discover"], ["--test"], ["--test=schema"]])
def test_no_mode_tells_credentials(run_tap: RunTap, sandbox: Sandbox, options: list[str]) -> None:
    run = run_tap(impatient(sandbox), *options)
    assert run.status == 0
    assert ("DEBUG" in run.log) == (options != ["--discover"])
    wrong = impatient(sandbox, password=SECRET, client_secret=f"another {SECRET}")
    run = run_tap(wrong, *options)
    assert run.status == (options in ([], ["--test"]))


@pytest.mark.usefixtures("_debug")
@pytest.mark.parametrize("form", ["text", "json", "markdown"])
def test_about_tells_no_credentials(
    run_tap: RunTap, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    for name, value in sandbox.environment.items():
        monkeypatch.setenv(name, value)
    options = [] if form == "text" else [f"--format={form}"]
    for config in (impatient(sandbox), None):
        run = run_tap(config, "--config=ENV", "--about", *options)
        assert run.status == 0
        assert b"client_secret" in run.output


@pytest.mark.usefixtures("_debug")
def test_wrong_settings_are_told_without_credentials(
    run_tap: RunTap, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in sandbox.environment.items():
        monkeypatch.setenv(name, value)
    for setting in ("page_size", "content_by_account", "stream_maps"):
        monkeypatch.setenv(f"TAP_ANALYTICS_{setting.upper()}", "x")
    assert run_tap(None, "--config=ENV").status == 1
    assert run_tap({"client_secret": SECRET, "page_size": 0}).status == 1
    assert run_tap({"client_secret": [SECRET], "password": {"it": SECRET}}).status == 1
    assert run_tap({"client_secret": SECRET, "pasword": SECRET}).status == 1


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
@pytest.mark.parametrize("place", ["listing.records.canonical", "singer.lookahead.Hint"])
def test_an_error_that_nobody_has_foreseen_is_told_without_credentials(
    run_tap: RunTap, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, place: str, level: str
) -> None:
    def fail(*_: object) -> None:
        message = f"what is {sandbox.settings['client_secret']}\n1999 | ERROR | forged\x1b[2K"
        raise RuntimeError(message)

    monkeypatch.setenv("TAP_ANALYTICS_LOGLEVEL", level)
    monkeypatch.setattr(f"tap_analytics.{place}", fail)
    run = run_tap(only("creator", sandbox))
    assert run.status == 1
    assert "RuntimeError: what is *** 1999 | ERROR | forged" in run.errors[-1]
    assert ("Traceback" in run.log) == (level == "DEBUG")
    assert "\n1999" not in run.log
    assert "\x1b" not in run.log


# Logging configurations of the user's own

# Shows whatever a formatter could show.
SHOW_ALL = """
import json
import logging
import traceback


class Formatter(logging.Formatter):
    def format(self, record):
        error = traceback.format_exception(*record.exc_info) if record.exc_info else []
        inner = vars(record.exc_info[1]) if record.exc_info else {}
        return json.dumps([vars(record), record.getMessage(), error, inner], default=repr)
"""

FORMATTERS: dict[str, dict[str, str]] = {
    "plain": {"format": "%(name)s %(message)s"},
    "json": {"()": "singer_sdk.logging.StructuredFormatter"},
    "all": {"()": "show_all.Formatter"},
}
LOGGERS = ("root", "tap-analytics", "tap-analytics.users")


def logging_config(folder: Path, level: str) -> dict[str, Any]:
    """A handler with each formatter on each logger, and one to standard error."""
    handlers = {
        f"{logger}-{formatter}": {
            "class": "logging.FileHandler",
            "filename": str(folder / f"{logger}-{formatter}.log"),
            "formatter": formatter,
        }
        for logger in LOGGERS
        for formatter in FORMATTERS
    }
    loggers = {
        logger: {
            "level": level,
            "handlers": [f"{logger}-{formatter}" for formatter in FORMATTERS],
        }
        for logger in LOGGERS
    }
    root = loggers.pop("root")
    root["handlers"] = [*root["handlers"], "stderr"]
    handlers["stderr"] = {"class": "logging.StreamHandler"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": FORMATTERS,
        "handlers": handlers,
        "loggers": loggers,
        "root": root,
    }


API_KEY, PROXY_KEY = "zq/7xw+vK<9 jZ", "qX~8:wzJ k%0vQ"
ECHO = f"{SECRET} {API_KEY} {PROXY_KEY} " + " ".join(
    b64encode(login.encode()).decode()
    for login in (f"{USER}:{SECRET}", f"{USER}:{API_KEY}", f"{USER}:{PROXY_KEY}")
)

ECHOES: dict[str, bytes] = {
    "/accounts/1/launchpads": PLACES["body"](ECHO),
    "/accounts/1/flows": PLACES["message"](ECHO),
    "/accounts/1/banners": PLACES["reason"](ECHO),
    "/accounts/1/checklists": PLACES["Location"](quote(ECHO, safe="")),
    "/accounts/1/pins": PLACES["no id"](ECHO),
    "/accounts/1/tags": PLACES["no timestamp"](ECHO),
    "/accounts/1/segments": PLACES["no chunk"](ECHO),
    "/v1/work-platforms": PLACES["Location elsewhere"](quote(ECHO, safe="")),
    "/v1/users": listing({"id": ECHO, ECHO: 1}, {"id": [ECHO]}),
    "/v1/accounts": PLACES["no timestamp"](ECHO),
    "/v1/profiles": PLACES["no header"](ECHO),
    "/v1/social/contents": PLACES["Retry-After"](ECHO),
    "/v1/social/income/transactions": PLACES["HTML with 200"](ECHO),
}


def echo_all(head: bytes) -> Iterator[bytes]:
    """Answer the first page of each listing, as the proxy, with the secrets in it."""
    url = urlsplit(head.split()[1].decode())
    is_first = "offset=" not in url.query or "offset=0" in url.query
    yield ECHOES.get(url.path, answer("410 Gone")) if is_first else answer("200 OK", b"[]")


def run_with_logging_config(folder: Path, level: str) -> dict[str, str]:
    """The logs of a run against a server that echoes all secrets, by their name."""
    (folder / "show_all.py").write_text(SHOW_ALL)
    (folder / "logging.yml").write_text(json.dumps(logging_config(folder, level)))
    with raw_server(echo_all) as url:
        config = {
            "client_id": USER,
            "client_secret": SECRET,
            "creator_api_url": "http://creator.example",
            "username": USER,
            "password": API_KEY,
            "account_id": "1",
            "experience_api_url": "http://experience.example",
            "max_retries": 0,
            "backoff_factor": 0,
        }
        (folder / "config.json").write_text(json.dumps(config))
        environment = {
            **os.environ,
            "SINGER_SDK_LOG_CONFIG": str(folder / "logging.yml"),
            "HTTP_PROXY": url.replace("//", f"//{USER}:{quote(PROXY_KEY, safe='')}@"),
            "PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}{os.pathsep}{folder}",
        }
        command = [sys.executable, "-m", "tap_analytics", "--config", "config.json"]
        done = subprocess.run(
            command, env=environment, cwd=folder, capture_output=True, check=False
        )
    assert done.returncode == 1, done.stderr
    logs = {path.stem: path.read_text() for path in folder.glob("*.log")}
    return {**logs, "stderr": done.stderr.decode()}


@pytest.mark.slow
@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_no_logging_configuration_makes_the_log_tell_credentials(
    tmp_path: Path, level: str
) -> None:
    logs = run_with_logging_config(tmp_path, level)
    assert len(logs) == len(LOGGERS) * len(FORMATTERS) + 1
    secrets = (SECRET, API_KEY, PROXY_KEY)
    headers = [b64encode(f"{USER}:{secret}".encode()).decode() for secret in secrets]
    # The headers begin alike, with the user.
    texts = [*secrets, *map(quote, secrets), *(header[20:] for header in headers)]
    parts = {text[at : at + 6] for text in texts for at in range(len(text) - 6)}
    for name, log in logs.items():
        assert "***" in log, name
        assert not {part for part in parts if part in log}, name
        # In the structured formatter's words, it is `traceback`.
        assert level == "DEBUG" or "raceback" not in log, name
    assert ("Traceback" in logs["root-plain"]) == (level == "DEBUG")
    for line in logs["root-json"].splitlines():
        assert json.loads(line)["message"]
    assert any(json.loads(line)["message"] == "METRIC" for line in logs["root-json"].splitlines())
    if level == "DEBUG":
        assert any("exception" in json.loads(line) for line in logs["root-json"].splitlines())
    redacted = [line for line in logs["root-plain"].splitlines() if "***" in line]
    # A `Retry-After` that can't be read is not told.
    for stream in {*STREAMS} - {"content_items"}:
        assert any(stream in line for line in redacted), stream


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs Linux")
def test_no_credential_is_an_argument_of_a_process() -> None:
    script = Path(sys.executable).with_name("tap-analytics-sandbox")
    code = (
        "import os, pathlib; print(*(pathlib.Path('/proc', str(pid), 'cmdline').read_bytes() "
        "for pid in (os.getpid(), os.getppid()))); print('TAP_ANALYTICS_PASSWORD' in os.environ)"
    )
    command = [str(script), "run", "--rows", "1", "--", sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert done.stdout.endswith("True\n")
    assert "--rows" in done.stdout


@pytest.mark.usefixtures("_debug")
def test_the_demo_tells_no_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tap_analytics.sandbox.demo._ROWS", 1)
    assert sandbox_main(["demo", "--to", str(tmp_path / "demo")]) == 0
    assert_no_leak("".join(capsys.readouterr()))
    for name in ("demo.log", "state.json", "analytics.duckdb"):
        assert_no_leak((tmp_path / "demo" / name).read_bytes())
    assert "DEBUG" in (tmp_path / "demo" / "demo.log").read_text()


# .netrc


@pytest.fixture(params=["NETRC", "HOME"])
def netrc(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials for every host that the tests know."""
    file = tmp_path / ".netrc"
    hosts = ("machine 127.0.0.1", "machine localhost", "default")
    file.write_text("".join(f"{host} login somebody password else\n" for host in hosts))
    file.chmod(0o600)
    monkeypatch.setenv(request.param, str(file if request.param == "NETRC" else tmp_path))
    assert get_netrc_auth("http://127.0.0.1") == ("somebody", "else")


def logins(sandbox: Sandbox) -> set[str]:
    headers = [str(request.headers["Authorization"]) for request in sandbox.requests]
    return {b64decode(header.removeprefix("Basic ")).decode() for header in headers}


@pytest.mark.usefixtures("netrc")
def test_credentials_are_those_of_the_settings_not_those_of_a_netrc_file(
    run_tap: RunTap, sandbox: Sandbox
) -> None:
    sandbox.intercept = lambda request: (
        Reply(status=307, headers={"Location": request.path + "?limit=10&offset=0&moved=1"})
        if "moved" not in request.query and request.query["offset"] == "0"
        else None
    )
    assert run_tap(only("creator", sandbox)).status == 0
    assert logins(sandbox) == {"sandbox-client-id:sandbox-client-secret"}
    assert any("moved" in request.query for request in sandbox.requests)


@pytest.mark.usefixtures("netrc")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_no_redirect_is_followed_with_credentials_of_a_netrc_file(
    run_tap: RunTap, sandbox: Sandbox, host: str
) -> None:
    with Sandbox() as other:
        url = other.url.replace("127.0.0.1", host)
        sandbox.intercept = lambda request: Reply(
            status=302, headers={"Location": url + request.path}
        )
        run = run_tap(only("creator", sandbox))
        assert run.status == 1
        assert other.requests == []
        assert len(run.errors) == len(CREATOR_STREAMS)
        for error in run.errors:
            assert f" redirects to {url}, where credentials are not sent" in error


# TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(bundle)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))


@contextmanager
def tls(certificate: trustme.LeafCert) -> Iterator[tuple[Sandbox, dict[str, Any]]]:
    """Serve with a certificate; the settings are those to reach it by https."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)

    class TLSServer(Server):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.socket = context.wrap_socket(self.socket, server_side=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tap_analytics.sandbox.endpoint.Server", TLSServer)
        with Sandbox(rows=25) as sandbox:
            url = sandbox.url.replace("http:", "https:")
            yield sandbox, only("creator", sandbox, creator_api_url=url, max_retries=0)


def assert_complete(run: Run, sandbox: Sandbox) -> None:
    assert run.status == 0, run.log
    assert {message["stream"] for message in run.of_type("SCHEMA")} >= set(CREATOR_STREAMS)
    for stream in {message["stream"] for message in run.of_type("SCHEMA")}:
        assert run.ids(stream) == [record["id"] for record in sandbox.data[stream]]


@pytest.mark.usefixtures("trusted")
def test_all_arrives_by_https_from_who_has_a_certificate_of_a_trusted_authority(
    run_tap: RunTap, authority: trustme.CA
) -> None:
    with tls(authority.issue_cert("127.0.0.1")) as (sandbox, settings):
        assert_complete(run_tap(settings), sandbox)


def assert_names_all(run: Run) -> None:
    """Assert that the errors name each stream: an API that can't be reached is given up."""
    for stream in CREATOR_STREAMS:
        assert any(stream in error for error in run.errors), stream


def assert_untrusted(run: Run, sandbox: Sandbox, reason: str) -> None:
    assert run.status == 1
    assert sandbox.requests == []
    assert run.of_type("RECORD") == []
    (error,) = run.errors
    assert ": no answer from 127.0.0.1" in error
    assert "certificate verify failed" in error
    assert reason in error
    assert_names_all(run)
    assert "Traceback" not in run.log


def test_nothing_is_asked_of_who_has_one_of_an_unknown_authority(
    run_tap: RunTap, authority: trustme.CA
) -> None:
    with tls(authority.issue_cert("127.0.0.1")) as (sandbox, settings):
        assert_untrusted(run_tap(settings), sandbox, "unable to get local issuer certificate")


@pytest.mark.usefixtures("trusted")
def test_nothing_is_asked_of_who_has_one_for_another_host(
    run_tap: RunTap, authority: trustme.CA
) -> None:
    with tls(authority.issue_cert("localhost", "example.com")) as (sandbox, settings):
        assert_untrusted(run_tap(settings), sandbox, "certificate is not valid for '127.0.0.1'")


@pytest.mark.usefixtures("trusted")
def test_nothing_is_asked_of_who_has_one_that_has_expired(
    run_tap: RunTap, authority: trustme.CA
) -> None:
    expired = authority.issue_cert("127.0.0.1", not_after=datetime(2020, 1, 1, tzinfo=UTC))
    with tls(expired) as (sandbox, settings):
        assert_untrusted(run_tap(settings), sandbox, "certificate has expired")


# Proxies

PROXY_USER = "proxy@user"
PROXY_SECRET = "pä:ss/of%my g8way"  # noqa: S105
PROXY_LOGIN = f"{quote(PROXY_USER, safe='')}:{quote(PROXY_SECRET, safe='')}"
PROXY_HEADER = "Basic " + b64encode(f"{PROXY_USER}:{PROXY_SECRET}".encode("latin-1")).decode()


class Proxy(ThreadingHTTPServer):
    """A proxy on loopback.

    Attributes:
        url: Where it is, without credentials.
        seen: Method, target, and what the headers tell: to the proxy, and to the server.
        error: If set, the reason phrase and body of the 407 that answers everything.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _ProxyHandler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.seen: list[tuple[str, str, str | None, str | None]] = []
        self.error = ""

    def with_login(self, login: str = PROXY_LOGIN) -> str:
        return self.url.replace("//", f"//{login}@")


class _ProxyHandler(BaseHTTPRequestHandler):
    server: Proxy

    def _has_failed(self) -> bool:
        told = self.headers["Proxy-Authorization"], self.headers["Authorization"]
        self.server.seen.append((self.command, self.path, *told))
        if self.server.error:
            self._send(f"407 {self.server.error}", self.server.error)
        return bool(self.server.error)

    def _send(self, status: str, body: str | bytes) -> None:
        # Else the client would go on to speak where nobody listens any more.
        self.wfile.write(answer(status, body, "Connection: close"))

    def do_GET(self) -> None:
        if self._has_failed():
            return
        target = urlsplit(self.path)
        server = HTTPConnection(target.netloc)
        del self.headers["Connection"]
        server.request("GET", f"{target.path}?{target.query}", headers=dict(self.headers))
        with server.getresponse() as response:
            self._send(f"{response.status} {response.reason}", response.read())
        server.close()

    def do_CONNECT(self) -> None:
        if self._has_failed():
            return
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port))) as server:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pass_on, args=(server, self.connection), daemon=True)
            back.start()
            _pass_on(self.connection, server)
            back.join(10)

    @override
    def log_message(self, *args: Any) -> None:
        """Say nothing."""


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def assert_secret(run: Run) -> None:
    """Assert that credentials of the proxy aren't told."""
    shown = run.log + run.output.decode()
    for text in (PROXY_SECRET, quote(PROXY_SECRET, safe=""), PROXY_HEADER[6:]):
        assert not [part for at in range(len(text) - 6) if (part := text[at : at + 6]) in shown]


@pytest.mark.usefixtures("_debug")
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_is_asked_for_http(
    run_tap: RunTap,
    sandbox: Sandbox,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    if variable == "HTTP_PROXY":
        # Not to be had in what looks like a CGI script.
        monkeypatch.delenv("REQUEST_METHOD", raising=False)
    monkeypatch.setenv(variable, proxy.with_login())
    run = run_tap(only("creator", sandbox))
    assert_complete(run, sandbox)
    asked = {f"{sandbox.url}{r.path}?{urlencode(r.query)}" for r in sandbox.requests}
    assert asked
    assert asked <= {target for _, target, *_ in proxy.seen}
    assert {told for *_, told, _ in proxy.seen} == {PROXY_HEADER}
    assert_secret(run)


@pytest.mark.usefixtures("_debug", "trusted")
def test_a_tunnel_of_a_proxy_is_taken_for_https(
    run_tap: RunTap, authority: trustme.CA, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.with_login())
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with tls(authority.issue_cert("127.0.0.1")) as (sandbox, settings):
        run = run_tap(settings)
        assert_complete(run, sandbox)
        target = sandbox.url.removeprefix("http://")
        assert set(proxy.seen) == {("CONNECT", target, PROXY_HEADER, None)}
        assert not any(request.headers["Proxy-Authorization"] for request in sandbox.requests)
    assert_secret(run)


def test_a_certificate_is_verified_through_a_tunnel_too(
    run_tap: RunTap, authority: trustme.CA, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.with_login())
    with tls(authority.issue_cert("127.0.0.1")) as (sandbox, settings):
        run = run_tap(settings)
        assert_untrusted(run, sandbox, "unable to get local issuer certificate")
    assert proxy.seen
    assert_secret(run)


@pytest.mark.parametrize("hosts", ["127.0.0.1", "example.com,127.0.0.0/8", "*"])
def test_no_proxy_is_asked_for_hosts_that_need_none(
    run_tap: RunTap, sandbox: Sandbox, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, hosts: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.with_login())
    monkeypatch.setenv("NO_PROXY", hosts)
    assert_complete(run_tap(only("creator", sandbox)), sandbox)
    assert proxy.seen == []


@pytest.mark.usefixtures("_debug")
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("echo", [PROXY_HEADER, PROXY_SECRET, PROXY_LOGIN])
def test_a_proxy_that_answers_407_is_an_error_without_its_credentials(
    run_tap: RunTap,
    sandbox: Sandbox,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
    echo: str,
) -> None:
    proxy.error = f"Not with {echo}"
    monkeypatch.setenv(f"{scheme.upper()}_PROXY", proxy.with_login())
    url = sandbox.url.replace("http:", f"{scheme}:")
    run = run_tap(only("creator", sandbox, creator_api_url=url, max_retries=1))
    assert run.status == 1
    assert sandbox.requests == []
    assert_names_all(run)
    assert all("407 Not with " in error and "***" in error for error in run.errors)
    assert_secret(run)


@pytest.mark.usefixtures("_debug")
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "url", ["http://{login}@127.0.0.1:9", "{login}@127.0.0.1:9", "http://{bare}@127.0.0.1:9"]
)
def test_a_proxy_that_is_not_there_is_an_error_without_its_credentials(
    run_tap: RunTap, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, scheme: str, url: str
) -> None:
    proxy = url.format(login=PROXY_LOGIN, bare=f"{PROXY_USER}:{PROXY_SECRET}")
    monkeypatch.setenv("ALL_PROXY", proxy)
    address = sandbox.url.replace("http:", f"{scheme}:")
    run = run_tap(only("creator", sandbox, creator_api_url=address, max_retries=0))
    assert run.status == 1
    assert_names_all(run)
    assert all(" no answer from 127.0.0.1" in error for error in run.errors)
    assert_secret(run)


# Forged lines and endless ones

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} \| [A-Z]+ +\| ")
TABLE = {"stream", *CREATOR_STREAMS, "total"}
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def assert_unforged(run: Run, longest: int = MAX_LINE + 100) -> None:
    assert not CONTROL.search(run.log)
    assert "1999-01-01" not in {line[:10] for line in run.log.split("\n")}
    assert max(map(len, run.log.split("\n"))) <= longest


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
@pytest.mark.parametrize("place", PLACES)
def test_no_server_can_forge_a_line_or_write_an_endless_one(
    run_tap: RunTap, monkeypatch: pytest.MonkeyPatch, place: str, level: str
) -> None:
    monkeypatch.setenv("TAP_ANALYTICS_LOGLEVEL", level)
    is_json = place in {"message", "no record", "no id", "another id", "no timestamp"}
    text = FORGED if is_json or "body" in place or "HTML" in place else FORGED_LINE
    run = run_against(run_tap, PLACES[place](f"text {text}" + "x" * 5000), max_retries=1)
    assert run.status == (place != "no timestamp")
    assert_unforged(run)
    if level == "INFO":
        assert all(LINE.match(line) or line.split()[0] in TABLE for line in run.log.splitlines())


@pytest.mark.parametrize("place", PLACES)
def test_no_error_is_endless(run_tap: RunTap, place: str) -> None:
    run = run_against(run_tap, PLACES[place]("x" * 5000))
    assert run.status == (place != "no timestamp")
    assert all(len(line) <= 800 for line in run.errors + run.warnings)


RECORDS: dict[str, dict[str, object]] = {
    "of a record without a bookmark": {"id": FORGED + "x" * 5000},
    "of a record with damaged text": {"id": FORGED + "x" * 5000, "name": "\ud83d"},
    "of a record with a wrong time": {"id": FORGED + "x" * 5000, "updated_at": FORGED},
    "of a new field": {"id": "1", FORGED + "x" * 5000: 1},
}


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_no_id_or_name_can_forge_a_line(
    run_tap: RunTap, monkeypatch: pytest.MonkeyPatch, record: dict[str, object], level: str
) -> None:
    monkeypatch.setenv("TAP_ANALYTICS_LOGLEVEL", level)
    run = run_against(run_tap, listing(record))
    assert run.status == 0
    assert any("forged" in warning for warning in run.warnings)
    assert_unforged(run, 800)


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_no_id_of_an_account_can_forge_a_line(
    run_tap: RunTap, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    monkeypatch.setenv("TAP_ANALYTICS_LOGLEVEL", level)

    def forbid(request: Request) -> Reply | None:
        if "account_id" in request.query:
            return Reply(status=403, body=FORGED)
        return Reply.json([{"id": FORGED}]) if request.query["offset"] == "0" else Reply.json([])

    sandbox.intercept = forbid
    run = run_tap(only("creator", sandbox, content_by_account=True))
    assert run.status == 1
    assert "all is lost" in run.errors[-1]
    assert_unforged(run)
