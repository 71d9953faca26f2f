"""The SDK's own tests of a tap, over the sandbox."""

from __future__ import annotations

from collections.abc import Iterator  # noqa: TC003 - evaluated by pytest

import pytest
from singer_sdk.testing import SuiteConfig, get_tap_test_class

from tap_analytics.sandbox import Sandbox
from tap_analytics.tap import TapAnalytics

# The settings are needed when the classes are made; the servers run while their tests do.
_whole = Sandbox(rows=25)
_per_account = Sandbox(rows=25, live=True)
for _sandbox in (_whole, _per_account):
    _sandbox.start()


@pytest.fixture(scope="session", autouse=True)
def _stop_sandboxes() -> Iterator[None]:
    yield
    _whole.stop()
    _per_account.stop()


TestTap = get_tap_test_class(
    TapAnalytics,
    config=_whole.settings,
    suite_config=SuiteConfig(max_records_limit=None),
)

TestTapPerAccount = get_tap_test_class(
    TapAnalytics,
    config={**_per_account.settings, "content_by_account": True},
    suite_config=SuiteConfig(max_records_limit=None),
)
