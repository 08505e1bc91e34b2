"""Arrow: how does a pyarrow expression become a mask? Acero evaluates it; nulls follow Kleene's three-valued logic."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.types as pt

from nearrow import compute as pc
from nearrow.errors import FilterError
from nearrow.query.filter.fields import all_paths
from nearrow.query.filter.tree import ArrowFilter
from nearrow.schema import nearest_name
from nearrow.schema.evolve import cast_array

_MASK = "mask"


def parse_expression(expression: pc.Expression, schema: pa.Schema) -> ArrowFilter:
    """The node of a pyarrow expression, checked against the schema by evaluating it on no rows."""
    serialised = expression.__reduce__()[1][0]
    digest = hashlib.blake2b(bytes(serialised), digest_size=16).hexdigest()
    text = str(expression)
    node = ArrowFilter(digest, text if len(text) <= 200 else text[:199] + "…", expression, schema)
    try:
        mask = mask_of_expression(node, schema.empty_table())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, pa.ArrowKeyError) as error:
        message = str(error).splitlines()[0]
        advice = ""
        if "FieldRef.Name(" in message:
            name = message.split("FieldRef.Name(", 1)[1].split(")", 1)[0]
            advice = nearest_name(name, all_paths(schema))
            message = f"unknown field {name!r}"
        raise FilterError(f"the pyarrow expression cannot be evaluated: {message}{advice}") from None
    if not pt.is_boolean(mask.type) and not pt.is_null(mask.type):
        raise FilterError(
            f"the pyarrow expression gives {mask.type}, but a filter must give bool; compare it with a value"
        )
    return node


def mask_of_expression(node: ArrowFilter, table: pa.Table) -> pa.ChunkedArray:
    """The expression's value for each row, in order: true, false or null."""
    import pyarrow.acero as acero  # here, as it imports pandas where that is installed

    table = with_columns(table, node.schema, node.schema.names)
    plan = acero.Declaration.from_sequence(
        [
            acero.Declaration("table_source", acero.TableSourceNodeOptions(table)),
            acero.Declaration("project", acero.ProjectNodeOptions([node.expression], [_MASK])),
        ]
    )
    return plan.to_table(use_threads=False).column(0)  # threads would mix up the order of the rows


def with_columns(table: pa.Table, schema: pa.Schema, names: Iterable[str]) -> pa.Table:
    """`table` with just the columns `names`, null where it is older than a column of `schema` (no copy otherwise)."""
    columns = []
    fields = [schema.field(name) for name in names]
    for field in fields:
        position = table.schema.get_field_index(field.name)
        if position < 0 or pt.is_null(table.schema.field(position).type):
            columns.append(pa.chunked_array([pa.nulls(table.num_rows, field.type)]))
        elif table.schema.field(position).type.equals(field.type):
            columns.append(table.column(position))
        else:
            columns.append(_conformed(table.column(position), field))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _conformed(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    return pa.chunked_array([cast_array(chunk, field.type) for chunk in column.chunks], field.type)
