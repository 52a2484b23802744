// Sends a rating: to the endpoint's feedback model, and as MLflow assessments on the answer's trace.

import { call, Failure, segment, user } from "./api.js";

export const THUMB = "answer_correct";
export const NAMED = ["accurate", "complete", "clear"];
export const FEEDBACK = "feedback"; // the feedback model's served entity
const DOCUMENT = "relevant";
const PAUSES = [300, 700, 1500, 3000]; // a trace reaches the workspace a moment after the answer

/** A rating of nothing yet. `ratings` and `documents` hold "positive" or "negative", by name and by position. */
export function emptyRating() {
  return { ratings: {}, comment: "", suggested: "", documents: {}, assessments: {} };
}

/** The feedback model's record for one rated answer; null when nothing was said. Source: the seed's feedback request. */
export function record(turn, rating) {
  const ratings = Object.fromEntries(Object.entries(rating.ratings).map(([name, value]) => [name, { value }]));
  const text = {};
  if (Object.keys(ratings).length) text.ratings = ratings;
  if (rating.comment.trim()) text.free_text_comment = rating.comment.trim();
  if (rating.suggested.trim()) text.suggested_output = rating.suggested.trim();
  const documents = Object.entries(rating.documents).map(([position, value]) => {
    const step = turn.sources?.find((source) => source.position === Number(position))?.step;
    return { position: Number(position), ...(step ? { step_id: step } : {}), ratings: { [DOCUMENT]: { value } } };
  });
  if (!Object.keys(text).length && !documents.length) return null;
  return {
    request_id: turn.request_id,
    source: { id: user, type: "human" },
    ...(Object.keys(text).length ? { text_assessments: [text] } : {}),
    ...(documents.length ? { retrieval_assessments: documents } : {}),
  };
}

/** Sends to the feedback model; raises Failure. */
export async function sendFeedback(endpoint, turn, rating) {
  const said = record(turn, rating);
  const path = `/serving-endpoints/${segment(endpoint)}/served-models/${FEEDBACK}/invocations`;
  if (said) await call("POST", path, { dataframe_records: [said] });
}

/** Writes assessments on the trace, notes their ids in the rating; raises Failure. */
export async function sendAssessments(turn, rating) {
  for (const wanted of assessments(rating)) {
    const known = rating.assessments[wanted.assessment_name];
    const path = `/api/3.0/mlflow/traces/${segment(turn.trace_id)}/assessments`;
    const time = new Date().toISOString();
    const source = { source_type: "HUMAN", source_id: user };
    const assessment = { trace_id: turn.trace_id, source, last_update_time: time, ...wanted };
    if (known) {
      const mask = wanted.expectation ? "expectation" : "feedback,rationale";
      await call("PATCH", `${path}/${segment(known)}`, { assessment: { ...assessment, assessment_id: known }, update_mask: mask });
      continue;
    }
    const answer = await patiently(() => call("POST", path, { assessment: { ...assessment, create_time: time } }));
    rating.assessments[wanted.assessment_name] = answer.assessment?.assessment_id;
  }
}

function assessments(rating) {
  const rationale = rating.comment.trim() ? { rationale: rating.comment.trim() } : {};
  const made = Object.entries(rating.ratings).map(([name, value]) => ({
    assessment_name: name,
    feedback: { value },
    ...(name === THUMB ? rationale : {}),
  }));
  if (!rating.ratings[THUMB] && rationale.rationale) {
    made.push({ assessment_name: "comment", feedback: { value: rationale.rationale } });
  }
  if (rating.suggested.trim()) {
    made.push({ assessment_name: "expected_response", expectation: { value: rating.suggested.trim() } });
  }
  return made;
}

async function patiently(send) {
  for (const pause of PAUSES) {
    try {
      return await send();
    } catch (error) {
      if (!(error instanceof Failure) || error.status !== 404) throw error;
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
  return send();
}
