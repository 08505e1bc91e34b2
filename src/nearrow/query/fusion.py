"""Fusion: in which order do rows come that vectors and words found together?

Both sides bring a ranking, best first. The candidates are the rows of either; **a row that only one side returned gets
the other side's true score too**: the vector side computes its exact distance, the text side its BM25, which is 0 where
the query does not match. Only ranks are not made up: RRF counts a side that did not return the row as nothing, as its
paper does (Cormack, Clarke, Büttcher: Reciprocal Rank Fusion outperforms Condorcet, SIGIR 2009).

The score-based fusions first normalise each side over the candidates. Ties fall to the smaller row number. Pure NumPy:
nothing here knows an index.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from nearrow.errors import InvalidArgumentError
from nearrow.query.ranking import Candidates, Floats, Fused, Ranking, Ranks, completed, gather, similarity
from nearrow.schema.config import nearest_name

NORMALISATIONS = ("minmax", "z")


def _require(good: object, message: str) -> None:
    if not good:
        raise InvalidArgumentError(message)


def _require_normalisation(name: str) -> None:
    _require(name in NORMALISATIONS, f"normalise must be 'minmax' or 'z', not {name!r}")


class Fusion(Protocol):
    """How two scores become one. `combine` is given all candidates at once and returns one score for each."""

    def combine(self, candidates: Candidates) -> Floats: ...


@dataclass(frozen=True)
class RRF:
    """Reciprocal rank fusion: Σ 1 / (k + rank) over the sides that returned the row. Needs no comparable scores."""

    k: float = 60.0

    def __post_init__(self) -> None:
        _require(np.isfinite(self.k) and self.k > 0, f"RRF needs k > 0, not {self.k!r}")

    def combine(self, candidates: Candidates) -> Floats:
        return self._share(candidates.vector_ranks) + self._share(candidates.text_ranks)

    def _share(self, ranks: Ranks) -> Floats:
        return np.where(ranks > 0, 1.0 / (self.k + np.maximum(ranks, 1)), 0.0)


@dataclass(frozen=True)
class Weighted:
    """vector · (normalised vector score) + text · (normalised text score).

    normalise: "minmax" maps each side's candidates to 0 … 1; "z" subtracts their mean and divides by their deviation.
    """

    vector: float = 0.7
    text: float = 0.3
    normalise: str = "minmax"

    def __post_init__(self) -> None:
        good = all(np.isfinite(w) and w >= 0 for w in (self.vector, self.text)) and self.vector + self.text > 0
        _require(good, f"weights must be ≥ 0 and not both 0, not {self.vector!r} and {self.text!r}")
        _require_normalisation(self.normalise)

    def combine(self, candidates: Candidates) -> Floats:
        vector, text = normalised(candidates, self.normalise)
        return self.vector * vector + self.text * text


@dataclass(frozen=True)
class Max:
    """The better of the two normalised scores."""

    normalise: str = "minmax"

    def __post_init__(self) -> None:
        _require_normalisation(self.normalise)

    def combine(self, candidates: Candidates) -> Floats:
        return np.maximum(*normalised(candidates, self.normalise))


@dataclass(frozen=True)
class Min:
    """The worse of the two normalised scores: both sides must like the row."""

    normalise: str = "minmax"

    def __post_init__(self) -> None:
        _require_normalisation(self.normalise)

    def combine(self, candidates: Candidates) -> Floats:
        return np.minimum(*normalised(candidates, self.normalise))


@dataclass(frozen=True)
class Custom:
    """A caller's function from Candidates to one score for each, larger is better."""

    function: Callable[[Candidates], npt.ArrayLike]

    def combine(self, candidates: Candidates) -> Floats:
        return checked_scores(self.function(candidates), len(candidates), "the fusion function")


FusionSpec = str | Fusion | Callable[[Candidates], npt.ArrayLike]
NAMED: dict[str, Fusion] = {
    "rrf": RRF(),
    "weighted": Weighted(),
    "max": Max(),
    "min": Min(),
    "average": Weighted(0.5, 0.5),
}


def parse_fusion(spec: FusionSpec) -> Fusion:
    """The fusion meant by a name, a fusion object, or a function of Candidates."""
    if isinstance(spec, str):
        if spec not in NAMED:
            raise InvalidArgumentError(f"unknown fusion {spec!r}{nearest_name(spec, NAMED)}")
        return NAMED[spec]
    if isinstance(spec, type):
        raise InvalidArgumentError(f"fusion={spec.__name__} is a class; write {spec.__name__}()")
    if hasattr(spec, "combine"):
        return spec
    if callable(spec):
        return Custom(spec)
    raise InvalidArgumentError(f"fusion must be a name, RRF(…), Weighted(…) or a function, not {type(spec).__name__}")


def fuse(vector: Ranking, text: Ranking, fusion: Fusion, limit: int) -> Fused:
    """The best `limit` rows of both sides together, by (combined score falling, row number)."""
    ranks_suffice = isinstance(fusion, RRF)
    candidates = gather(vector, text, complete=not ranks_suffice)
    combined = fusion.combine(candidates)
    best = np.argsort(-combined, kind="stable")  # candidates come by row number
    order = best[:limit]
    top = candidates.take(order)
    if ranks_suffice:  # computing the other side's scores for the rows shown only is much cheaper
        top = completed(top, vector, text)
    return Fused(
        top.rows, combined[order], top.vector_scores, top.text_scores, top.vector_ranks, top.text_ranks,
        settled=_settled(vector, text, fusion, candidates, combined, best, limit),
    )  # fmt: skip


