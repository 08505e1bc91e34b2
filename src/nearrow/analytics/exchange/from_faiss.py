"""faiss: which vectors does one of its indexes hold?"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from nearrow.analytics.exchange.incoming import Incoming, of_arrays
from nearrow.errors import InvalidArgumentError


def read(index: Any) -> Incoming:
    """Its positions, or the ids of an IndexIDMap; the vectors as it can reconstruct them, so rounded if it codes them."""
    faiss = import_module("faiss")
    index = faiss.downcast_index(index)
    metrics = {faiss.METRIC_L2: "l2", faiss.METRIC_INNER_PRODUCT: "dot"}
    if index.metric_type not in metrics:
        raise InvalidArgumentError(f"metric {index.metric_type} of the faiss index has no counterpart; l2 and dot have")
    ids = np.arange(index.ntotal, dtype=np.int64)
    inner = index
    if hasattr(index, "id_map"):
        ids = faiss.vector_to_array(index.id_map).astype(np.int64)
        inner = faiss.downcast_index(index.index)
    if hasattr(inner, "make_direct_map"):  # an inverted file does not know where a vector lies until it is told to
        inner.make_direct_map()
    try:
        vectors = inner.reconstruct_n(0, inner.ntotal)
    except RuntimeError as error:
        raise InvalidArgumentError(f"this kind of faiss index cannot give its vectors back: {error}") from None
    return of_arrays(ids, np.asarray(vectors, np.float32), metrics[index.metric_type])
