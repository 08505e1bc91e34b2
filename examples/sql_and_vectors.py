"""SQL and vectors: what do the rows near a question have in common?

python examples/sql_and_vectors.py
"""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

import nearrow

DATA = Path(__file__).parent / "data"

with nearrow.connect(":memory:") as db:
    words = db.create_collection("words", dimension=384, text_fields=["text"])
    words.add(pq.read_table(DATA / "rows.parquet"))

    print("How many glosses are there of each kind, and how long are they?")
    print(
        words.sql("SELECT pos, count(*) AS n, round(avg(n_words), 1) AS words FROM words GROUP BY pos ORDER BY n DESC")
    )

    violin = pq.read_table(DATA / "queries.parquet").to_pylist()[1]
    hits = words.search(violin["vector"], k=200, columns=["lexname"])
    print(f"In which fields do the 200 rows nearest to {violin['word']!r} lie, against all rows?")
    question = """
        SELECT w.lexname, count(h.id) AS near, count(*) AS total, round(count(h.id) / count(*), 3) AS share
        FROM words AS w LEFT JOIN hits AS h ON h.id = w.id
        GROUP BY w.lexname HAVING near > 0 ORDER BY share DESC LIMIT 5
    """
    print(words.sql(question, hits=hits))

    print("And the same numbers as facets, without SQL:")
    print(words.facets(["pos"], where="lexname = 'noun.artifact'"))
