"""Model identity: which model made the vectors of a collection, and is this one the same?

Two models of the same dimension give vectors that must not be mixed, and nothing in the numbers tells. So a collection
remembers, beside the name and the dimension, where its model put three fixed texts: a few components of each vector. The
same model lands there again up to rounding, whatever library runs it; another one does not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nearrow.errors import InvalidArgumentError

PROBES = (
    "The quick brown fox jumps over the lazy dog",
    "A database keeps rows until it is told to forget them",
    "Schwarzwälder Kirschtorte, 2 Stück, 7,50 €",
)
COMPONENTS = 16  # of each probe's vector
TOLERANCE = 0.02  # half precision and other kernels move a unit vector by about 0.001, another model by about 1.4


@dataclass(frozen=True)
class ModelIdentity:
    """name: as an adapter calls it, or of the function. fingerprint: COMPONENTS numbers of each probe's unit vector."""

    name: str
    dimension: int
    fingerprint: tuple[float, ...]

    def __post_init__(self) -> None:
        numbers = all(isinstance(value, (int, float)) and math.isfinite(value) for value in self.fingerprint)
        if not isinstance(self.name, str) or not self.fingerprint or not numbers:
            raise InvalidArgumentError("a model's identity is a name, a dimension and a fingerprint of finite numbers")
        object.__setattr__(self, "fingerprint", tuple(float(value) for value in self.fingerprint))

    @classmethod
    def of(cls, name: str, probes: npt.NDArray[np.float32]) -> ModelIdentity:
        """The identity of the model that gave these vectors, float32 [len(PROBES), d], for PROBES."""
        dimension = probes.shape[1]
        lengths = np.linalg.norm(probes, axis=1, keepdims=True)
        if not lengths.all():
            raise InvalidArgumentError(f"the model {name!r} gives a zero vector for an ordinary text; use another one")
        chosen = np.linspace(0, dimension - 1, min(COMPONENTS, dimension)).astype(np.int64)
        return cls(name, dimension, tuple(round(float(value), 5) for value in (probes / lengths)[:, chosen].ravel()))

    def agrees_with(self, other: ModelIdentity) -> bool:
        """Whether both give the same vectors, up to rounding; the names do not matter."""
        if self.dimension != other.dimension or len(self.fingerprint) != len(other.fingerprint):
            return False
        mine, others = np.array(self.fingerprint), np.array(other.fingerprint)
        return float(np.linalg.norm(mine - others)) <= TOLERANCE * float(np.linalg.norm(mine))

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "dimension": self.dimension, "fingerprint": list(self.fingerprint)}

    @classmethod
    def from_dict(cls, identity: Mapping[str, Any]) -> ModelIdentity:
        try:
            fingerprint: Sequence[float] = identity["fingerprint"]
            return cls(identity["name"], int(identity["dimension"]), tuple(fingerprint))
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidArgumentError(f"the embedding model's identity is malformed: {error!r}") from None
