"""usearch: which vectors does one of its indexes hold?"""

from __future__ import annotations

from typing import Any

import numpy as np

from nearrow.analytics.exchange.incoming import Incoming, of_arrays
from nearrow.errors import InvalidArgumentError

METRICS = {"L2sq": "l2", "IP": "dot", "Cos": "cosine"}


def read(index: Any) -> Incoming:
    """Its keys as ids; the vectors as it stores them, so rounded if it keeps fewer bits."""
    metric = METRICS.get(index.metric_kind.name)
    if metric is None:
        raise InvalidArgumentError(
            f"metric {index.metric_kind.name} has no counterpart; there are {', '.join(METRICS)}"
        )
    ids = np.array(list(index.keys), np.uint64)
    vectors = np.asarray(index.get(ids), np.float32).reshape(len(ids), index.ndim)
    return of_arrays(ids.astype(np.int64), vectors, metric)
