"""Over any series of syncs against services that go on living, nothing is lost."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

import pytest
from histories import History, describe, histories
from hypothesis import HealthCheck, given, settings
from known_losses import KNOWN_LOSSES
from living_server import LivingServer
from player import Player

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HISTORIES = 44
"""How many histories are played, unless the option `--histories` says otherwise."""

SHARDS = 4
"""How many tests the histories are shared out to, for them to run side by side."""

PATIENCE = 45
"""Seconds for which a history is made shorter in which something was lost."""


@pytest.fixture(scope="module")
def server() -> Iterator[LivingServer]:
    with LivingServer() as running:
        yield running


@pytest.mark.parametrize("shard", range(SHARDS))
def test_nothing_is_lost_over_any_series_of_syncs(
    pytestconfig: pytest.Config, server: LivingServer, tmp_path: Path, shard: int
) -> None:
    del shard
    losses: dict[str, list[str]] = {}
    ends: list[float] = []

    @settings(
        max_examples=max(1, pytestconfig.getoption("histories", HISTORIES) // SHARDS),
        suppress_health_check=list(HealthCheck),
        deadline=None,
        report_multiple_bugs=False,
    )
    @given(histories)
    def play(history: History) -> None:
        text = describe(history)
        # What has failed fails again, though threads may race otherwise another time; and when
        # it has been made short for long enough, the shortest so far will do.
        if text not in losses and not (ends and monotonic() > ends[0]):
            losses[text] = Player(history, server, tmp_path).play()
        broken = losses.get(text)
        if broken and not ends:
            ends.append(monotonic() + PATIENCE)
        assert not broken, "\n".join([*broken, "", text])

    play()


@pytest.mark.parametrize("history", KNOWN_LOSSES.values(), ids=KNOWN_LOSSES.keys())
def test_nothing_is_lost_where_it_was_once(
    server: LivingServer, tmp_path: Path, history: History
) -> None:
    broken = Player(history, server, tmp_path).play()
    assert not broken, "\n".join([*broken, "", describe(history)])