def fuse_ranks(vector: Ranking, text: Ranking, fusion: RRF, limit: int) -> Fused:
    """What `fuse` gives for RRF without completed scores (NaN) and without finding out whether it is settled: quicker."""
    split = len(vector.rows)
    found = np.concatenate([vector.rows, text.rows])
    order = np.argsort(found, kind="stable")  # of a row that both found, the vector's place comes first
    ascending = found[order]
    fresh = np.ones(len(found), np.bool_)
    np.not_equal(ascending[1:], ascending[:-1], out=fresh[1:])
    starts = np.flatnonzero(fresh)
    shares = 1.0 / (fusion.k + np.concatenate([np.arange(1, split + 1), np.arange(1, len(text.rows) + 1)]))
    combined = np.add.reduceat(shares[order], starts) if len(starts) else np.empty(0)
    best = np.argsort(-combined, kind="stable")[:limit]
    first = order[starts[best]]
    last = order[np.append(starts[1:], len(found))[best] - 1]
    by_vector, by_text = first < split, last >= split
    vector_scores, text_scores = np.full(len(best), np.nan), np.full(len(best), np.nan)
    vector_scores[by_vector] = vector.scores[first[by_vector]]
    text_scores[by_text] = text.scores[last[by_text] - split]
    ranks = np.where(by_vector, first + 1, 0), np.where(by_text, last - split + 1, 0)
    return Fused(ascending[starts[best]], combined[best], vector_scores, text_scores, *ranks, settled=False)


def normalised(candidates: Candidates, how: str) -> tuple[Floats, Floats]:
    """Both sides' scores on one scale, over the candidates. No match is BM25 0, no distance the farthest of all."""
    scale = _minmax if how == "minmax" else _z
    return scale(_filled(candidates.vector_scores)), scale(np.nan_to_num(candidates.text_scores, nan=0.0))


def checked_scores(scores: npt.ArrayLike, count: int, what: str) -> Floats:
    """`count` finite floats from a caller's function, or an InvalidArgumentError that says what it returned."""
    try:
        values = np.asarray(scores, np.float64)
    except (TypeError, ValueError):
        raise InvalidArgumentError(f"{what} must return numbers, not {type(scores).__name__}") from None
    if values.shape != (count,):
        raise InvalidArgumentError(f"{what} must return {count} scores, not an array of shape {values.shape}")
    if not bool(np.isfinite(values).all()):
        raise InvalidArgumentError(f"{what} returned NaN or infinity; give rows without a score a low one")
    return values


def _settled(
    vector: Ranking, text: Ranking, fusion: Fusion, candidates: Candidates,
    combined: Floats, best: npt.NDArray[np.intp], limit: int,
) -> bool:  # fmt: skip
    """Whether longer rankings would bring the same rows (the threshold algorithm: Fagin, Lotem, Naor, PODS 2001).

    A row that neither side has returned scores at most as a row just below the ends of both rankings; under RRF a row
    that one side returned may also still gain a rank on the other. Functions of the caller promise nothing.
    """
    if vector.exhausted and text.exhausted:
        return True
    if isinstance(fusion, Custom) or len(best) < limit or limit == 0 or not len(vector.rows):
        return False
    threshold = combined[best[limit - 1]]
    if isinstance(fusion, RRF):
        more_vector = 0.0 if vector.exhausted else 1.0 / (fusion.k + len(vector.rows) + 1)
        more_text = 0.0 if text.exhausted else 1.0 / (fusion.k + len(text.rows) + 1)
        rest = best[limit:]
        gain = (candidates.vector_ranks[rest] == 0) * more_vector + (candidates.text_ranks[rest] == 0) * more_text
        highest = max((combined[rest] + gain).max(initial=0.0), more_vector + more_text)
        return bool(threshold > highest)
    last = Candidates(
        np.append(candidates.rows, np.uint64(0)),
        np.append(candidates.vector_scores, float(vector.scores[-1])),
        np.append(
            candidates.text_scores, float(text.scores[-1]) if len(text.scores) and not text.exhausted else np.nan
        ),
        np.append(candidates.vector_ranks, 0),
        np.append(candidates.text_ranks, 0),
    )
    with_last = fusion.combine(last)  # one more row shifts a z-score a little, but all rows alike
    return bool(with_last[best[limit - 1]] > with_last[-1])


def _filled(scores: Floats) -> Floats:
    known = scores[~np.isnan(scores)]
    return np.nan_to_num(scores, nan=float(known.min()) if len(known) else 0.0)


def _minmax(scores: Floats) -> Floats:
    low, high = scores.min(initial=np.inf), scores.max(initial=-np.inf)
    return (scores - low) / (high - low) if high > low else np.zeros_like(scores)


def _z(scores: Floats) -> Floats:
    deviation = scores.std() if len(scores) else 0.0
    return (scores - scores.mean()) / deviation if deviation > 0 else np.zeros_like(scores)


__all__ = [
    "NAMED",
    "RRF",
    "Candidates",
    "Custom",
    "Fused",
    "Fusion",
    "FusionSpec",
    "Max",
    "Min",
    "Ranking",
    "Weighted",
    "checked_scores",
    "fuse",
    "fuse_ranks",
    "gather",
    "normalised",
    "parse_fusion",
    "similarity",
]
