"""SQL functions of Unity Catalog: made by SQL and REST, run by SQL; EXECUTE for callers, its owner's rights within."""

from __future__ import annotations

from typing import Any

import pytest
from databricks.sdk.service import catalog

from tests.workspace.conftest import Caller


def create_by_rest(admin: Caller, schema: str, name: str, definition: str, type_text: str = "int", **more: Any) -> None:
    catalog_name, _, schema_name = schema.partition(".")
    parameter = catalog.FunctionParameterInfo(
        name="x", type_text=type_text, type_name=catalog.ColumnTypeName.INT, position=0
    )
    admin.sdk.functions.create(
        catalog.CreateFunction(
            name=name,
            catalog_name=catalog_name,
            schema_name=schema_name,
            input_params=catalog.FunctionParameterInfos(parameters=[parameter]),
            data_type=catalog.ColumnTypeName.INT,
            full_data_type="int",
            routine_body=more.get("routine_body", catalog.CreateFunctionRoutineBody.SQL),
            routine_definition=definition,
            parameter_style=catalog.CreateFunctionParameterStyle.S,
            is_deterministic=True,
            sql_data_access=catalog.CreateFunctionSqlDataAccess.CONTAINS_SQL,
            is_null_call=False,
            security_type=catalog.CreateFunctionSecurityType.DEFINER,
            specific_name=name,
            external_language=more.get("external_language"),
        )
    )


def test_execute_on_this_function_and_no_other(
    agent: Caller,
    admin: Caller,
    schema: str,
    rows: Any,
    failure: Any,
) -> None:
    rows(admin, f"CREATE FUNCTION {schema}.plus(x INT, y INT DEFAULT 10) RETURNS INT COMMENT 'adds' RETURN x + y")
    rows(admin, f"CREATE FUNCTION {schema}.negated(x INT) RETURNS INT RETURN -x")
    refused = failure(agent, f"SELECT {schema}.plus(1)")
    assert refused.startswith("42501")
    assert "EXECUTE" in refused
    rows(admin, f"GRANT EXECUTE ON FUNCTION {schema}.plus TO `{agent.name}`")
    assert rows(agent, f"SELECT {schema}.plus(1), {schema}.plus(1, 2), {schema}.plus(y => 5, x => 1)") == [
        ["11", "3", "6"]
    ]
    assert failure(agent, f"SELECT {schema}.negated(1)").startswith("42501")
    assert failure(agent, f"SELECT {schema}.plus({schema}.negated(1))").startswith("42501")
    assert failure(admin, f"SELECT {schema}.plus(1, 2, 3)").startswith("42605 [WRONG_NUM_ARGS]")


def test_unqualified_calls_need_execute_as_well(
    agent: Caller,
    admin: Caller,
    schema: str,
    rows: Any,
    failure: Any,
) -> None:
    rows(admin, f"CREATE FUNCTION {schema}.twice(x INT) RETURNS INT RETURN x * 2")
    within = {"catalog": "main", "schema": schema.partition(".")[2]}
    assert failure(agent, "SELECT twice(2)", **within).startswith("42501")
    rows(admin, f"GRANT EXECUTE ON FUNCTION {schema}.twice TO `{agent.name}`")
    assert rows(agent, "SELECT twice(2)", **within) == [["4"]]


def test_a_function_reads_with_its_owners_privileges(
    agent: Caller,
    admin: Caller,
    tables: str,
    rows: Any,
    failure: Any,
) -> None:
    rows(
        admin,
        f"CREATE FUNCTION {tables}.spent(who STRING) RETURNS DECIMAL(10,2)"
        f" RETURN (SELECT sum(price) FROM {tables}.orders WHERE customer = who)",
    )
    rows(
        admin,
        f"CREATE FUNCTION {tables}.orders_of(who STRING) RETURNS TABLE (number INT, price DECIMAL(10,2))"
        f" RETURN SELECT id, price FROM {tables}.orders WHERE customer = orders_of.who",
    )
    for function in ("spent", "orders_of"):
        rows(admin, f"GRANT EXECUTE ON FUNCTION {tables}.{function} TO `{agent.name}`")
    assert rows(agent, f"SELECT {tables}.spent('ann')") == [["12.75"]]
    assert rows(agent, f"SELECT number FROM {tables}.orders_of('ann') ORDER BY number") == [["1"], ["3"]]
    assert failure(agent, f"SELECT * FROM {tables}.orders").startswith("42501")
    rows(admin, f"REVOKE EXECUTE ON FUNCTION {tables}.orders_of FROM `{agent.name}`")
    assert failure(agent, f"SELECT * FROM {tables}.orders_of('ann')").startswith("42501")


