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
  const texts = Object.keys(text).length ? [text] : null;
  if (!texts && !documents.length) return null;
  // The model's signature wants all four columns.
  return {
    request_id: turn.request_id,
    source: { id: user, type: "human" },
    text_assessments: texts,
    retrieval_assessments: documents.length ? documents : null,
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
  for (const [key, wanted] of assessments(turn, rating)) {
    const known = rating.assessments[key];
    const path = `/api/3.0/mlflow/traces/${segment(turn.trace_id)}/assessments`;
    const time = new Date().toISOString();
    const source = { source_type: "HUMAN", source_id: user };
    const assessment = { trace_id: turn.trace_id, source, last_update_time: time, ...wanted };
    if (known) {
      const changed = { assessment: { ...assessment, assessment_id: known }, update_mask: wanted.feedback ? "feedback" : "expectation" };
      await call("PATCH", `${path}/${segment(known)}`, changed);
    } else {
      const made = { assessment: { ...assessment, create_time: time, valid: true } };
      const answer = await patiently(() => call("POST", path, made));
      rating.assessments[key] = answer.assessment?.assessment_id;
    }
  }
}

/** Key and assessment of each thing that was said, in MLflow's words; as `agent_deploy.client.feedback` writes them. */
function* assessments(turn, rating) {
  const said = record(turn, rating);
  for (const assessment of [...(said?.text_assessments ?? []), ...(said?.retrieval_assessments ?? [])]) {
    const { position, step_id: step, ratings = {}, free_text_comment: comment, suggested_output: suggested } = assessment;
    const about = position === undefined ? {} : { metadata: { position: String(position), ...(step ? { step_id: step } : {}) } };
    const place = position === undefined ? "" : `${position}:`;
    for (const [name, { value }] of Object.entries(ratings)) yield [place + name, { ...about, assessment_name: name, feedback: { value } }];
    if (comment) yield ["free_text_comment", { assessment_name: "free_text_comment", feedback: { value: comment } }];
    if (suggested) yield ["expected_response", { assessment_name: "expected_response", expectation: { value: suggested } }];
  }
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
