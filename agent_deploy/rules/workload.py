"""Sizes and kinds of compute of a served entity. Source: Databricks, serving endpoints API reference."""

from __future__ import annotations

from agent_deploy.rules.problems import Problem, not_one_of
from agent_deploy.rules.values import is_known

WORKLOAD_SIZES = ("Small", "Medium", "Large")
WORKLOAD_TYPES = (
    "CPU", "CPU_MEDIUM", "CPU_LARGE",
    "GPU_SMALL", "GPU_MEDIUM", "GPU_LARGE", "MULTIGPU_MEDIUM", "GPU_XLARGE", "GPU_XLARGE_8",
)  # fmt: skip
# Requests that a size handles at once, from → to. Source: Databricks, "Create custom model serving endpoints".
CONCURRENCY = {"Small": 4, "Medium": 16, "Large": 64}


def check_workload(prefix: str, size: object, kind: object) -> list[Problem]:
    """Problems of ``workload_size`` and ``workload_type``; None is the default and passes."""
    rows = (("workload_size", size, WORKLOAD_SIZES), ("workload_type", kind, WORKLOAD_TYPES))
    return [
        not_one_of(f"{prefix}{field}", value, allowed)
        for field, value, allowed in rows
        if value is not None and is_known(value) and value not in allowed
    ]
