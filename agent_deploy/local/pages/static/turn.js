// Shows one question with its answer: text, what it stands on, the trace, and what the context adds (the rating).

import { duration, element } from "./dom.js";
import { markdown } from "./markdown.js";
import { sourceName } from "./sources.js";
import { traceTree } from "./trace.js";

const STATES = {
  asking: "No answer yet: another tab waits for it, or the page was closed before it came.",
  stopped: "You stopped this answer.",
  lost: "The connection was lost before the answer was complete.",
  failed: "The agent failed.",
};

/** `thumbsOf(source)` and `after` add to what everybody sees; `again` asks the question once more. */
export class TurnView {
  constructor(turn, { thumbsOf = () => null, again = null } = {}) {
    this.turn = turn;
    this._thumbsOf = thumbsOf;
    this._again = again;
    this.text = element("div", { class: "answer-text" });
    this.status = element("div", { class: "waiting", hidden: true });
    this.rest = element("div");
    this.element = element("article", { class: "turn", "aria-label": `Question: ${turn.question.slice(0, 120)}` },
      element("p", { class: "question" }, turn.question),
      element("div", { class: "answer" }, this.text, this.status, this.rest));
    this._drawn = null;
  }

  /** What is waited for; nothing when no text is given. */
  waiting(text) {
    this.status.hidden = !text;
    this.status.textContent = text ?? "";
  }

  /** New text, drawn with the next frame. */
  streaming(text) {
    this.turn.answer = text;
    this._drawn ??= requestAnimationFrame(() => {
      this._drawn = null;
      this.text.replaceChildren(markdown(this.turn.answer));
    });
  }

  /** All of a turn that is over. */
  finished(after = null) {
    const { turn } = this;
    this.waiting(null);
    this.text.replaceChildren(markdown(turn.answer ?? ""));
    this.rest.replaceChildren(...[this._notice(), this._facts(), this._sources(), this._trace(), after].filter(Boolean));
  }

  _notice() {
    const { state, error } = this.turn;
    if (state === "answered") return null;
    const text = error || STATES[state] || STATES.failed;
    const button = this._again && element("button", { type: "button", onclick: this._again }, "Ask again");
    return element("div", { class: ["stopped", "asking"].includes(state) ? "notice" : "notice bad" }, element("span", {}, text), button);
  }

  _facts() {
    const { turn } = this;
    const facts = [
      turn.entity && `answered by ${turn.entity}`,
      turn.duration_ms && duration(turn.duration_ms),
      turn.request_id && element("span", {}, "request ", element("code", {}, turn.request_id)),
    ].filter(Boolean);
    return facts.length ? element("div", { class: "facts" }, ...facts.map((fact) => element("span", {}, fact))) : null;
  }

  _sources() {
    const sources = this.turn.sources ?? [];
    if (!sources.length) return null;
    const rows = sources.map((source) => element("li", {},
      element("span", { class: "name" }, sourceName(source)),
      source.position === undefined ? null : this._thumbsOf(source),
      source.text ? element("p", { class: "passage", tabindex: 0, role: "region", "aria-label": `Text of ${source.name}` }, source.text) : null));
    return element("details", { class: "fold" }, element("summary", {}, `Sources (${sources.length})`),
      element("ul", { class: "sources" }, ...rows));
  }

  _trace() {
    const tree = this.turn.trace && traceTree(this.turn.trace);
    return tree ? element("details", { class: "fold" }, element("summary", {}, "Trace"), tree) : null;
  }
}
