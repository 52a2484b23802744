"""Feedback requests: which rows they are, what they rate, why one can't be read; part of the pipeline's source."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

from agent_deploy.tables.json_columns import as_list, at, is_a, let

ASSESSMENT_FIELDS = ("text_assessments", "retrieval_assessments")
# Records are text: one that is no object would make all of them unreadable.
DATAFRAME = "struct<dataframe_records:array<string>,dataframe_split:struct<columns:array<string>>>"
SOURCE = "struct<type:string,id:string,tags:map<string,string>>"
RATINGS = "map<string,struct<value:string,double_value:double,rationale:string>>"
ASSESSMENT = f"struct<step_id:string,position:int,ratings:{RATINGS},free_text_comment:string,suggested_output:string>"


def mentions_assessments() -> Column:
    """Cheap, and true of all feedback: keeps the dear test from nearly all other rows."""
    return F.col("request").contains("_assessments")


def is_feedback() -> Column:
    """Whether the request is a dataframe with a column of assessments."""
    read = F.from_json("request", DATAFRAME)

    def rates(dataframe: Column) -> Column:
        keys = F.transform(dataframe["dataframe_records"], F.json_object_keys)
        of_records = F.flatten(F.array_compact(keys))
        names = F.array_compact(F.array(of_records, dataframe["dataframe_split"]["columns"]))
        return F.exists(F.flatten(names), lambda name: name.isin(*ASSESSMENT_FIELDS))

    return F.coalesce(mentions_assessments() & let(read, rates), F.lit(False))


def feedback_reason(rated: Column) -> Column:
    """Why a feedback request with these records can't be read; null when it can."""
    status = F.col("status_code")
    refused = F.concat(F.lit("feedback was refused with status "), F.coalesce(status.cast("string"), F.lit("null")))
    reasons = {
        "feedback names no request that it rates": lambda record: record["request_id"].isNull(),
        "text_assessments is no list of assessments": lambda record: record["texts"].isNull(),
        "retrieval_assessments is no list of assessments": lambda record: record["retrievals"].isNull(),
    }
    count = F.aggregate(rated, F.lit(0), lambda n, record: n + F.size(record["texts"]) + F.size(record["retrievals"]))
    reason = F.when(~status.eqNullSafe(200), refused)
    for text, wrong in reasons.items():
        reason = reason.when(F.exists(rated, wrong), text)
    return reason.when(F.coalesce(count, F.lit(0)) == 0, "feedback without an assessment")


def rated_records(q: Column) -> Column:
    """What each record of a feedback request says; a list is null when it can't be read."""
    names = at(q, "dataframe_split.columns", "array<string>")

    def record(row: Column) -> Column:
        def cell(name: str) -> Column:
            return F.get(as_list(row), F.array_position(names, name).cast("int") - 1).alias(name)

        return F.to_variant_object(F.struct(*[cell(name) for name in ("request_id", "source", *ASSESSMENT_FIELDS)]))

    split = F.transform(as_list(q, "dataframe_split.data"), record)
    return F.transform(F.coalesce(as_list(q, "dataframe_records"), split), _rating_record)


def _rating_record(record: Column) -> Column:
    return F.struct(
        F.nullif(at(record, "request_id"), F.lit("")).alias("request_id"),
        _source(at(record, "source")).alias("source"),
        _assessments(at(record, "text_assessments")).alias("texts"),
        _assessments(at(record, "retrieval_assessments")).alias("retrievals"),
    )


def _source(text: Column) -> Column:
    """Who rated: an object, JSON text of one, or just a name."""

    def fields(value: Column) -> Column:
        whole = F.struct(
            at(value, "type").alias("type"),
            at(value, "id").alias("id"),
            at(value, "tags", "map<string,string>").alias("tags"),
        )
        name = F.struct(F.lit(None).cast("string"), text, F.lit(None).cast("map<string,string>"))
        return F.when(is_a(value, "OBJECT"), whole).when(text != "", name.cast(SOURCE))

    return let(F.try_parse_json(text), fields)


def _assessments(text: Column) -> Column:
    """Assessments from a list of them, one alone, or JSON text of either; none of nothing; null when unreadable."""

    def listed(value: Column) -> Column:
        return F.coalesce(as_list(value), F.when(is_a(value, "OBJECT"), F.array(value)))

    read = F.transform(let(F.try_parse_json(text), listed), _assessment)
    sound = ~F.exists(read, lambda element: element.isNull())
    nothing = F.coalesce(text, F.lit("")).isin("", "null")
    return F.when(nothing, F.array().cast(f"array<{ASSESSMENT}>")).when(sound, read)


def _assessment(value: Column) -> Column:
    """One assessment; null when it is no object or its ratings are not a map."""
    ratings = F.try_parse_json(at(value, "ratings"))
    rated = F.transform_values(at(ratings, "", "map<string,variant>"), lambda _, rating: _rating(rating))
    whole = F.struct(
        at(value, "step_id").alias("step_id"),
        at(value, "position", "int").alias("position"),
        rated.alias("ratings"),
        at(value, "free_text_comment").alias("free_text_comment"),
        at(value, "suggested_output").alias("suggested_output"),
    )
    sound = is_a(value, "OBJECT") & (at(value, "ratings").isNull() | is_a(ratings, "OBJECT"))
    return F.when(sound, whole)


def _rating(value: Column) -> Column:
    """``{"value": …, "rationale": …}``, or the value alone."""
    inner = F.when(is_a(value, "OBJECT"), at(value, "value", "variant")).otherwise(value)
    is_number = F.schema_of_variant(inner).rlike("^(BIGINT|DOUBLE|DECIMAL)")
    return F.struct(
        at(inner, "").alias("value"),
        F.coalesce(at(value, "double_value", "double"), F.when(is_number, at(inner, "", "double"))).alias(
            "double_value"
        ),
        at(value, "rationale").alias("rationale"),
    )
