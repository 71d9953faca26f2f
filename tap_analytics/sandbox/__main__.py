# ruff: noqa: T201 - a command line prints
"""The command line: `tap-analytics-sandbox run`, `serve` and `demo`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from tap_analytics.sandbox.server import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

_LOOPBACK = "127.0.0.1"
_NOT_FOUND = 127
_NOT_EXECUTABLE = 126


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: The arguments after the program's name. The default is those of this process.

    Returns:
        The exit code.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    # argparse would take options from the command's own arguments.
    end = given.index("--") if "--" in given else len(given)
    parser = _make_parser()
    options = parser.parse_args(given[:end])
    command = given[end + 1 :]
    if command and options.action != "run":
        parser.error(f"{options.action} takes no COMMAND")
    if options.action != "demo" and options.churn and not options.live:
        parser.error("--churn needs --live")
    match options.action:
        case "run":
            if not command:
                parser.error("run needs a COMMAND after --")
            return _run(_make_sandbox(options), command)
        case "serve":
            return _serve(_make_sandbox(options), options)
        case _:
            # Only the demo needs more than the standard library.
            from tap_analytics.sandbox.demo import demo  # noqa: PLC0415

            try:
                return demo(options.to)
            except KeyboardInterrupt:
                return 128 + signal.SIGINT


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tap-analytics-sandbox", description="A local stand-in for both analytics APIs."
    )
    service = _make_service_parser()
    actions = parser.add_subparsers(dest="action", required=True)
    run = actions.add_parser(
        "run",
        parents=[service],
        usage="%(prog)s [options] -- COMMAND ...",
        help="run a command with the settings in TAP_ANALYTICS_*, and return its exit code",
    )
    run.set_defaults(host=_LOOPBACK, port=0, customers=[])
    serve = actions.add_parser(
        "serve", parents=[service], help="print a configuration and stay up until interrupted"
    )
    _add_address(serve)
    demo = actions.add_parser("demo", help="extract everything into a DuckDB file; again for a day")
    demo.add_argument(
        "--to",
        type=Path,
        default=Path("tap-analytics-demo"),
        metavar="DIR",
        help="folder for the results [tap-analytics-demo]",
    )
    return parser


def _add_address(serve: argparse.ArgumentParser) -> None:
    add = serve.add_argument
    add(
        "--host",
        default=_LOOPBACK,
        help=f"address to listen on [{_LOOPBACK}, which only this machine reaches]",
    )
    add("--port", type=_number(0, 65_535), default=0, metavar="N", help="port [a free one]")
    add(
        "--customer",
        type=_customer,
        dest="customers",
        action="append",
        default=[],
        metavar="NAME=N",
        help="serve N records per resource to a customer with credentials of its own, and print "
        "its configuration under its name; once for each customer",
    )


def _make_service_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    add = parser.add_argument
    add("--rows", type=_number(0), default=25, metavar="N", help="records per resource [25]")
    add("--latency", type=_number(0), default=0, metavar="MS", help="milliseconds per answer [0]")
    add("--rate-limit", type=_number(1), metavar="N", help="requests a second per API [no limit]")
    add(
        "--fail-rate",
        type=_share,
        default=0.0,
        metavar="SHARE",
        help="0 to 1 that fail; 1: always [0]",
    )
    add("--live", action="store_true", help="answer as the live services where the seeds differ")
    add(
        "--churn",
        type=_share,
        default=0.0,
        metavar="RATE",
        help="share of requests, 0 to 1, before which accounts or content change; needs --live [0]",
    )
    add("--day", type=_number(0), default=0, metavar="N", help="days that have passed [0]")
    return parser


def _number(least: int, most: int | None = None) -> Callable[[str], int]:
    def parse(text: str) -> int:
        number = int(text) if text.isascii() and text.isdigit() else -1
        if number < least or (most is not None and number > most):
            upper = "or more" if most is None else f"to {most}"
            message = f"must be a whole number, {least} {upper}: {text!r}"
            raise argparse.ArgumentTypeError(message)
        return number

    return parse


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        message = f"must be a number from 0 to 1: {text!r}"
        raise argparse.ArgumentTypeError(message)
    return share


def _customer(text: str) -> tuple[str, int]:
    name, _, rows = text.partition("=")
    if not name.replace("_", "a").isalnum():
        message = f"must be a name, =, and a number: {text!r}"
        raise argparse.ArgumentTypeError(message)
    return name, _number(0)(rows)


def _make_sandbox(options: argparse.Namespace) -> Sandbox:
    sandbox = Sandbox(
        options.rows,
        latency=options.latency,
        rate_limit=options.rate_limit,
        fail_rate=options.fail_rate,
        live=options.live,
        churn=options.churn,
        day=options.day,
        host=options.host,
        port=options.port,
    )
    for name, rows in options.customers:
        sandbox.customers.add(name, rows)
    return sandbox


def _run(sandbox: Sandbox, command: list[str]) -> int:
    child: subprocess.Popen[bytes] | None = None

    def forward(number: int, _: FrameType | None) -> None:
        if child is None:
            sys.exit(128 + number)
        # Ctrl-C in a terminal reaches the command too. A second signal would cut its end short.
        if number != signal.SIGINT or not os.isatty(0):
            child.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, forward)
    with sandbox:
        try:
            child = subprocess.Popen(  # noqa: S603 - the user's own command
                command, env=os.environ | sandbox.environment
            )
        except FileNotFoundError:
            return _fail(f"command not found: {command[0]}", _NOT_FOUND)
        except OSError as error:
            return _fail(f"{command[0]} can't be run: {error.strerror}", _NOT_EXECUTABLE)
        status = child.wait()
    return 128 - status if status < 0 else status


def _serve(sandbox: Sandbox, options: argparse.Namespace) -> int:
    stopped = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    try:
        sandbox.start()
    except OSError as error:
        return _fail(f"can't listen: {error.strerror}", 1)
    by_name = {name: sandbox.customers[name].settings(sandbox.url) for name, _ in options.customers}
    print(json.dumps(by_name or sandbox.settings, indent=2), flush=True)
    if options.host != _LOOPBACK:
        print(
            "tap-analytics-sandbox: WARNING: other machines may reach it, its credentials are "
            "known, and nothing is encrypted",
            file=sys.stderr,
        )
    print(f"tap-analytics-sandbox: listening on {sandbox.url}", file=sys.stderr, flush=True)
    stopped.wait()
    sandbox.stop()
    return 0


def _fail(message: str, status: int) -> int:
    print(f"tap-analytics-sandbox: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
