"""What the summary of a sync says, to people and to programs."""

from __future__ import annotations

from tap_analytics.singer.statistics import StreamStatistics
from tap_analytics.singer.summary import fields_of, table_of


def test_the_table_has_a_line_per_stream_and_the_totals() -> None:
    users = StreamStatistics("users", 1_000_000, 20, 3, 4, 7, 5.678)
    incomes = StreamStatistics("social_income_transactions", 1, 1)
    assert table_of([users, incomes]).splitlines() == [
        "stream                       records requests retries throttled skipped seconds",
        "users                        1000000       20       3         4       7    5.68",
        "social_income_transactions         1        1       0         0       0    0.00",
        "total                        1000001       21       3         4       7    5.68",
    ]


def test_the_summary_has_fields_for_each_stream_and_the_totals() -> None:
    users = StreamStatistics("users", 1_000_000, 20, 3, 4, 7, 5.6784)
    flows = StreamStatistics("flows", requests=1, has_failed=True)
    counts = {"records": 1_000_000, "retries": 3, "throttled": 4, "skipped": 7, "seconds": 5.678}
    nothing = dict.fromkeys(counts, 0)
    assert fields_of([users, flows], has_failed=True) == {
        "users": {**counts, "requests": 20, "status": "succeeded"},
        "flows": {**nothing, "requests": 1, "status": "failed"},
        "total": {**counts, "requests": 21, "status": "failed"},
    }


def test_a_sync_may_fail_though_no_stream_does() -> None:
    summary = fields_of([StreamStatistics("users")], has_failed=True)
    assert [fields["status"] for fields in summary.values()] == ["succeeded", "failed"]
    summary = fields_of([StreamStatistics("users")], has_failed=False)
    assert [fields["status"] for fields in summary.values()] == ["succeeded", "succeeded"]


def test_a_sync_without_streams_has_a_table() -> None:
    _, total = table_of([]).splitlines()
    assert total.split() == ["total", "0", "0", "0", "0", "0", "0.00"]
