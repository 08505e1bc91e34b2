"""SQL filters: how is an SQL expression from outside evaluated over Arrow columns, and nothing but evaluated?

Two locks. The text is parsed by DuckDB, and its syntax tree must be one scalar expression made only of known kinds of
nodes and of functions on a list: no subquery, no table function, no second statement, no window, nothing that reads the
clock, the settings or a file. And the DuckDB that evaluates it has no access to anything outside its memory, loads no
extension, and its configuration is locked.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from nearrow.errors import FilterError

if TYPE_CHECKING:
    import duckdb

DEPTH_MAX = 64
NODES_MAX = 100_000
SETTINGS = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "python_enable_replacements": False,
    "enable_external_access": False,
    "max_expression_depth": 250,
}
CLASSES = frozenset(
    {
        "BETWEEN",
        "CASE",
        "CAST",
        "COLLATE",
        "COLUMN_REF",
        "COMPARISON",
        "CONJUNCTION",
        "CONSTANT",
        "FUNCTION",
        "OPERATOR",
        "TYPE",
    }
)
_FUNCTION_NAMES = """
    + - * / // % ** ^ & | ~ << >> || ~~ !~~ ~~* !~~* ~~~ !~~~ @ ^@ like_escape not_like_escape ilike_escape not_ilike_escape
    abs ceil ceiling floor round trunc sign sqrt cbrt exp ln log log2 log10 pow power mod fmod gcd lcm greatest least
    isnan isinf isfinite even add subtract multiply divide
    sin cos tan asin acos atan atan2 degrees radians pi
    lower upper lcase ucase trim ltrim rtrim length len strlen char_length character_length bit_length reverse left right
    substr substring substring_grapheme replace concat concat_ws contains starts_with ends_with prefix suffix instr strpos
    position ascii ord chr unicode split string_split str_split split_part translate strip_accents nfc_normalize
    regexp_matches regexp_full_match regexp_extract regexp_replace levenshtein editdist3 damerau_levenshtein hamming
    jaccard jaro_similarity jaro_winkler_similarity
    year month day hour minute second quarter week weekday dayofweek dayofmonth dayofyear isodow isoyear weekofyear
    yearweek century decade millennium millisecond microsecond era epoch epoch_ms epoch_us epoch_ns date_part datepart
    date_trunc datetrunc date_diff datediff date_sub datesub date_add dayname monthname last_day make_date make_time
    make_timestamp strftime strptime try_strptime to_days to_hours to_minutes to_seconds to_months to_years to_weeks
    list_contains list_has array_contains array_has list_has_any array_has_any list_has_all array_has_all list_position
    array_position list_indexof array_length list_extract list_element array_extract list_value list_min list_max list_sum
    list_avg list_count list_any_value list_first list_last list_distinct list_unique list_sort array_slice list_slice
    struct_extract struct_pack row element_at array_to_string list_concat list_intersect
    coalesce ifnull nullif if hash md5 typeof
