"""The SDK's own tests of a tap, over the sandbox."""

from __future__ import annotations

from collections.abc import Iterator  # noqa: TC003 - evaluated by pytest

import pytest
from singer_sdk.testing import SuiteConfig, get_tap_test_class

from tap_analytics.sandbox import Sandbox
from tap_analytics.tap import TapAnalytics

# The classes are made before a server runs. That takes credentials, but no right ones: the fixture
# sets those of the running sandbox before the first request.
_names = ("username", "password", "account_id", "client_id", "client_secret")
_whole: dict[str, object] = dict.fromkeys(_names, "set-later")
_per_account: dict[str, object] = {**_whole, "content_by_account": True, "all_streams": True}


@pytest.fixture(scope="module", autouse=True)
def _sandboxes() -> Iterator[None]:
    with Sandbox(rows=25) as whole, Sandbox(rows=25) as per_account:
        _whole.update(whole.settings)
        _per_account.update(per_account.settings)
        yield


TestTap = get_tap_test_class(
    TapAnalytics,
    config=_whole,
    suite_config=SuiteConfig(max_records_limit=None),
)

TestTapPerAccount = get_tap_test_class(
    TapAnalytics,
    config=_per_account,
    suite_config=SuiteConfig(max_records_limit=None),
)
