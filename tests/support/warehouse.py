"""A loader that upserts, and the warehouse that it loads into."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from plain import Plain


@dataclass(frozen=True, repr=False)
class Loading(Plain):
    """How far a loader came, in thousandths of the tap's output.

    Attributes:
        arrived: How much of it arrived, cut after any message.
        flushed: How much of that had been written when it last flushed everything.
        writes_on: Whether it has written the rest of what arrived as well.
    """

    arrived: int = 1000
    flushed: int = 1000
    writes_on: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether everything was loaded."""
        return self.arrived == self.flushed == 1000


@dataclass(frozen=True, slots=True)
class Held:
    """A row of the warehouse.

    Attributes:
        revision: As the API calls it.
        load: Which load it came with. A version is only compared with others of one load, as
            versions may be told in seconds, and tests go faster than that.
        version: The version of its table.
    """

    revision: int
    load: int
    version: int | None


@dataclass
class Warehouse:
    """What is held of each stream, and the state up to which that is confirmed.

    Attributes:
        tables: By stream and primary key.
        state: The value of the last STATE message that everything before it was written for.
        keys: The names of the primary key's fields, by stream.
        loads: How many loads there have been.
    """

    tables: dict[str, dict[tuple[Any, ...], Held]] = field(default_factory=dict)
    state: dict[str, Any] | None = None
    keys: dict[str, list[str]] = field(default_factory=dict)
    loads: int = 0

    def copy(self) -> Warehouse:
        """Return a warehouse of its own with the same in it."""
        tables = {stream: dict(rows) for stream, rows in self.tables.items()}
        return Warehouse(tables, deepcopy(self.state), dict(self.keys), self.loads)

    def load(self, messages: list[dict[str, Any]], loading: Loading | None = None) -> None:
        """Load messages, all or as far as a loader came."""
        loading = loading or Loading()
        self.loads += 1
        arrived = len(messages) * loading.arrived // 1000
        flushed = arrived * loading.flushed // 1000
        for number, message in enumerate(messages[:arrived]):
            is_flushed = number < flushed
            if message["type"] == "STATE":
                if is_flushed:
                    self.state = message["value"]
            elif is_flushed or loading.writes_on:
                self._write(message)

    def _write(self, message: dict[str, Any]) -> None:
        stream = message.get("stream", "")
        table = self.tables.setdefault(stream, {})
        match message["type"]:
            case "SCHEMA":
                self.keys[stream] = message["key_properties"]
            case "RECORD":
                record = message["record"]
                key = tuple(record[name] for name in self.keys[stream])
                table[key] = Held(record.get("revision", 0), self.loads, message.get("version"))
            case "ACTIVATE_VERSION":
                current = (self.loads, message["version"])
                self.tables[stream] = {
                    key: held for key, held in table.items() if (held.load, held.version) == current
                }

    def held(self, stream: str, key: str) -> int:
        """Return the revision that is held of a record, 0 if it isn't held."""
        held = self.tables.get(stream, {}).get((key,))
        return held.revision if held else 0

    def ids(self, stream: str) -> set[str]:
        """Return the keys of the records that are held."""
        return {key for (key,) in self.tables.get(stream, {})}


def parse(output: bytes) -> list[dict[str, Any]]:
    """Return the messages in a tap's output."""
    return [json.loads(line) for line in output.splitlines()]