def test_an_argument_never_means_a_column_of_the_body(
    agent: Caller,
    admin: Caller,
    tables: str,
    rows: Any,
) -> None:
    # Were the argument put into the body, `customer` would be compared with itself, and every row be counted.
    rows(
        admin,
        f"CREATE FUNCTION {tables}.bought(who STRING) RETURNS BIGINT"
        f" RETURN (SELECT count(*) FROM {tables}.orders WHERE customer = who)",
    )
    rows(admin, f"GRANT EXECUTE ON FUNCTION {tables}.bought TO `{agent.name}`")
    assert rows(agent, f"SELECT {tables}.bought(customer) FROM (VALUES ('bob'), ('nobody')) AS v(customer)") == [
        ["1"],
        ["0"],
    ]


def test_made_by_rest_and_run_by_sql(
    agent: Caller,
    admin: Caller,
    schema: str,
    rows: Any,
    failure: Any,
) -> None:
    create_by_rest(admin, schema, "square", "x * x")
    assert rows(admin, f"SELECT {schema}.square(7)") == [["49"]]
    assert failure(agent, f"SELECT {schema}.square(7)").startswith("42501")
    create_by_rest(
        admin,
        schema,
        "py",
        "return x",
        routine_body=catalog.CreateFunctionRoutineBody.EXTERNAL,
        external_language="PYTHON",
    )
    assert failure(admin, f"SELECT {schema}.py(7)").startswith("0A000")


@pytest.mark.parametrize("type_text", ["varchar(`3)`)", "int) + (1", "nothing"])
def test_a_parameters_type_is_a_type_and_no_more(
    admin: Caller, schema: str, failure: Any, rows: Any, type_text: str
) -> None:
    create_by_rest(admin, schema, "typed", "x", type_text=type_text)
    if type_text.startswith("int"):
        assert rows(admin, f"SELECT {schema}.typed(7)") == [["7"]]  # what follows the type is not read
    else:
        assert "is not a type" in failure(admin, f"SELECT {schema}.typed(7)")


def test_the_owner_is_not_lent(
    agent: Caller,
    admin: Caller,
    schema: str,
    rows: Any,
    failure: Any,
) -> None:
    rows(admin, f"GRANT CREATE FUNCTION, EXECUTE, MANAGE ON SCHEMA {schema} TO `{agent.name}`")
    rows(agent, f"CREATE FUNCTION {schema}.mine() RETURNS INT RETURN 1")
    assert failure(agent, f"ALTER FUNCTION {schema}.mine OWNER TO `{admin.name}`").startswith("42501")
    changed = agent.http.patch(f"/api/2.1/unity-catalog/functions/{schema}.mine", json={"owner": admin.name})
    assert changed.status_code == 403
    rows(admin, f"CREATE FUNCTION {schema}.theirs() RETURNS INT RETURN 1")
    replaced = f"CREATE OR REPLACE FUNCTION {schema}.theirs() RETURNS INT RETURN 2"
    assert failure(agent, replaced).startswith("42501")


def test_functions_that_call_one_another_for_ever_end(admin: Caller, schema: str, rows: Any, failure: Any) -> None:
    rows(admin, f"CREATE FUNCTION {schema}.again(x INT) RETURNS INT RETURN x")
    rows(admin, f"CREATE OR REPLACE FUNCTION {schema}.again(x INT) RETURNS INT RETURN {schema}.again(x)")
    assert "RECURSION_LEVEL_LIMIT_EXCEEDED" in failure(admin, f"SELECT {schema}.again(1)")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE FUNCTION {s}.bad(x INT) RETURNS INT RETURN nowhere.missing(x)",
        "CREATE FUNCTION {s}.bad(x INT) RETURNS INT RETURN (SELECT nothing FROM {s}.orders)",
        "CREATE FUNCTION {s}.bad(x INT) RETURNS INT",
        "CREATE FUNCTION {s}.orders_view() RETURNS TABLE (a INT, b INT) RETURN SELECT id FROM {s}.orders",
    ],
)
def test_a_body_that_cannot_run_is_refused_at_once(admin: Caller, tables: str, failure: Any, statement: str) -> None:
    assert failure(admin, statement.format(s=tables))
    assert list(admin.sdk.functions.list("main", tables.partition(".")[2])) == []
