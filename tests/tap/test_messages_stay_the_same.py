"""The messages are those of a reference, byte for byte but for times.

See `golden.py` for what the reference holds and how to make it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from golden import WAYS, summarize_way

if TYPE_CHECKING:
    from runs import RunTap

REFERENCE = json.loads(Path(__file__).with_name("messages.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("way", WAYS)
def test_the_messages_are_those_of_the_reference(run_tap: RunTap, way: str) -> None:
    assert summarize_way(way, run_tap) == REFERENCE[way]
