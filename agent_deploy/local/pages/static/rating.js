// The controls by which an answer is rated; what is typed here is kept until it is sent.

import { element, icon } from "./dom.js";
import * as drafts from "./drafts.js";
import { emptyRating, NAMED, sendAssessments, sendFeedback, THUMB } from "./feedback.js";

const UP = "M7 11v9H4v-9zM7 11l4-7a2 2 0 0 1 2 2v4h5.5a1.5 1.5 0 0 1 1.5 1.8l-1.3 6.8A1.8 1.8 0 0 1 17 20H7";
const DOWN = "M17 13V4h3v9zM17 13l-4 7a2 2 0 0 1-2-2v-4H5.500a1.500 1.500 0 0 1-1.500-1.800l1.300-6.800A1.800 1.800 0 0 1 7 4h10";
const VALUES = { up: "positive", down: "negative" };
const NAME = /^[A-Za-z][\w .-]{0,62}$/;

/** Two thumbs; `get` and `set` read and write "positive", "negative" or nothing. What was sent can be changed, not unsaid. */
export function thumbs(about, get, set, isSent = () => true) {
  const buttons = Object.entries({ up: ["Good", UP], down: ["Bad", DOWN] }).map(([way, [word, path]]) => {
    const button = element("button", { type: "button", class: `thumb ${way}`, "aria-label": `${word}: ${about}` }, icon(path));
    button.addEventListener("click", () => {
      if (get() !== VALUES[way]) set(VALUES[way]);
      else if (!isSent()) set(null);
      show();
    });
    return [way, button];
  });
  const show = () => buttons.forEach(([way, button]) => button.setAttribute("aria-pressed", String(get() === VALUES[way])));
  show();
  return element("span", { class: "thumbs" }, ...buttons.map(([, button]) => button));
}

/** The rating of one turn. `context` has `endpoint`, `takesFeedback`, `save(turn)`, `announce(text)`. */
export class RatingPanel {
  constructor(turn, context) {
    this.turn = turn;
    this.context = context;
    this.rating = { ...emptyRating(), ...structuredClone(turn.rating ?? {}) };
    this.status = element("span", { class: "saved", role: "status" });
    this._sending = Promise.resolve();
    this.element = element("div", { class: "rating" }, this._bar(), this._details());
    if (turn.rating) this.status.textContent = "You rated this answer.";
    if (!context.takesFeedback && !turn.trace_id) this._tell("This endpoint takes no feedback.", true);
  }

  /** Thumbs for a document that a retriever found. */
  documentThumbs(source) {
    const { documents } = this.rating;
    return thumbs(`source ${source.name}`, () => documents[source.position], (value) => {
      assign(documents, source.position, value);
      this.send();
    });
  }

  /** Sends all that was said so far: the last feedback of a user is the one that counts. */
  send() {
    this._sending = this._sending.then(() => this._send());
    return this._sending;
  }

  _bar() {
    const { ratings } = this.rating;
    const bar = thumbs("the answer", () => ratings[THUMB], (value) => {
      assign(ratings, THUMB, value);
      this.details.open = true;
      this.send();
    });
    bar.append(this.status);
    return bar;
  }

  _details() {
    const form = element("form", { class: "rating-form" }, this._named(), this._text("comment", "Comment", "What was good, what was wrong?"),
      this._text("suggested", "Suggested answer", "What should the agent have said?"),
      element("div", { class: "actions" }, element("button", { type: "submit", class: "primary" }, "Send rating")));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    this.details = element("details", { class: "fold" }, element("summary", {}, "Rate in detail"), form);
    return this.details;
  }

  _named() {
    const rows = element("div", { class: "named" });
    const add = (name) => rows.append(element("div", { class: "named-row" }, element("span", {}, name),
      thumbs(name, () => this.rating.ratings[name], (value) => assign(this.rating.ratings, name, value), () => Boolean(this.turn.rating?.ratings[name]))));
    const shown = new Set([...NAMED, ...Object.keys(this.rating.ratings).filter((name) => name !== THUMB)]);
    shown.forEach(add);
    const id = `name-${this.turn.id}`;
    const input = element("input", { id, maxlength: 63, autocomplete: "off" });
    const button = element("button", { type: "button" }, "Add");
    button.addEventListener("click", () => {
      const name = input.value.trim();
      input.setCustomValidity(NAME.test(name) ? "" : "A name begins with a letter; letters, digits, spaces, '_', '-' and '.' follow.");
      if (!input.reportValidity() || shown.has(name)) return;
      shown.add(name);
      add(name);
      input.value = "";
      rows.lastChild.querySelector("button").focus();
    });
    input.addEventListener("input", () => input.setCustomValidity(""));
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      button.click();
    });
    return element("fieldset", {}, element("legend", {}, "Ratings"), rows, element("div", { class: "add-name" },
      element("div", {}, element("label", { for: id }, "Another rating, by name"), input), button));
  }

  _text(field, label, hint) {
    const id = `${field}-${this.turn.id}`;
    const input = element("textarea", { id, rows: 2, placeholder: hint });
    input.value = drafts.kept(id) || this.rating[field];
    this.rating[field] = input.value;
    input.addEventListener("input", () => {
      this.rating[field] = input.value;
      drafts.keep(id, input.value);
    });
    return element("div", {}, element("label", { for: id }, label), input);
  }

  async _send() {
    const { turn, rating, context } = this;
    const wasEmpty = !turn.rating;
    const sent = structuredClone(rating);
    const notes = [];
    try {
      if (context.takesFeedback) await sendFeedback(context.endpoint, turn, sent);
      else if (!turn.trace_id) return this._tell("This endpoint takes no feedback.", true);
    } catch (error) {
      return this._tell(`Not sent: ${error.message} What you wrote is kept; send it again.`, true);
    }
    try {
      if (turn.trace_id) await sendAssessments(turn, sent);
    } catch (error) {
      if (!context.takesFeedback) return this._tell(`Not sent: ${error.message}`, true);
      notes.push(" (not noted on the trace: you may not edit its experiment, or it is not there)");
    }
    rating.assessments = sent.assessments;
    turn.rating = { ...sent, sent_ms: Date.now() };
    for (const field of ["comment", "suggested"]) if (rating[field] === sent[field]) drafts.keep(`${field}-${turn.id}`, "");
    await context.save(turn);
    return this._tell((wasEmpty ? "Rating saved. Thank you." : "Rating updated.") + notes.join(""), false);
  }

  _tell(text, isBad) {
    this.status.textContent = text;
    this.status.classList.toggle("bad", isBad);
  }
}

function assign(values, name, value) {
  if (value) values[name] = value;
  else delete values[name];
}
