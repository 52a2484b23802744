// A trace as a tree: each span with its duration and kind; inputs and outputs are shown when it is opened.

import { duration, element } from "./dom.js";

const SHOWN_CHARACTERS = 20_000;

/** Spans in the order of their start: `{id, parent, name, type, start, end, failed, message, inputs, outputs}`. */
export function spansOf(trace) {
  const spans = trace?.data?.spans ?? trace?.spans ?? [];
  return spans.map(read).sort((one, other) => one.start - other.start);
}

function read(span) {
  const attributes = span.attributes ?? {};
  const status = span.status?.code ?? span.status_code ?? "";
  return {
    id: span.span_id ?? span.context?.span_id,
    parent: span.parent_span_id ?? span.parent_id ?? null,
    name: String(span.name ?? "span"),
    type: String(decoded(attributes["mlflow.spanType"]) ?? ""),
    start: Number(span.start_time_unix_nano ?? span.start_time ?? 0) / 1e6,
    end: Number(span.end_time_unix_nano ?? span.end_time ?? 0) / 1e6,
    failed: String(status).includes("ERROR"),
    message: String(span.status?.message ?? span.status_message ?? ""),
    inputs: decoded(attributes["mlflow.spanInputs"]),
    outputs: decoded(attributes["mlflow.spanOutputs"]),
  };
}

function decoded(value) {
  if (typeof value !== "string") return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

/** Documents that retrievers found: `{position, step, name, text, address}`. */
export function documentsOf(trace) {
  const found = spansOf(trace).filter((span) => span.type === "RETRIEVER" && Array.isArray(span.outputs));
  return found.flatMap((span) => span.outputs.map((output) => document(span, output ?? {})))
    .map((each, position) => ({ ...each, position }));
}

function document(span, output) {
  const metadata = output.metadata ?? {};
  const address = String(metadata.doc_uri ?? metadata.source ?? metadata.url ?? "");
  const heading = metadata.heading ?? metadata.title;
  const name = address && heading ? `${address}, ${heading}` : address || String(heading ?? output.id ?? "Document");
  return { step: String(span.id ?? ""), name, address, text: String(output.page_content ?? "") };
}

/** The tree; null when there is no span. */
export function traceTree(trace) {
  const spans = spansOf(trace);
  if (!spans.length) return null;
  const ids = new Set(spans.map((span) => span.id));
  const start = Math.min(...spans.map((span) => span.start));
  const whole = Math.max(Math.max(...spans.map((span) => span.end)) - start, 0.001);
  const level = (parent) => {
    const here = spans.filter((span) => (parent === null ? !ids.has(span.parent) : span.parent === parent));
    return here.length ? element("ul", {}, ...here.map((span) => element("li", {}, row(span), level(span.id)))) : null;
  };
  const row = (span) => {
    const bar = element("span");
    bar.style.left = `${((span.start - start) / whole) * 100}%`;
    bar.style.width = `${Math.max(((span.end - span.start) / whole) * 100, 0.5)}%`;
    return element(
      "details", { class: "span" },
      element(
        "summary", {},
        element("span", { class: "name" }, span.name),
        span.type && span.type !== "UNKNOWN" ? element("span", { class: "chip" }, span.type.toLowerCase()) : null,
        span.failed ? element("span", { class: "chip bad" }, "failed") : null,
        element("span", { class: "time" }, duration(span.end - span.start)),
        element("span", { class: span.failed ? "bar failed" : "bar", "aria-hidden": "true" }, bar),
      ),
      element("div", { class: "span-data" }, ...data("Inputs", span.inputs), ...data("Outputs", span.outputs),
        ...(span.message ? data("Message", span.message) : [])),
    );
  };
  return element("div", { class: "trace" }, level(null));
}

function data(title, value) {
  if (value === undefined || value === null) return [];
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  const cut = text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text;
  return [element("h4", {}, title), element("pre", { tabindex: 0, role: "region", "aria-label": title }, cut)];
}
