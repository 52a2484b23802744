"""SQL on a warehouse by the unmodified SDK: who may read, change, make and run what, and what nobody may."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from databricks.sdk.errors import DatabricksError, NotFound, PermissionDenied
from databricks.sdk.service.sql import (
    ExecuteStatementRequestOnWaitTimeout,
    StatementParameterListItem,
    StatementState,
)

from tests.workspace.conftest import Caller
from tests.workspace.data.conftest import Run, use_warehouse


class TestStatements:
    def test_a_result_tells_its_columns_and_gives_text(self, admin: Caller, run: Run) -> None:
        response = run(
            admin,
            "SELECT 1 AS i, CAST(2 AS BIGINT) AS l, 'x' AS s, 1.50 AS d, true AS b, DATE '2026-01-02' AS day,"
            " TIMESTAMP '2026-01-02 03:04:05' AS at, array(1, 2) AS a, named_struct('f', 'v') AS t, NULL AS n",
        )
        assert response.manifest
        assert response.manifest.schema
        assert response.manifest.schema.columns
        types = {column.name: column.type_text for column in response.manifest.schema.columns}
        assert types == {
            "i": "INT",
            "l": "BIGINT",
            "s": "STRING",
            "d": "DECIMAL(3,2)",
            "b": "BOOLEAN",
            "day": "DATE",
            "at": "TIMESTAMP",
            "a": "ARRAY<INT>",
            "t": "STRUCT<f: STRING>",
            "n": types["n"],
        }
        assert response.result
        assert response.result.data_array == [
            ["1", "2", "x", "1.50", "true", "2026-01-02", "2026-01-02T03:04:05.000Z", "[1,2]", '{"f":"v"}', None]
        ]

    def test_parameters_are_values_never_syntax(self, admin: Caller, rows: Any, failure: Any) -> None:
        given = [
            StatementParameterListItem(name="text", value="'; DROP TABLE x; --"),
            StatementParameterListItem(name="n", value="41", type="INT"),
            StatementParameterListItem(name="nothing", type="STRING"),
        ]
        found = rows(admin, "SELECT :text, :n + 1, :nothing", parameters=given)
        assert found == [["'; DROP TABLE x; --", "42", None]]
        assert "UNBOUND_SQL_PARAMETER" in failure(admin, "SELECT :missing", parameters=given)
        bad = [StatementParameterListItem(name="n", value="many", type="INT")]
        assert failure(admin, "SELECT :n", parameters=bad).startswith("22018")

    def test_unqualified_names_are_of_the_given_schema(self, admin: Caller, tables: str, rows: Any) -> None:
        catalog, _, name = tables.partition(".")
        assert rows(admin, "SELECT count(*) FROM orders", catalog=catalog, schema=name) == [["3"]]
        table = [StatementParameterListItem(name="t", value=f"{tables}.orders")]
        assert rows(admin, "SELECT count(*) FROM IDENTIFIER(:t)", parameters=table) == [["3"]]

    def test_a_long_result_comes_in_chunks_and_limits_cut_it(self, admin: Caller, run: Run) -> None:
        response = run(admin, "SELECT id FROM range(12000)")
        assert response.manifest
        assert response.manifest.total_row_count == 12000
        assert response.result
        found, chunk = list(response.result.data_array or []), response.result
        while chunk.next_chunk_index is not None:
            chunk = admin.sdk.statement_execution.get_statement_result_chunk_n(
                str(response.statement_id), chunk.next_chunk_index
            )
            found += chunk.data_array or []
        assert [int(row[0]) for row in found] == list(range(12000))
        limited = run(admin, "SELECT id FROM range(12000)", row_limit=5)
        assert limited.manifest
        assert (limited.manifest.total_row_count, limited.manifest.truncated) == (5, True)

    def test_a_statement_can_be_left_running_asked_for_and_canceled(
        self, admin: Caller, run: Run, until: Callable[[Callable[[], bool]], None]
    ) -> None:
        statements = admin.sdk.statement_execution
        started = run(admin, "SELECT 7", wait_timeout="0s")
        assert started.status
        assert started.status.state == StatementState.PENDING

        def state(statement_id: Any) -> StatementState | None:
            status = statements.get_statement(str(statement_id)).status
            return status.state if status else None

        until(lambda: state(started.statement_id) == StatementState.SUCCEEDED)
        endless = run(admin, ENDLESS, wait_timeout="0s")
        until(lambda: state(endless.statement_id) == StatementState.RUNNING)
        statements.cancel_execution(str(endless.statement_id))
        until(lambda: state(endless.statement_id) == StatementState.CANCELED)

    def test_on_wait_timeout_cancel_stops_it(self, admin: Caller, run: Run) -> None:
        cancel = ExecuteStatementRequestOnWaitTimeout.CANCEL
        response = run(admin, ENDLESS, wait_timeout="5s", on_wait_timeout=cancel)
        assert response.status
        assert response.status.state == StatementState.CANCELED

    def test_a_stopped_warehouse_starts_when_asked(self, admin: Caller, warehouse: str, rows: Any) -> None:
        admin.sdk.warehouses.stop_and_wait(warehouse)
        assert rows(admin, "SELECT 1") == [["1"]]
        assert str(admin.sdk.warehouses.get(warehouse).state) == "State.RUNNING"

    @pytest.mark.parametrize(
        ("statement", "expected"),
        [
            ("SELEC 1", "42601 [PARSE_SYNTAX_ERROR]"),
            ("SELECT 1; SELECT 2", "42601 [PARSE_SYNTAX_ERROR]"),
            ("SELECT * FROM main.default.nowhere", "42P01 [TABLE_OR_VIEW_NOT_FOUND]"),
            ("SELECT * FROM main.nowhere.t", "42704 [SCHEMA_NOT_FOUND]"),
            ("SELECT missing FROM range(1)", "42703 [UNRESOLVED_COLUMN]"),
            ("SELECT nofunction(1)", "42883 [UNRESOLVED_ROUTINE]"),
            ("SELECT CAST('a' AS INT)", "22018 [CAST_INVALID_INPUT]"),
            ("SELECT id / (id - 1) FROM range(3)", "22012 [DIVIDE_BY_ZERO]"),
            ("OPTIMIZE main.default.t", "0A000 [UNSUPPORTED_FEATURE]"),
            ("CREATE SCHEMA main.default", "42P06 [SCHEMA_ALREADY_EXISTS]"),
            ("CREATE CATALOG main", "42P04 [CATALOG_ALREADY_EXISTS]"),
        ],
    )
    def test_mistakes_have_databricks_conditions(
        self, admin: Caller, failure: Any, statement: str, expected: str
    ) -> None:
        assert failure(admin, statement).startswith(expected)

    @pytest.mark.parametrize("what", ["SCHEMA IF NOT EXISTS main.default", "CATALOG IF NOT EXISTS main"])
    def test_what_is_there_already_may_be(self, admin: Caller, rows: Any, what: str) -> None:
        rows(admin, f"CREATE {what}")
        assert admin.sdk.schemas.get("main.default").owner == "admins"

    def test_bad_requests_are_told_at_once(self, admin: Caller, run: Run, warehouse: str) -> None:
        with pytest.raises(DatabricksError, match="wait_timeout"):
            run(admin, "SELECT 1", wait_timeout="99s")
        with pytest.raises(NotFound):
            admin.sdk.statement_execution.execute_statement("SELECT 1", "nowarehouse")
        with pytest.raises(NotFound):
            admin.sdk.statement_execution.get_statement("nostatement")
        body = {"statement": "SELECT 1", "warehouse_id": warehouse, "disposition": "EXTERNAL_LINKS"}
        assert admin.http.post("/api/2.0/sql/statements", json=body).status_code == 501


ENDLESS = "SELECT count(*) FROM range(100000000) a JOIN range(100000000) b ON a.id % 7 = b.id % 11"


class TestNothingOutsideIsReached:
    @pytest.mark.parametrize(
        "statement",
        [
            "SELECT * FROM read_csv('/etc/passwd')",
            "SELECT * FROM read_text('/etc/passwd')",
            "SELECT * FROM read_files('/etc/passwd')",
            "SELECT * FROM glob('/etc/*')",
            "SELECT * FROM '/etc/passwd'",
            "SELECT * FROM csv.`/etc/passwd`",
            "SELECT * FROM delta.`/etc`",
            "SELECT * FROM read_parquet('http://127.0.0.1:1/x.parquet')",
            "SELECT * FROM query('SELECT 1')",
            "SELECT * FROM query_table('x')",
            "SELECT * FROM duckdb_tables()",
            "SELECT * FROM duckdb_secrets()",
            "SELECT * FROM sniff_csv('/etc/passwd')",
            "SELECT * FROM sqlite_scan('/etc/passwd', 'x')",
            "SELECT * FROM pg_catalog.pg_class",
            "SELECT (SELECT content FROM read_text('/etc/passwd'))",
            "WITH x AS (SELECT * FROM read_blob('/etc/passwd')) SELECT * FROM x",
            "SELECT getenv('HOME')",
            "SELECT current_setting('home_directory')",
            "COPY INTO main.default.t FROM '/etc/passwd'",
            "COPY (SELECT 1) TO '/tmp/x.csv'",
            "ATTACH '/tmp/x.db' AS x",
            "INSTALL httpfs",
            "LOAD httpfs",
            "PRAGMA database_list",
            "SET enable_external_access = true",
            "EXPORT DATABASE '/tmp/x'",
            "CREATE TABLE main.default.t USING csv LOCATION '/etc/passwd'",
            "CREATE FUNCTION main.default.f() RETURNS STRING LANGUAGE PYTHON AS $$ return 'x' $$",
            "SELECT http_request(conn => 'x', method => 'GET', path => '/')",
            "SELECT secret('scope', 'key')",
            "SELECT ai_query('endpoint', 'question')",
            "SELECT * FROM range(1), LATERAL query('SELECT 1') AS q",
            "SELECT * FROM range(1) LATERAL VIEW read_text('/etc/passwd') t AS c",
            "SELECT * FROM duckdb_tables",
            "SELECT * FROM (WITH duckdb_views AS (SELECT 1) SELECT * FROM duckdb_views) AS x, duckdb_views",
            # Words that are written as they are must not carry more than a word.
            "SELECT extract(`year from current_date()), (select 1` FROM current_date())",
            "SELECT date_add(`day, 1) evil(`, 1, current_date())",
            "SELECT timestampadd('day), (select 1', 1, current_date())",
            "SELECT CAST(1 AS DECIMAL(`1)`, 2))",
        ],
    )
    def test_files_network_settings_and_code(self, admin: Caller, failure: Any, statement: str) -> None:
        assert failure(admin, statement)


class TestWarehousePermission:
    def test_without_can_use_the_request_is_refused(
        self, stranger: Caller, admin: Caller, warehouse: str, run: Run, rows: Any
    ) -> None:
        with pytest.raises(PermissionDenied, match="CAN_USE"):
            run(stranger, "SELECT 1")
        use_warehouse(admin, warehouse, stranger, "CAN_VIEW")
        with pytest.raises(PermissionDenied, match="CAN_USE"):
            run(stranger, "SELECT 1")
        use_warehouse(admin, warehouse, stranger)
        assert rows(stranger, "SELECT current_user()") == [[stranger.name]]

    def test_a_group_may_be_permitted_too(
        self, stranger: Caller, admin: Caller, warehouse: str, name: str, run: Run
    ) -> None:
        members = [{"value": stranger.id}]
        group = admin.http.post("/api/2.0/preview/scim/v2/Groups", json={"displayName": name, "members": members})
        entry = {"group_name": name, "permission_level": "CAN_USE"}
        path = f"/api/2.0/permissions/sql/warehouses/{warehouse}"
        admin.http.patch(path, json={"access_control_list": [entry]}).raise_for_status()
        assert run(stranger, "SELECT 1").status
        admin.http.delete(f"/api/2.0/preview/scim/v2/Groups/{group.json()['id']}").raise_for_status()
        with pytest.raises(PermissionDenied, match="CAN_USE"):
            run(stranger, "SELECT 1")

    def test_a_sibling_warehouse_stays_closed(self, agent: Caller, admin: Caller, name: str) -> None:
        sibling = str(admin.sdk.warehouses.create_and_wait(name=name).id)
        with pytest.raises(PermissionDenied):
            agent.sdk.statement_execution.execute_statement("SELECT 1", sibling)
        admin.sdk.warehouses.delete(sibling)

    def test_others_statements_are_nobodys_business(self, agent: Caller, admin: Caller, run: Run) -> None:
        statement_id = str(run(admin, "SELECT 'secret'").statement_id)
        for ask in (
            agent.sdk.statement_execution.get_statement,
            agent.sdk.statement_execution.cancel_execution,
            lambda found: agent.sdk.statement_execution.get_statement_result_chunk_n(found, 0),
        ):
            with pytest.raises(PermissionDenied):
                ask(statement_id)


class TestReading:
    def test_select_on_the_table_and_use_on_its_parents(
        self, stranger: Caller, admin: Caller, warehouse: str, tables: str, rows: Any, failure: Any
    ) -> None:
        use_warehouse(admin, warehouse, stranger)
        question = f"SELECT count(*) FROM {tables}.orders"
        needed = (
            ("USE CATALOG", "CATALOG", "main"),
            ("USE SCHEMA", "SCHEMA", tables),
            ("SELECT", "TABLE", f"{tables}.orders"),
        )
        for privilege, kind, securable in needed:
            refused = failure(stranger, question)
            assert refused.startswith("42501 [INSUFFICIENT_PERMISSIONS]")
            assert privilege in refused
            rows(admin, f"GRANT {privilege} ON {kind} {securable} TO `{stranger.name}`")
        assert rows(stranger, question) == [["3"]]
        sibling = failure(stranger, f"SELECT * FROM {tables}.salaries")
        assert sibling.startswith("42501")
        assert f"SELECT on Table '{tables}.salaries'" in sibling
        rows(admin, f"REVOKE SELECT ON TABLE {tables}.orders FROM `{stranger.name}`")
        assert failure(stranger, question).startswith("42501")
        rows(admin, f"REVOKE USE CATALOG ON CATALOG main FROM `{stranger.name}`")

    def test_by_group_and_by_inheritance(
        self, agent: Caller, admin: Caller, tables: str, name: str, rows: Any, failure: Any
    ) -> None:
        question = f"SELECT count(*) FROM {tables}.orders"
        assert failure(agent, question).startswith("42501")
        members = [{"value": agent.id}]
        group = admin.http.post("/api/2.0/preview/scim/v2/Groups", json={"displayName": name, "members": members})
        rows(admin, f"GRANT SELECT ON SCHEMA {tables} TO `{name}`")
        assert rows(agent, question) == [["3"]]
        admin.http.delete(f"/api/2.0/preview/scim/v2/Groups/{group.json()['id']}").raise_for_status()
        assert failure(agent, question).startswith("42501")

    @pytest.mark.parametrize(
        "query",
        [
            "SELECT * FROM {s}.orders o JOIN {s}.salaries e ON o.customer = e.employee",
            "SELECT (SELECT max(salary) FROM {s}.salaries)",
            "SELECT 1 WHERE EXISTS (SELECT 1 FROM {s}.salaries WHERE salary > 1)",
            "WITH orders AS (SELECT * FROM {s}.salaries) SELECT * FROM orders",
            "SELECT id FROM {s}.orders UNION ALL SELECT salary FROM {s}.salaries",
            "SELECT * FROM {s}.orders WHERE price > (SELECT min(salary) FROM {s}.salaries)",
            "SELECT * FROM (VALUES (1)) v(x) LEFT JOIN LATERAL (SELECT * FROM {s}.salaries) ON true",
            "SELECT * FROM {s}.orders ORDER BY (SELECT max(salary) FROM {s}.salaries)",
            "SELECT * FROM IDENTIFIER('{s}.salaries')",
            "DESCRIBE TABLE {s}.salaries",
            "CREATE TABLE {s}.copy AS SELECT * FROM {s}.salaries",
            "CREATE TABLE {s}.copy LIKE {s}.salaries",
            "CREATE VIEW {s}.peek AS SELECT * FROM {s}.salaries",
            "INSERT INTO {s}.own SELECT employee FROM {s}.salaries",
            "MERGE INTO {s}.own USING {s}.salaries s ON e = s.employee WHEN NOT MATCHED THEN INSERT (e) VALUES ('x')",
            "UPDATE {s}.own SET e = (SELECT max(employee) FROM {s}.salaries)",
            "DELETE FROM {s}.own WHERE e IN (SELECT employee FROM {s}.salaries)",
            "CREATE FUNCTION {s}.peek() RETURNS INT RETURN (SELECT max(salary) FROM {s}.salaries)",
            "CREATE FUNCTION {s}.peek() RETURNS TABLE (e STRING) RETURN SELECT employee FROM {s}.salaries",
        ],
    )
    def test_there_is_no_way_around_select(
        self, agent: Caller, admin: Caller, tables: str, rows: Any, failure: Any, query: str
    ) -> None:
        rows(admin, f"GRANT CREATE TABLE, CREATE FUNCTION ON SCHEMA {tables} TO `{agent.name}`")
        rows(admin, f"GRANT SELECT ON TABLE {tables}.orders TO `{agent.name}`")
        rows(agent, f"CREATE TABLE {tables}.own (e STRING)")
        refused = failure(agent, query.format(s=tables))
        assert refused.startswith("42501"), refused
        assert "salaries" in refused

    def test_information_schema_shows_what_the_caller_may_see(
        self, agent: Caller, admin: Caller, tables: str, rows: Any
    ) -> None:
        rows(admin, f"GRANT SELECT ON TABLE {tables}.orders TO `{agent.name}`")
        schema = tables.partition(".")[2]
        names = f"SELECT table_name FROM main.information_schema.tables WHERE table_schema = '{schema}'"
        assert rows(agent, names) == [["orders"]]
        assert [row[1] for row in rows(agent, f"SHOW TABLES IN {tables}")] == ["orders"]
        assert sorted(row[1] for row in rows(admin, f"SHOW TABLES IN {tables}")) == ["orders", "salaries"]


class TestViews:
    def test_a_view_is_read_with_its_owners_privileges(
        self, agent: Caller, admin: Caller, tables: str, rows: Any, failure: Any
    ) -> None:
        rows(admin, f"CREATE VIEW {tables}.cheap AS SELECT id, price FROM {tables}.orders WHERE price < 5")
        question = f"SELECT id FROM {tables}.cheap ORDER BY id"
        assert failure(agent, question).startswith("42501")
        rows(admin, f"GRANT SELECT ON VIEW {tables}.cheap TO `{agent.name}`")
        assert rows(agent, question) == [["2"], ["3"]]
        assert failure(agent, f"SELECT * FROM {tables}.orders").startswith("42501")

    def test_an_owner_who_lost_his_privilege_has_a_dead_view(
        self, agent: Caller, admin: Caller, tables: str, rows: Any, failure: Any
    ) -> None:
        rows(admin, f"GRANT CREATE TABLE ON SCHEMA {tables} TO `{agent.name}`")
        rows(admin, f"GRANT SELECT ON TABLE {tables}.orders TO `{agent.name}`")
        rows(agent, f"CREATE VIEW {tables}.mine AS SELECT * FROM {tables}.orders")
        assert len(rows(agent, f"SELECT * FROM {tables}.mine")) == 3
        rows(admin, f"REVOKE SELECT ON TABLE {tables}.orders FROM `{agent.name}`")
        assert failure(agent, f"SELECT * FROM {tables}.mine").startswith("42501")

    def test_a_views_owner_is_not_lent(
        self, agent: Caller, admin: Caller, tables: str, rows: Any, failure: Any
    ) -> None:
        rows(admin, f"GRANT CREATE TABLE, MANAGE ON SCHEMA {tables} TO `{agent.name}`")
        rows(agent, f"CREATE VIEW {tables}.mine AS SELECT 1 AS x")
        assert failure(agent, f"ALTER VIEW {tables}.mine OWNER TO `{admin.name}`").startswith("42501")
        owner = {"owner": admin.name}
        assert agent.http.patch(f"/api/2.1/unity-catalog/tables/{tables}.mine", json=owner).status_code == 403
        catalog, _, schema = tables.partition(".")
        query = {"view_definition": f"SELECT * FROM {tables}.salaries"}
        view = {"catalog_name": catalog, "schema_name": schema, "name": "lent", "table_type": "VIEW"}
        assert agent.http.post("/api/2.1/unity-catalog/tables", json={**view, **owner, **query}).status_code == 403
        assert agent.http.post("/api/2.1/unity-catalog/tables", json=view).status_code == 200
        changed = agent.http.patch(f"/api/2.1/unity-catalog/tables/{tables}.lent", json={**owner, **query})
        assert changed.status_code == 403
        assert admin.sdk.tables.get(f"{tables}.lent").owner == agent.name
        rows(admin, f"CREATE VIEW {tables}.theirs AS SELECT 1 AS x")
        altered = f"ALTER VIEW {tables}.theirs AS SELECT * FROM {tables}.salaries"
        assert failure(agent, altered).startswith("42501")
        assert agent.http.patch(f"/api/2.1/unity-catalog/tables/{tables}.theirs", json=query).status_code == 403

    def test_who_asks_can_be_part_of_a_view(self, agent: Caller, admin: Caller, tables: str, rows: Any) -> None:
        rows(
            admin,
            f"CREATE VIEW {tables}.own_rows AS SELECT employee FROM {tables}.salaries"
            f" WHERE current_user() = '{admin.name}' OR is_account_group_member('readers')",
        )
        rows(admin, f"GRANT SELECT ON TABLE {tables}.own_rows TO `{agent.name}`")
        assert len(rows(admin, f"SELECT * FROM {tables}.own_rows")) == 1
        assert rows(agent, f"SELECT * FROM {tables}.own_rows") == []

    def test_a_failing_condition_does_not_tell_hidden_rows(
        self, agent: Caller, admin: Caller, tables: str, rows: Any
    ) -> None:
        rows(admin, f"CREATE VIEW {tables}.bobs AS SELECT customer FROM {tables}.orders WHERE customer = 'bob'")
        rows(admin, f"GRANT SELECT ON TABLE {tables}.bobs TO `{agent.name}`")
        probe = (
            f"SELECT * FROM {tables}.bobs WHERE CASE WHEN customer = 'ann' THEN CAST(customer AS INT) ELSE 0 END = 0"
        )
        assert rows(agent, probe) == [["bob"]]


class TestChanging:
    @pytest.mark.parametrize(
        ("statement", "needed"),
        [
            ("INSERT INTO {s}.orders VALUES (4, 'cy', 1)", "MODIFY"),
            ("INSERT OVERWRITE {s}.orders SELECT 4, 'cy', 1", "MODIFY"),
            ("UPDATE {s}.orders SET price = 0 WHERE id = 1", "MODIFY, SELECT"),
            ("DELETE FROM {s}.orders WHERE id = 1", "MODIFY, SELECT"),
            (
                "MERGE INTO {s}.orders o USING (SELECT 1 AS id) n ON o.id = n.id WHEN MATCHED THEN UPDATE SET id = 0",
                "MODIFY, SELECT",
            ),
            ("TRUNCATE TABLE {s}.orders", "MODIFY"),
            ("DROP TABLE {s}.orders", "MANAGE"),
            ("ALTER TABLE {s}.orders ADD COLUMNS (note STRING)", "MANAGE"),
            ("COMMENT ON TABLE {s}.orders IS 'mine'", "MANAGE"),
            ("CREATE OR REPLACE TABLE {s}.orders (x INT)", "CREATE TABLE"),
            ("CREATE TABLE {s}.new (x INT)", "CREATE TABLE"),
            ("CREATE VIEW {s}.new AS SELECT 1 AS x", "CREATE TABLE"),
            ("CREATE FUNCTION {s}.new() RETURNS INT RETURN 1", "CREATE FUNCTION"),
            ("GRANT SELECT ON TABLE {s}.orders TO `account users`", "MANAGE"),
            ("REVOKE SELECT ON TABLE {s}.orders FROM `account users`", "MANAGE"),
            ("ALTER TABLE {s}.orders OWNER TO users", "MANAGE"),
            ("CREATE SCHEMA main.{n}", "CREATE SCHEMA"),
            ("DROP SCHEMA {s} CASCADE", "MANAGE"),
        ],
    )
    def test_each_change_is_refused_without_and_done_with_its_privilege(
        self, agent: Caller, admin: Caller, tables: str, name: str, rows: Any, failure: Any, statement: str, needed: str
    ) -> None:
        written = statement.format(s=tables, n=f"{name}_new")
        before = rows(admin, f"SELECT * FROM {tables}.orders ORDER BY id")
        refused = failure(agent, written)
        assert refused.startswith("42501"), refused
        assert rows(admin, f"SELECT * FROM {tables}.orders ORDER BY id") == before
        on = f"SCHEMA {tables}"
        if needed == "CREATE SCHEMA":
            on = "CATALOG main"
        elif "orders" in statement and needed != "CREATE TABLE":
            on = f"TABLE {tables}.orders"
        rows(admin, f"GRANT {needed} ON {on} TO `{agent.name}`")
        if statement.startswith("CREATE OR REPLACE"):
            assert failure(agent, written).startswith("42501")
            rows(admin, f"GRANT MANAGE ON TABLE {tables}.orders TO `{agent.name}`")
        rows(agent, written)
        if needed == "CREATE SCHEMA":
            rows(agent, f"DROP SCHEMA main.{name}_new")
            rows(admin, f"REVOKE CREATE SCHEMA ON CATALOG main FROM `{agent.name}`")
        if statement.startswith("DROP SCHEMA"):
            admin.sdk.schemas.create(name=name, catalog_name="main")

    def test_rows_change_as_the_statements_say(self, admin: Caller, tables: str, rows: Any, failure: Any) -> None:
        orders = f"{tables}.orders"
        assert rows(admin, f"UPDATE {orders} SET price = price + 1, customer = upper(customer) WHERE id < 3") == [["2"]]
        assert rows(admin, f"DELETE FROM {orders} WHERE id = 3") == [["1"]]
        merged = rows(
            admin,
            f"MERGE INTO {orders} AS o USING (SELECT 2 AS id, 'eve' AS who UNION ALL SELECT 7, 'fay') AS n"
            " ON o.id = n.id WHEN MATCHED THEN UPDATE SET customer = n.who"
            " WHEN NOT MATCHED THEN INSERT (id, customer) VALUES (n.id, n.who)",
        )
        assert merged == [["2"]]
        rows(admin, f"INSERT INTO {orders} (id, price) VALUES (8, 0.5)")
        assert rows(admin, f"SELECT * FROM {orders} ORDER BY id") == [
            ["1", "ANN", "10.50"],
            ["2", "eve", "2.00"],
            ["7", "fay", None],
            ["8", None, "0.50"],
        ]
        assert failure(admin, f"INSERT INTO {orders} (customer) VALUES ('x')").startswith("23502")

    def test_what_sql_makes_the_catalog_shows_and_takes_away(self, admin: Caller, schema: str, rows: Any) -> None:
        rows(
            admin, f"CREATE TABLE {schema}.t (id BIGINT NOT NULL COMMENT 'key', tags ARRAY<STRING>) COMMENT 'of a test'"
        )
        rows(admin, f"CREATE VIEW {schema}.v (k) AS SELECT id FROM {schema}.t")
        found = admin.sdk.tables.get(f"{schema}.t")
        assert found.columns
        assert [(c.name, c.type_text, c.nullable, c.comment) for c in found.columns] == [
            ("id", "bigint", False, "key"),
            ("tags", "array<string>", True, None),
        ]
        assert (str(found.table_type), found.comment) == ("TableType.MANAGED", "of a test")
        assert str(admin.sdk.tables.get(f"{schema}.v").table_type) == "TableType.VIEW"
        rows(admin, f"DROP VIEW {schema}.v")
        rows(admin, f"DROP TABLE {schema}.t")
        assert list(admin.sdk.tables.list("main", schema.partition(".")[2])) == []


class TestErrors:
    @pytest.mark.parametrize(
        ("statement", "told"),
        [
            ("SELECT nothing FROM {}.orders", "[UNRESOLVED_COLUMN] A column, variable, or function parameter"),
            ("SELECT nothing(1)", "[UNRESOLVED_ROUTINE] Cannot resolve routine `nothing`"),
            ("SELECT CAST('x' AS INT)", "[CAST_INVALID_INPUT] The value 'x' of the type STRING"),
            ("SELECT price FROM {}.orders GROUP BY customer", "[MISSING_AGGREGATION]"),
            ("SELECT 1 WHERE max(1) > 0", "[INVALID_WHERE_CONDITION]"),
            ("SELECT 1 UNION SELECT 1, 2", "[NUM_COLUMNS_MISMATCH]"),
            ("SELECT (SELECT price FROM {}.orders)", "[SCALAR_SUBQUERY_TOO_MANY_ROWS]"),
            ("SELECT 1 + 'x'", "[DATATYPE_MISMATCH] Cannot resolve +("),
            ("SELECT * FROM {}.orders VERSION AS OF 1", "time travel"),
        ],
    )
    def test_they_have_databricks_words(
        self, admin: Caller, tables: str, failure: Any, statement: str, told: str
    ) -> None:
        message = failure(admin, statement.format(tables))
        assert told in message
        assert " Error: " not in message
        assert "Binder" not in message

    def test_from_json_and_the_history_of_a_table(self, admin: Caller, tables: str, rows: Any, failure: Any) -> None:
        assert rows(admin, """SELECT from_json('{"a": 5}', 'a INT').a, from_json('no', 'a INT')""") == [["5", None]]
        assert rows(admin, "SELECT from_json('[1, 2]', 'ARRAY<INT>')[1]") == [["2"]]
        assert "UNSUPPORTED_FEATURE" in failure(admin, "SELECT from_json('{}', 'a INT', map('mode', 'FAILFAST'))")
        rows(admin, f"INSERT INTO {tables}.orders SELECT * FROM {tables}.orders LIMIT 1")
        versions = [int(row[0]) for row in rows(admin, f"DESCRIBE HISTORY {tables}.orders")]
        assert versions == sorted(versions, reverse=True)
        assert len(versions) > 1
