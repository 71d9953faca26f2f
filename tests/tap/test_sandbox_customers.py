"""A sandbox of several customers, on an address that other machines may reach."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tap_analytics.sandbox import Sandbox
from tap_analytics.sandbox.__main__ import main
from tap_analytics.sandbox.data import BUILDERS
from tap_analytics.sandbox.exchange import encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runs import RunTap

SERVE = [str(Path(sys.executable).with_name("tap-analytics-sandbox")), "serve"]
SIZES = {"": 3, "acme": 4, "globex": 12}
UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture(params=[False, True], ids=["still", "live"])
def shared(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with Sandbox(SIZES[""], live=request.param) as sandbox:
        for name in ("acme", "globex"):
            sandbox.customers.add(name, SIZES[name])
        yield sandbox


def users(settings: dict[str, Any], **changed: str) -> requests.Response:
    login = settings | changed
    return requests.get(
        f"{login['creator_api_url']}/v1/users",
        auth=(login["client_id"], login["client_secret"]),
        timeout=5,
    )


def test_each_customer_gets_its_own_records_and_the_tap_finds_them(
    shared: Sandbox, run_tap: RunTap
) -> None:
    for name, service in shared.customers.items():
        run = run_tap(
            service.settings(shared.url) | {"content_by_account": False, "max_retries": 0}
        )
        for stream in ("users", "accounts", "tags"):
            assert len(run.ids(stream)) == SIZES[name]
            assert set(run.ids(stream)) == {r["id"] for r in service.store.data[stream]}


def test_no_two_customers_have_an_id_in_common(shared: Sandbox) -> None:
    shared.advance()
    ids = [
        {found for made in BUILDERS for found in UUID.findall(encode(service.store.data[made]))}
        for service in shared.customers.values()
    ]
    assert all(ids)
    assert len(set.union(*ids)) == sum(map(len, ids))


def test_a_customer_is_served_the_same_in_every_process(shared: Sandbox) -> None:
    again = Sandbox(live=shared.customers.first.life is not None).customers.add("acme", 4)
    for resource in BUILDERS:
        assert again.store.data[resource] == shared.customers["acme"].store.data[resource]


def test_one_customer_with_the_secret_of_another_is_refused(shared: Sandbox) -> None:
    acme, globex = (shared.customers[name].settings(shared.url) for name in ("acme", "globex"))
    assert users(acme).status_code == 200
    assert users(acme, client_secret=globex["client_secret"]).status_code == 401
    assert users(acme, client_secret=shared.settings["client_secret"]).status_code == 401


@contextmanager
def serving(*options: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [*SERVE, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


def read_configuration(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    assert process.stdout
    text = b"".join(iter(process.stdout.readline, b"}\n"))
    configuration: dict[str, Any] = json.loads(text + b"}")
    return configuration


def test_serve_prints_the_configuration_of_each_customer_under_its_name() -> None:
    with serving("--customer", "acme=4", "--customer", "globex=5") as process:
        printed = read_configuration(process)
        assert [*printed] == ["acme", "globex"]
        assert len(users(printed["acme"]).json()["data"]) == 4
        assert len(users(printed["globex"]).json()["data"]) == 5
        assert process.stderr
        assert b"WARNING" not in process.stderr.readline()


def test_serve_warns_if_other_machines_may_reach_it() -> None:
    # The loopback range is the only one that every machine has.
    with serving("--host", "127.0.0.2") as process:
        printed = read_configuration(process)
        assert printed["creator_api_url"].startswith("http://127.0.0.2:")
        assert users(printed).status_code == 200
        assert process.stderr
        assert b"WARNING: other machines may reach it" in process.stderr.readline()
        assert b"listening on http://127.0.0.2:" in process.stderr.readline()


def test_serve_says_that_an_address_is_not_this_machines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Of a range that is for documentation.
    assert main(["serve", "--host", "203.0.113.1"]) == 1
    assert "can't listen: Cannot assign requested address" in capsys.readouterr().err


@pytest.mark.parametrize("customer", ["acme", "=3", "a:b=3", "acme=-1", "acme=x", "a b=1"])
def test_a_customer_without_a_proper_name_or_number_is_a_usage_error(
    customer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--customer", customer])
    assert ended.value.code == 2
    assert "argument --customer: must be" in capsys.readouterr().err
