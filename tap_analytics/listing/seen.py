"""Which records of a listing have been read, in which version."""

from __future__ import annotations

from typing import Any

MEMORY = 10_000
"""How many versions are kept where a listing is read once: enough to find the overlap of pages."""


def version_of(record: object) -> int:
    """Return a number for a record in the version that the API lists.

    Args:
        record: What stands in the listing, as it came.

    Returns:
        A hash of `id` and `updated_at`, which costs a tenth of the memory of both, or of all that
        there is if one is missing. The text "1" and the number 1 differ.
    """
    if isinstance(record, dict) and record.get("updated_at") is not None:
        return hash(f"{record.get('id')!r} {record['updated_at']!r}")
    return hash(repr(record))


def id_of(record: object) -> str:
    """Return a text that identifies a record in all of its versions.

    Args:
        record: What stands in the listing, as it came.

    Returns:
        A text that is the same for the same record.
    """
    return repr(record.get("id") if isinstance(record, dict) else record)


class SeenVersions:
    """The versions of records that a listing has shown, and in which pass each was last seen.

    A pass is one reading from the beginning. Pass 0 reads the whole listing, later passes look for
    what has moved to the front meanwhile.
    """

    def __init__(self, capacity: int | None = MEMORY) -> None:
        """Start empty.

        Args:
            capacity: How many of the latest versions are kept, None for all.
        """
        self._capacity = capacity
        self._passes: dict[int, int] = {}
        self._pass = 0
        self._found: set[int] = set()

    def begin_pass(self) -> None:
        """Begin to read from the beginning again."""
        self._pass += 1
        self._found.clear()

    @property
    def passes(self) -> int:
        """How many passes have begun after the first."""
        return self._pass

    def is_any_of_this_pass(self, versions: list[int]) -> bool:
        """Return whether one of the versions has been seen in this pass."""
        return any(self._passes.get(version) == self._pass for version in versions)

    def are_all_older(self, versions: list[int]) -> bool:
        """Return whether all of the versions had been seen before this pass began."""
        return all(version in self._passes and version not in self._found for version in versions)

    def add(self, records: list[Any], versions: list[int]) -> list[Any]:
        """Add the records of a page.

        Args:
            records: The records.
            versions: The version of each.

        Returns:
            The records that are new, in their order.
        """
        passes = self._passes
        # Compared before any is added: a page may hold several records of one id and timestamp.
        new = [
            record
            for record, version in zip(records, versions, strict=True)
            if version not in passes
        ]
        for version in versions:
            if version not in passes:
                if self._pass:
                    self._found.add(version)
            elif self._capacity is not None:
                # The order of a dictionary is that of insertion: the oldest leave first.
                del passes[version]
            passes[version] = self._pass
        if self._capacity is not None:
            while len(passes) > self._capacity:
                del passes[next(iter(passes))]
        return new
