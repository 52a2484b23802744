"""DerivedTables' check: what keeps a new pipeline from its tables is told in the preview, known or not."""

from __future__ import annotations

from typing import Any

import pytest

from agent_deploy.provider.plugin.resource import UNKNOWN
from agent_deploy.provider.tables.derived_tables import DerivedTables
from tests.provider.permission_double import CATALOG, Double


@pytest.mark.parametrize(("warehouse", "told"), [(UNKNOWN, False), ("abc", False), (None, True)])
def test_a_kept_table_takes_a_warehouse_that_may_be_made_by_the_same_run(warehouse: Any, told: bool) -> None:
    double = Double()
    double.answers[f"{CATALOG}/tables/main.default.qa_payload_request_logs"] = {"pipeline_id": "gone"}
    wanted = {"pipelineId": UNKNOWN, "payloadTable": "main.default.qa_payload", "warehouseId": warehouse}
    _, failures = DerivedTables().check(double.context, {}, wanted)
    assert ["Give warehouse_id" in failure.reason for failure in failures] == [True] * told
