"""Id arguments: which ids does a caller mean?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from nearrow.errors import InvalidArgumentError


def canonical_id_array(ids: Any, schema: pa.Schema) -> pa.Array:
    """`ids` (one id, a list, a NumPy or Arrow array) as the collection's id type: string or int64, without nulls.

    InvalidArgumentError if they are of the other type: such ids cannot exist, so it is a mistake.
    """
    if isinstance(ids, (str, int, np.integer)) and not isinstance(ids, bool):
        ids = [ids]
    wanted = schema.field("id").type
    try:
        if isinstance(ids, pa.ChunkedArray):
            array = ids.combine_chunks()
        elif isinstance(ids, pa.Array):
            array = ids
        else:
            array = pa.array(list(ids))
    except (pa.ArrowException, TypeError, UnicodeEncodeError) as error:
        raise InvalidArgumentError(f"ids must be a list of str or of int: {error}") from None
    if len(array) == 0:
        return pa.array([], pa.string() if pt.is_null(wanted) else wanted)
    if array.null_count or not (
        pt.is_integer(array.type) or pt.is_string(array.type) or pt.is_large_string(array.type)
    ):
        raise InvalidArgumentError(f"ids must be str or int, without nulls; these are {array.type}")
    kept = pa.int64() if pt.is_integer(array.type) else pa.string()
    if not pt.is_null(wanted) and not kept.equals(wanted):
        raise InvalidArgumentError(f"the ids of this collection are {wanted}, these are {array.type}; convert them")
    try:
        return array.cast(kept)
    except pa.ArrowInvalid as error:
        raise InvalidArgumentError(f"an id is out of range: {error}") from None