"""
FUNCTIONS = frozenset(name for line in _FUNCTION_NAMES.splitlines() for name in line.split())


class SqlFilterEngine:
    """Parses and evaluates SQL filter expressions. Thread-safe; one is enough for a process.

    threads: how many DuckDB may use for one evaluation (None: all cores).
    """

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads
        self._lock = threading.Lock()
        self._database: duckdb.DuckDBPyConnection | None = None

    def parse(self, text: str) -> dict[str, Any]:
        """The syntax tree of `text`; FilterError unless it is one harmless scalar expression."""
        import duckdb  # here, as it takes 150 ms, and most searches need none

        if "\0" in text:
            raise FilterError("the SQL filter has a zero byte in it")
        with self._cursor() as cursor:
            try:
                row = cursor.execute("SELECT json_serialize_sql(?)", [_query(text)]).fetchone()
            except duckdb.Error as error:
                raise FilterError(f"the SQL filter {text!r:.200} cannot be parsed: {first_line(error)}") from None
        try:
            parsed = json.loads(row[0]) if row else {}
        except RecursionError:
            raise FilterError("the SQL filter is nested too deeply; flatten it") from None
        if parsed.get("error", True):
            raise FilterError(
                f"the SQL filter {text!r:.200} cannot be parsed: {parsed.get('error_message', 'syntax error')}"
            )
        expression = _only_expression(parsed, text)
        _check(expression)
        return expression

    def mask(self, text: str, table: pa.Table) -> pa.ChunkedArray:
        """The value of `text` for each row of `table`, in order: true, false or null. REQUIRES: `text` passed `parse`."""
        import duckdb

        with self._cursor() as cursor:
            try:
                cursor.register("part", unsliced(table))
                result = cursor.sql(f"{_query(text)} AS mask FROM part").to_arrow_table().column(0)
            except duckdb.Error as error:
                raise FilterError(f"the SQL filter {text!r:.200} cannot be evaluated: {first_line(error)}") from None
            finally:
                cursor.unregister("part")
        if pa.types.is_null(result.type) or pa.types.is_boolean(result.type):
            return result
        raise FilterError(f"the SQL filter {text!r:.200} gives {result.type}, but a filter must give bool")

    def close(self) -> None:
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        with self._lock:
            if self._database is None:
                self._database = locked_database(self._threads)
            return self._database.cursor()


def locked_database(
    threads: int | None, readable: Sequence[str] = (), memory_bytes: int | None = None
) -> duckdb.DuckDBPyConnection:
    """A DuckDB in memory that reaches nothing outside it but the files `readable`, and whose settings are locked.

    memory_bytes: what it may use, at most; what does not fit then is refused, not put into files.
    """
    import duckdb

    database = duckdb.connect(":memory:")
    if readable:
        database.execute("SET allowed_paths = [" + ", ".join(f"'{escaped(path)}'" for path in readable) + "]")
    if threads is not None:
        database.execute(f"SET threads = {int(threads)}")
    if memory_bytes is not None:
        database.execute(f"SET memory_limit = '{int(memory_bytes)}B'")
        database.execute("SET temp_directory = ''")
    for name, value in SETTINGS.items():
        database.execute(f"SET {name} = {str(value).lower()}")
    database.execute("SET TimeZone = 'UTC'")  # times without a zone mean the same everywhere, as in the other spellings
    database.execute("SET lock_configuration = true")
    return database


def escaped(text: str) -> str:
    """`text` as it stands within single quotes."""
    return text.replace("'", "''")


def unsliced(table: pa.Table) -> pa.Table:
    """`table` with nested columns that start within a larger buffer copied: DuckDB drops a struct's offset, and refuses.

    Batch by batch, for chunks of other columns that end elsewhere would slice the copies again.
    """
    if not any(pa.types.is_nested(field.type) for field in table.schema):
        return table
    return pa.Table.from_batches(map(_unsliced_batch, table.to_batches()), table.schema)


def _unsliced_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
    everything = pa.array(np.arange(batch.num_rows))
    columns = [column.take(everything) if _is_nested_slice(column) else column for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _is_nested_slice(column: pa.Array) -> bool:
    return bool(pa.types.is_nested(column.type)) and _is_sliced(column)


def _is_sliced(array: pa.Array) -> bool:
    children: list[pa.Array] = []
    if pa.types.is_struct(array.type):
        children = [array.field(i) for i in range(array.type.num_fields)]
    elif pa.types.is_nested(array.type):
        children = [array.values]
    return array.offset != 0 or any(map(_is_sliced, children))


def _query(text: str) -> str:
    return f"SELECT ({text}\n)"  # the line end closes a comment, so that it cannot swallow the bracket


def quoted(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _only_expression(parsed: dict[str, Any], text: str) -> dict[str, Any]:
    """The one select item of the one plain SELECT that the text must be."""
    refused = FilterError(
        f"the SQL filter {text!r:.200} must be one expression, such as \"year >= 2020 AND pos = 'n'\""
    )
    statements = parsed.get("statements", [])
    node = statements[0].get("node", {}) if len(statements) == 1 else {}
    if node.get("type") != "SELECT_NODE" or len(node.get("select_list", [])) != 1 or node.get("modifiers"):
        raise refused
    if node.get("from_table", {}).get("type") != "EMPTY" or node.get("cte_map", {}).get("map"):
        raise refused
    clauses = ("where_clause", "group_expressions", "group_sets", "having", "sample", "qualify")
    if any(node.get(clause) for clause in clauses) or statements[0].get("named_param_map"):
        raise refused
    expression: dict[str, Any] = node["select_list"][0]
    return expression


def _check(expression: dict[str, Any]) -> None:
    """FilterError unless every node of the tree is of a known, harmless kind."""
    stack: list[tuple[Any, int]] = [(expression, 1)]
    seen = 0
    while stack:
        item, depth = stack.pop()
        if isinstance(item, list):
            stack.extend((child, depth) for child in item)
        if not isinstance(item, dict):
            continue
        kind = item.get("class")
        if kind is not None:
            seen += 1
            depth += 1
            _check_node(item, kind)
        if depth > DEPTH_MAX or seen > NODES_MAX:
            raise FilterError(f"the SQL filter is nested more than {DEPTH_MAX} deep or has more than {NODES_MAX} parts")
        stack.extend((child, depth) for child in item.values())


def _check_node(item: dict[str, Any], kind: str) -> None:
    if kind not in CLASSES:
        raise FilterError(f"an SQL filter is one plain expression; there can be no {kind.lower()} in it")
    if kind != "FUNCTION":
        return
    name = str(item.get("function_name", "")).lower()
    if name not in FUNCTIONS or item.get("schema") or item.get("catalog"):
        raise FilterError(f"the function {name!r} cannot be used in an SQL filter")
    if (
        item.get("filter")
        or item.get("distinct")
        or item.get("export_state")
        or item.get("order_bys", {}).get("orders")
    ):
        raise FilterError(f"{name!r} in an SQL filter is a plain function; it takes no FILTER, DISTINCT or ORDER BY")
