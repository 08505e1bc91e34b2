"""RAG: which passages of a folder of Markdown answer a question, and what does the model get to read?

python examples/rag_over_markdown.py [folder] [question]
With a real model: NEARROW_MODEL="model2vec/minishlab/potion-base-8M" (or any other name from docs/guide/embeddings.md).
Without one, texts that share words are near each other: enough to see it work.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from pathlib import Path

import numpy as np

import nearrow

FOLDER = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "docs" / "guide"
QUESTION = sys.argv[2] if len(sys.argv) > 2 else "What happens to a write when the power fails?"


def shared_words(texts: list[str], dimension: int = 256) -> np.ndarray:
    """A vector for each text: the sum of a random direction for each of its words."""
    vectors = np.full((len(texts), dimension), 1e-6, np.float32)
    for row, text in enumerate(texts):
        for word in set(re.findall(r"\w{3,}", text.lower())):
            seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
            vectors[row] += np.random.default_rng(seed).standard_normal(dimension).astype(np.float32)
    return vectors


def passages(folder: Path) -> list[dict[str, str]]:
    """The sections of every page: one row for each heading."""
    rows = []
    for page in sorted(folder.rglob("*.md")):
        for number, section in enumerate(re.split(r"^(?=#)", page.read_text(), flags=re.MULTILINE)):
            if section.strip():
                heading = section.splitlines()[0].lstrip("# ")
                rows.append({"id": f"{page.name}#{number}", "text": section, "page": page.name, "heading": heading})
    return rows


with nearrow.connect(":memory:") as db:
    docs = db.create_collection("docs", embedding=os.environ.get("NEARROW_MODEL") or shared_words)
    docs.add(passages(FOLDER))
    print(f"{len(docs)} passages of {docs.sql('SELECT count(DISTINCT page) AS n FROM docs')['n'][0]} pages")

    hits = docs.search(query=QUESTION, k=3)
    for hit in hits:
        print(f"  {hit.score:.3f}  {hit['page']}: {hit['heading']}")
    context = "\n\n".join(hit["text"] for hit in hits)
    prompt = f"Answer from these passages only.\n\n{context}\n\nQuestion: {QUESTION}"
    print(f"A prompt of {len(prompt)} characters, ready for any model.")
