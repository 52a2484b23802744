"""Shows the assessments on a trace, as MLflow's client reads them: TRACE_ID."""

from __future__ import annotations

import sys

import mlflow


def main(trace_id: str) -> None:
    """Prints one line for each."""
    trace = mlflow.get_trace(trace_id)
    for assessment in trace.info.assessments if trace else ():
        value = assessment.feedback.value if assessment.feedback else None
        print(f"{assessment.name} = {value} by {assessment.source.source_id}")  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1])
