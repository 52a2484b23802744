// What an answer stands on: documents of the trace's retrievers, else what the agent names itself.

import { linked } from "./dom.js";
import { documentsOf } from "./trace.js";

const MOST = 50;

/** `{name, address, text, position, step}` each; `position` only for documents that retrievers found. */
export function sourcesOf(answer) {
  const documents = documentsOf(answer.trace);
  const named = documents.length ? documents : annotated(answer.annotations);
  return (named.length ? named : output(answer.customOutputs)).slice(0, MOST);
}

function annotated(annotations) {
  const named = annotations.filter((each) => each && typeof each === "object").map((each) => ({
    name: String(each.title ?? each.filename ?? each.file_id ?? each.url ?? "Source"),
    address: String(each.url ?? ""),
    text: "",
  }));
  return named.filter((each, index) => named.findIndex((other) => other.name === each.name) === index);
}

function output(outputs) {
  const sources = Array.isArray(outputs?.sources) ? outputs.sources : [];
  return sources.map((each) => {
    if (!each || typeof each !== "object") return { name: String(each), address: "", text: "" };
    const name = each.title ?? ([each.file, each.heading].filter(Boolean).join(", ") || (each.name ?? each.url ?? "Source"));
    return { name: String(name), address: String(each.url ?? ""), text: String(each.text ?? "") };
  });
}

/** The source's name, a link when it has an address of the web. */
export function sourceName(source) {
  return linked(source.address || "", source.name);
}
