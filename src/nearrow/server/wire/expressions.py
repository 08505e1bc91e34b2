"""Wire expressions: how does a pyarrow expression travel?

pyarrow writes one as an Arrow file whose schema's metadata names the calls and whose columns hold the literals. What
comes from outside is validated before pyarrow is let near it: it follows offsets in the literals, and one call inside
another by recursion.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from nearrow.errors import FilterError

CALLS_MAX = 1_000


def expression_bytes(expression: pc.Expression) -> bytes:
    """The expression, serialised."""
    return bytes(expression.__reduce__()[1][0])


def expression_of(data: bytes) -> pc.Expression:
    """The inverse of `expression_bytes`; FilterError for anything else."""
    try:
        with pa.ipc.open_file(pa.py_buffer(data)) as file:
            for index in range(file.num_record_batches):
                file.get_batch(index).validate(full=True)
            names = pa.ipc.open_file(pa.py_buffer(data)).schema.serialize().to_pybytes()
        if names.count(b"call") > CALLS_MAX:
            raise FilterError(f"the expression has more than {CALLS_MAX} calls; use is_in for long lists")
        return pc.Expression._deserialize(pa.py_buffer(data))
    except (pa.ArrowException, ValueError, OSError, KeyError, UnicodeDecodeError) as error:
        if isinstance(error, FilterError):
            raise
        raise FilterError(f"this is no serialised pyarrow expression: {str(error).splitlines()[0]}") from None
