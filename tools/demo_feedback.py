"""Rates an answer as a person would, by an MLflow assessment on its trace, and reads it back: TRACE_ID."""

from __future__ import annotations

import sys
import time

import mlflow
from mlflow.entities import AssessmentSource, AssessmentSourceType
from mlflow.exceptions import MlflowException

PATIENCE = 30.0  # seconds; served processes export traces in the background


def main(trace_id: str) -> None:
    """Prints the assessment as the workspace has it; raises when the trace does not arrive."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            mlflow.get_trace(trace_id, silent=True)
            source = AssessmentSource(AssessmentSourceType.HUMAN, "admin@local")
            mlflow.log_feedback(
                trace_id=trace_id, name="answer_correct", value=True, rationale="It names its source.", source=source
            )
            break
        except MlflowException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
    trace = mlflow.get_trace(trace_id)
    for assessment in trace.info.assessments if trace else ():
        value = assessment.feedback.value if assessment.feedback else None
        print(f"{assessment.name} = {value} by {assessment.source.source_id}: {assessment.rationale}")  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1])
