// Asks an endpoint and reads the answer as it comes, from each kind of agent that MLflow serves.

import { Failure, request, segment } from "./api.js";

// The endpoint's task → the field that holds the conversation. Source: MLflow's agent interfaces.
const FIELDS = { "agent/v1/responses": "input", "agent/v2/chat": "messages", "agent/v1/chat": "messages" };
const SCHEMA_MISTAKES = [400, 422];

/** What has come so far; `shown` is called after each change. */
export class Answer {
  constructor(shown = () => {}) {
    this.text = "";
    this.requestId = "";
    this.trace = null;
    this.annotations = [];
    this.customOutputs = null;
    this._done = ""; // text of messages that are complete
    this._open = ""; // what came since, piece by piece
    this._shown = shown;
  }

  /** One event of a stream, or a whole document; raises Failure for an error that the stream tells. */
  take(event) {
    const error = event.error ?? (event.type === "error" ? event.message ?? event : null);
    if (error) throw new Failure(500, `The agent failed while it was answering: ${error.message ?? error}`);
    this._note(event);
    this._read(event);
    this.text = this._done + this._open;
    this._shown(this);
  }

  _note(event) {
    const output = event.databricks_output;
    if (output && typeof output === "object") {
      this.requestId = String(output.databricks_request_id ?? this.requestId);
      this.trace = output.trace ?? this.trace;
    }
    this.customOutputs = event.custom_outputs ?? this.customOutputs;
  }

  _read(event) {
    if (event.type === "response.output_text.delta") this._open += String(event.delta ?? "");
    else if (event.type === "response.output_item.done") this._close(event.item ?? {});
    else if (Array.isArray(event.output)) event.output.forEach((item) => this._close(item));
    else if (Array.isArray(event.messages)) {
      const said = event.messages.filter((each) => (each.role ?? "assistant") === "assistant");
      this._open = String(said.at(-1)?.content ?? "");
    } else if (Array.isArray(event.choices)) {
      for (const choice of event.choices) this._open += String((choice.delta ?? choice.message)?.content ?? "");
    } else if (event.delta && typeof event.delta === "object") this._open += String(event.delta.content ?? "");
    else if ("predictions" in event) {
      this._open = typeof event.predictions === "string" ? event.predictions : JSON.stringify(event.predictions, null, 2);
    }
  }

  /** A message that is done holds the text before it, even when the agent gave its parts other ids. */
  _close(item) {
    const parts = (Array.isArray(item.content) ? item.content : []).filter((part) => part && typeof part === "object");
    for (const part of parts) this.annotations.push(...(Array.isArray(part.annotations) ? part.annotations : []));
    const text = parts.map((part) => String(part.text ?? part.refusal ?? "")).join("");
    if (!text) return;
    this._done += (this._done ? "\n\n" : "") + text;
    this._open = "";
  }
}

/** Asks the agent `{endpoint, task, conversation}` with all messages; fills `answer`. Raises Failure, or AbortError when
 * `signal` stops it. */
export async function ask(agent, messages, answer, signal) {
  const { task } = agent;
  const fields = FIELDS[task] ? [FIELDS[task]] : String(task ?? "").includes("chat") ? ["messages"] : ["input", "messages"];
  for (const [index, field] of fields.entries()) {
    try {
      return await asked(agent, field, messages, true, answer, signal);
    } catch (error) {
      const isOther = error instanceof Failure && SCHEMA_MISTAKES.includes(error.status);
      if (!isOther || index === fields.length - 1) throw error;
    }
  }
}

async function asked(agent, field, messages, stream, answer, signal) {
  const options = { return_trace: true, conversation_id: agent.conversation };
  const body = { [field]: messages, databricks_options: options };
  if (stream) body.stream = true;
  let response;
  try {
    response = await request("POST", `/serving-endpoints/${segment(agent.endpoint)}/invocations`, body, signal);
  } catch (error) {
    const refused = error instanceof Failure && SCHEMA_MISTAKES.includes(error.status);
    if (!stream || !refused || !error.message.toLowerCase().includes("stream")) throw error;
    return asked(agent, field, messages, false, answer, signal);
  }
  answer.requestId = response.headers.get("x-request-id") ?? "";
  answer.entity = response.headers.get("served-model-name") ?? "";
  if ((response.headers.get("content-type") ?? "").startsWith("text/event-stream")) return events(response, answer);
  return answer.take(await response.json());
}

async function events(response, answer) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let isWhole = false;
  while (true) {
    const { value, done } = await next(reader);
    if (done) break;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (!line.startsWith("data:")) continue;
      const data = line.slice(5).trim();
      if (data === "[DONE]") isWhole = true;
      else if (data) answer.take(JSON.parse(data));
    }
  }
  if (!isWhole) throw new Failure(0, "The connection was lost before the answer was complete.");
}

async function next(reader) {
  try {
    return await reader.read();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure(0, "The connection was lost before the answer was complete.");
  }
}
