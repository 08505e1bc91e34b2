"""Images: which pictures look like this one, and what are they?

python examples/image_search.py [folder with fashion-mnist.npz]
Fashion-MNIST: 28 × 28 pixels, taken as vectors of 784 numbers as they are.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

import numpy as np

import nearrow

DATA = Path(os.environ.get("NEARROW_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))
FOLDER = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA / "fashion-mnist"
KINDS = ["T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]
ROWS = 10_000

with np.load(FOLDER / "fashion-mnist.npz") as arrays:
    pixels = arrays["base"][:ROWS].astype(np.float32)
    kinds = [KINDS[label] for label in arrays["labels"][:ROWS]]
    queries = arrays["queries"][:5].astype(np.float32)


def drawn(picture: np.ndarray) -> str:
    """Every second row and column as characters, darker ones for more ink."""
    shades = " .:-=+*#%@"
    return "\n".join("".join(shades[int(value) * 9 // 255] for value in row) for row in picture.reshape(28, 28)[::2])


with nearrow.connect(":memory:") as db:
    images = db.create_collection("images", dimension=784, metric="l2")
    images.add(ids=np.arange(ROWS), vectors=pixels, metadata={"kind": kinds})
    images.wait()
    print(drawn(queries[0]))
    for number, hits in enumerate(images.search(queries, k=10)):
        print(f"query {number}: {Counter(hit['kind'] for hit in hits).most_common(2)}")
    bags = images.search(queries[0], k=3, where={"kind": "bag"})
    print("the bags most like it:", [hit.id for hit in bags])
