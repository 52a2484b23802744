// One logged conversation, for the team: what was asked and answered, and how everybody rated it.

import { Answer } from "./answer.js";
import { call, Failure, segment } from "./api.js";
import { element } from "./dom.js";
import { sourcesOf } from "./sources.js";
import { TurnView } from "./turn.js";

const CUT = "The answer is not in the log as a whole: it was longer than the payload table keeps.";
const main = document.getElementById("turns");
const { endpoint, conversation, user } = main.dataset;

function read(logged) {
  const answer = new Answer();
  let error = logged.response === null ? CUT : "";
  try {
    if (logged.status !== 200) error = String(logged.response?.message ?? `The answer had status ${logged.status}.`);
    else if (logged.response !== null) answer.take(logged.response);
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
    error = failure.message;
  }
  const trace = answer.trace ?? logged.response?.databricks_output?.trace;
  const entity = logged.version ? `${logged.entity}, version ${logged.version}` : logged.entity;
  return { ...logged, id: logged.request_id, entity, state: error ? "failed" : "answered", error, answer: answer.text,
    trace, sources: sourcesOf({ ...answer, trace }) };
}

function ratings(turn) {
  if (!turn.ratings.length) return element("p", { class: "quiet" }, "Nobody has rated this answer.");
  const kinds = { positive: "chip good", negative: "chip bad" };
  const rows = turn.ratings.map(({ user: who, name, value }) => element("tr", {}, element("td", {}, name),
    element("td", {}, kinds[value] ? element("span", { class: kinds[value] }, value) : value), element("td", {}, who)));
  const head = element("tr", {}, ...["Rating", "Value", "By"].map((text) => element("th", { scope: "col" }, text)));
  const table = element("table", { class: "table" }, element("thead", {}, head), element("tbody", {}, ...rows));
  return element("div", { class: "table-frame ratings", tabindex: 0, role: "region", "aria-label": "Ratings" }, table);
}

try {
  const query = `endpoint=${segment(endpoint)}&conversation=${segment(conversation)}&user=${segment(user)}`;
  const { turns } = await call("GET", `/_local/review/logged?${query}`);
  main.replaceChildren(...turns.map((logged) => {
    const turn = read(logged);
    const view = new TurnView(turn);
    view.finished(ratings(turn));
    return view.element;
  }));
} catch (error) {
  main.replaceChildren(element("p", { class: "notice bad", role: "alert" }, error.message));
}
