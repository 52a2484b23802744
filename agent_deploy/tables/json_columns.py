"""Expressions over JSON text and variants that the derivation is made of; part of the pipeline's source."""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

# Where from_json puts a text that it can't read, or that doesn't fit its schema.
CORRUPT = "_corrupt_record"
STRICT = {"allowSingleQuotes": "false"}


def with_columns(rows: DataFrame, **columns: Column) -> DataFrame:
    """``rows`` and more columns; unlike withColumns, Spark Connect doesn't analyze the plan at every call."""
    return rows.select("*", *[column.alias(name) for name, column in columns.items()])


def at(value: Column, path: str = "", kind: str = "string") -> Column:
    """What lies at ``path`` of a variant, or null; a string is text as it is, JSON of an object or a list."""
    return F.try_variant_get(value, f"$.{path}" if path else "$", kind)


def is_a(value: Column, kind: str) -> Column:
    """Whether a variant is a STRING, an OBJECT or an ARRAY; null of a null."""
    return F.schema_of_variant(value).startswith(kind)


def as_list(value: Column, path: str = "") -> Column:
    """The list at ``path`` as variants, or null."""
    return at(value, path, "array<variant>")


# Lambdas are interpreted, and Spark 4.2 looks up its configuration at every field that they read: what most rows take
# is written without them, and they stand where only some rows come.
def let(value: Column, use: Callable[[Column], Column]) -> Column:
    """``use`` of ``value``, which is computed once, however often ``use`` mentions it."""
    return F.get(F.transform(F.array(value), use), F.lit(0))


def last(items: Column) -> Column:
    return F.try_element_at(items, F.lit(-1))


def last_of(items: Column, wanted: Callable[[Column], Column] = Column.isNotNull) -> Column:
    return last(F.filter(items, wanted))


def latest(items: Column, wanted: Callable[[Column], Column]) -> Column:
    """`last_of` of a column; looks through all items only if the last is not the one."""
    return F.when(wanted(last(items)), last(items)).otherwise(last_of(items, wanted))


def first_text(*values: Column) -> Column:
    """The first that is neither null nor empty. Mentions each once: planning a run costs more than reading a row."""
    return F.coalesce(*[F.get(F.array_remove(F.array(value), ""), F.lit(0)) for value in values])


def start_of(text: Column) -> Column:
    """The first character that is no blank."""
    return F.substring(F.ltrim(text, F.lit(" \t\r\n")), 1, 1)


def invalid(text: Column) -> Column:
    """Whether JSON text can't be read; an object is read over as leniently as when it is understood."""
    # A schema without fields: reads over all of the object and builds nothing.
    corrupt = F.from_json(text, f"struct<{CORRUPT}:string>", STRICT)[CORRUPT]
    return F.when(start_of(text) == "{", corrupt.isNotNull()).otherwise(F.try_parse_json(text).isNull())


def is_list_of_objects(text: Column) -> Column:
    return F.coalesce(text.rlike(r"^\s*\[\s*\{"), F.lit(False))
