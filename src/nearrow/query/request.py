"""Request: what was asked, checked and ready to be planned?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from nearrow.errors import InvalidArgumentError
from nearrow.query.cursor import Cursor
from nearrow.query.filter import Filter
from nearrow.query.fusion import RRF, Fusion
from nearrow.query.negatives import Negatives
from nearrow.query.query import Vector, VectorQuery, check_positive

DEFAULT_FUSION: Fusion = RRF()
Rerank = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Request:
    """One search. `vector` is one query [d]; with `text` too it is hybrid."""

    query: VectorQuery
    vector: Vector | None = None
    text: Any = None
    strict: bool = False
    where: Filter | None = None
    negatives: Negatives | None = None
    fusion: Fusion = DEFAULT_FUSION
    columns: Sequence[str] | None = None
    facets: Sequence[Any] | None = None
    group_by: str | None = None
    group_size: int = 1
    after: Cursor | None = None
    rerank: Rerank | None = None
    diversity: float | None = None
    explain: bool = False

    def __post_init__(self) -> None:
        if self.vector is None and self.text is None:
            raise InvalidArgumentError("search() needs a vector, a text, or both")
        if isinstance(self.text, int):
            raise InvalidArgumentError(f"text= takes a str, not {self.text!r}; the number of hits is k={self.text!r}")
        if self.vector is None and (self.negatives is not None or self.query.within is not None):
            raise InvalidArgumentError("negatives= and within= need a vector")
        if self.text is not None and self.negatives is not None:
            raise InvalidArgumentError("negatives= cannot be combined with text=; exclude words with -word instead")
        check_positive("group_size", self.group_size)
        if self.diversity is not None and not (isinstance(self.diversity, (int, float)) and 0 <= self.diversity <= 1):
            raise InvalidArgumentError(f"diversity must be from 0 to 1, not {self.diversity!r}")
        if self.after is not None and self.reorders:
            raise InvalidArgumentError("after= needs one order for all pages: leave out rerank= and diversity=")

    @property
    def reorders(self) -> bool:
        """Whether rows come back in another order than they were found in."""
        return self.rerank is not None or self.diversity is not None

    def walked_vector(self, metric: str) -> Vector | None:
        """The vector whose nearest rows are looked for; None if there is none, or every row is ranked."""
        if self.vector is None or self.negatives is None:
            return self.vector
        return self.negatives.moved_query(self.vector, metric)

    @property
    def kind(self) -> str:
        if self.text is None:
            return "vector"
        return "text" if self.vector is None else "hybrid"

    @property
    def narrows(self) -> bool:
        """Whether more rows must be found than come back."""
        return any(x is not None for x in (self.group_by, self.after, self.rerank, self.diversity))
