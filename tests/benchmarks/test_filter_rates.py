"""Filter rates: is every kind of condition and facet asked, and does each find rows?"""

from __future__ import annotations

from benchmarks.filter_rates import CONDITIONS, FACETS, condition_rows, facet_rows, rows_of

import nearrow


def test_every_condition_and_facet_is_measured() -> None:
    with nearrow.connect(":memory:") as database:
        collection = database.create_collection("rows", dimension=4, metric="l2")
        collection.add(rows_of(2_000))
        conditions, facets = condition_rows(lambda: collection), facet_rows(lambda: collection)
    assert [row[0] for row in conditions] == list(CONDITIONS)
    assert [row[0] for row in facets] == list(FACETS)
    found = {name: int(rows.replace(",", "")) for name, rows, *_ in conditions}
    assert found["number $in 100,000"] == found["string $in 100,000"] == 200
    assert found["string ="] + found["string ≠"] == 2_000
