"""Pages overlap by one record. That shows whether a listing has shifted between two of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_analytics.listing.seen import id_of

if TYPE_CHECKING:
    from tap_analytics.listing.seen import SeenVersions


class Overlap:
    """Says whether a page goes on where the page before it ended.

    A record deleted on the server moves all later ones up by one. A page that begins where the
    page before ended would then skip one. With an overlap, such a page lacks the record that it
    should begin with.
    """

    def __init__(self, seen: SeenVersions) -> None:
        """Start before the first page, where nothing overlaps.

        Args:
            seen: The versions seen in the listing.
        """
        self._seen = seen
        self._due: str | None = None
        # Whether records farther on have been read before.
        self._is_known = False

    @property
    def is_due(self) -> bool:
        """Whether the next page should begin with a known record."""
        return self._due is not None

    def reset(self) -> None:
        """Begin at the first record again."""
        self._due = None

    def go_back(self, offset: int) -> None:
        """Go back to an earlier page. Any known record in it proves that nothing is skipped.

        Args:
            offset: The offset of the next page. Nothing comes before the first record.
        """
        self._is_known = False
        if not offset:
            self.reset()

    def end_page(self, records: list[Any], *, is_known: bool = False) -> None:
        """Note the page that the next one overlaps with, by one record.

        Args:
            records: The page's records, at least one.
            is_known: Whether paging has gone back, and found nothing new since. A known record may
                then lie beyond one that was skipped.
        """
        self._due, self._is_known = id_of(records[-1]), is_known

    def is_continued_by(
        self, records: list[Any], versions: list[int], *, is_sent_ahead: bool
    ) -> bool:
        """Return whether nothing lies between a page and the pages before it.

        Args:
            records: The page's records.
            versions: The version of each.
            is_sent_ahead: Whether the page may have been answered before the page before it.

        Returns:
            True if nothing is due, or the page begins with what is. A page asked for in its turn
            may also hold any version seen in this pass: unchanged records keep their order, so
            no record between them has been skipped.
        """
        if self._due is None or (records and id_of(records[0]) == self._due):
            return True
        is_lax = not (is_sent_ahead or self._is_known)
        return is_lax and self._seen.is_any_of_this_pass(versions)
