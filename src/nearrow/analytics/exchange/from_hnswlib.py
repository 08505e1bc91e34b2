"""hnswlib: which vectors does one of its indexes hold?"""

from __future__ import annotations

from typing import Any

import numpy as np

from nearrow.analytics.exchange.incoming import Incoming, of_arrays

METRICS = {"l2": "l2", "ip": "dot", "cosine": "cosine"}


def read(index: Any) -> Incoming:
    """Its labels as ids. Under cosine hnswlib keeps vectors of unit length, so that is what comes."""
    ids = np.array(index.get_ids_list(), np.int64)
    vectors = np.array(index.get_items(ids, return_type="numpy"), np.float32).reshape(len(ids), index.dim)
    return of_arrays(ids, vectors, METRICS[index.space])
