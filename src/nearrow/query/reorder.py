"""Reorder: how do a caller's scores, or the wish for variety, change the order of hits that were found?

Both are pure functions over what was found already; they choose among it and find nothing new, so the caller fetches
more than it wants to keep.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nearrow.errors import InvalidArgumentError
from nearrow.query.fusion import checked_scores

Order = npt.NDArray[np.intp]


def by_scores(scores: npt.ArrayLike, count: int) -> tuple[Order, npt.NDArray[np.float64]]:
    """Order of `count` hits by a re-ranker's scores, larger first, ties as they were; and those scores in that order.

    Raises InvalidArgumentError if `scores` are not `count` finite numbers.
    """
    values = checked_scores(scores, count, "the rerank function")
    order = np.argsort(-values, kind="stable")
    return order, values[order]


def by_diversity(
    vectors: npt.NDArray[np.floating], relevance: npt.NDArray[np.floating], k: int, diversity: float
) -> Order:
    """Maximal marginal relevance (Carbonell, Goldstein, SIGIR 1998): `k` of the hits, each new one unlike those before.

    vectors: float [n, d] of the hits, best first. relevance: their scores, larger is better. Each step takes the hit
    with the largest (1 − diversity) · relevance − diversity · (cosine to the nearest hit taken), relevance scaled to
    0 … 1; ties fall to the earlier hit. diversity 0 keeps the order, 1 looks at variety only after the first hit.
    """
    if not 0.0 <= diversity <= 1.0:
        raise InvalidArgumentError(f"diversity must be from 0 to 1, not {diversity!r}")
    count = len(vectors)
    if len(relevance) != count:
        raise InvalidArgumentError(f"{len(relevance)} relevances for {count} vectors")
    if count == 0 or k <= 0:
        return np.empty(0, np.intp)
    exact = np.asarray(vectors, np.float64)
    norms = np.linalg.norm(exact, axis=1, keepdims=True)
    unit = np.divide(exact, norms, out=np.zeros_like(exact), where=norms > 0)
    scores = np.asarray(relevance, np.float64)
    spread = scores.max() - scores.min()
    scaled = (scores - scores.min()) / spread if spread > 0 else np.ones(count)
    nearest = np.full(count, -1.0)
    taken = np.zeros(count, bool)
    order: list[int] = []
    for step in range(min(k, count)):
        gain = scaled if step == 0 else (1.0 - diversity) * scaled - diversity * nearest
        best = int(np.argmax(np.where(taken, -np.inf, gain)))
        order.append(best)
        taken[best] = True
        nearest = np.maximum(nearest, unit @ unit[best])
    return np.array(order, np.intp)


__all__ = ["by_diversity", "by_scores"]
