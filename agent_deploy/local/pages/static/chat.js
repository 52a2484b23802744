// The chat page: asks, shows the answer as it comes, keeps what was typed, and finds earlier conversations again.

import { Answer, ask } from "./answer.js";
import { call, Failure, segment } from "./api.js";
import { duration, element } from "./dom.js";
import * as drafts from "./drafts.js";
import { FEEDBACK } from "./feedback.js";
import { History, listed } from "./history.js";
import { markdown } from "./markdown.js";
import { RatingPanel } from "./rating.js";
import { sourcesOf } from "./sources.js";
import { TurnView } from "./turn.js";

const SLEEPING = "scaled to zero"; // the platform's word in a served entity's state
const POLL_MS = 1500;
const byId = (id) => document.getElementById(id);

class Chat {
  constructor(endpoint) {
    this.endpoint = endpoint;
    this.history = new History(endpoint);
    this.described = null;
    this.turns = [];
    this.running = null; // the AbortController of the answer that is coming
    this.history.onChange((conversation) => this._changedElsewhere(conversation));
  }

  async start() {
    this._listen();
    await this._describe();
    await Promise.all([this._showInstructions(), this.history.flush().catch((error) => this._notice(error.message))]);
    const wanted = new URL(location.href).searchParams.get("conversation");
    await this.open(wanted ?? crypto.randomUUID(), { replace: true });
    byId("send").disabled = false;
  }

  /** Shows a conversation; a new id is a new conversation. */
  async open(conversation, { replace = false } = {}) {
    this.running?.abort();
    this.conversation = conversation;
    const address = new URL(location.href);
    address.searchParams.set("conversation", conversation);
    history[replace ? "replaceState" : "pushState"](null, "", address);
    const input = byId("question");
    // Before the page was ready somebody may have typed already.
    input.value = drafts.kept(this._draft()) || (replace ? input.value : "");
    this._grow();
    this._showHistory(false);
    await this._reload();
    input.focus({ preventScroll: true });
  }

  _draft() {
    return `question:${this.endpoint}:${this.conversation}`;
  }

  async _reload() {
    try {
      this.turns = await this.history.turns(this.conversation);
      this._notice("");
    } catch (error) {
      this.turns = [];
      this._notice(error.message);
    }
    byId("turns").replaceChildren(...(this.turns.length ? this.turns.map((turn) => this._past(turn)) : [this._empty()]));
    this._scroll();
    await this._list();
  }

  _empty() {
    return element("div", { class: "empty" }, element("img", { src: "/ml/static/icon.svg", alt: "", width: 40, height: 40 }),
      element("p", {}, "Ask a question, then say what was right or wrong with the answer."));
  }

  async _list() {
    try {
      const found = await this.history.list();
      byId("conversations").replaceChildren(...listed(found, this.conversation, (id) => this.open(id), (each) => this._remove(each)));
      byId("no-conversations").hidden = found.length > 0;
    } catch (error) {
      this._notice(error.message);
    }
  }

  async _remove(each) {
    if (!confirm(`Delete the conversation “${each.title}”? What was logged of it stays in the payload table.`)) return;
    try {
      await this.history.remove(each.id);
      if (each.id === this.conversation) await this.open(crypto.randomUUID());
      else await this._list();
    } catch (error) {
      this._notice(error.message);
    }
  }

  _changedElsewhere(conversation) {
    if (conversation === this.conversation && !this.running) this._reload();
    else this._list();
  }

  // What is shown of a turn -------------------------------------------------------------------------------------------

  _past(turn) {
    const view = this._view(turn);
    this._finish(turn, view);
    return view.element;
  }

  _view(turn) {
    return new TurnView(turn, {
      again: () => this.ask(turn.question),
      thumbsOf: (source) => turn.panel?.documentThumbs(source),
    });
  }

  _finish(turn, view) {
    const isRateable = turn.request_id && turn.answer;
    const panel = isRateable ? new RatingPanel(turn, this._context()) : null;
    // Not a field of the turn that is saved.
    Object.defineProperty(turn, "panel", { value: panel, configurable: true, enumerable: false });
    view.finished(panel?.element);
  }

  _context() {
    const conversation = this.conversation;
    const entities = this.described?.config?.served_entities;
    return {
      endpoint: this.endpoint,
      takesFeedback: !entities || entities.some((entity) => entity.name === FEEDBACK),
      save: (turn) => this.history.save(conversation, turn).catch((error) => this._notice(error.message)),
    };
  }

  // Asking ------------------------------------------------------------------------------------------------------------

  async ask(question) {
    if (this.running || !question.trim()) return;
    const turn = { id: crypto.randomUUID(), question, answer: "", state: "asking", asked_ms: Date.now() };
    const view = this._view(turn);
    const messages = [...this.turns.flatMap(said), { role: "user", content: question }];
    byId("turns").querySelector(".empty")?.remove();
    byId("turns").append(view.element);
    this._scroll();
    const conversation = this.conversation;
    this.running = new AbortController();
    this._showRunning(true);
    const clock = new Waiting(this, view);
    try {
      await this._answer(turn, view, messages, clock, conversation);
    } finally {
      clock.stop();
      this.running = null;
      this._showRunning(false);
    }
    if (conversation !== this.conversation) return;
    this.turns.push(turn);
    this._finish(turn, view);
    this._afterwards(turn, question);
    await this._list();
  }

  async _answer(turn, view, messages, clock, conversation) {
    const answer = new Answer(({ text }) => {
      if (!text) return;
      clock.stop();
      view.streaming(text);
      this._scroll(true);
    });
    const save = () => this.history.save(conversation, turn).catch((error) => this._notice(error.message));
    try {
      await save();
      const agent = { endpoint: this.endpoint, task: this.described?.task, conversation };
      await ask(agent, messages, answer, this.running.signal);
      turn.state = "answered";
    } catch (error) {
      turn.state = error.name === "AbortError" ? "stopped" : error.isLost ? "lost" : "failed";
      turn.error = turn.state === "stopped" ? "" : error.message;
    }
    turn.answer = answer.text;
    turn.entity = answer.entity;
    turn.request_id = answer.requestId;
    turn.trace = answer.trace ?? undefined;
    turn.trace_id = answer.trace?.info?.trace_id;
    turn.sources = sourcesOf(answer);
    turn.duration_ms = Date.now() - turn.asked_ms;
    await save();
  }

  /** What was typed stays in the composer until it was answered. */
  _afterwards(turn, question) {
    const input = byId("question");
    if (turn.state === "answered" || turn.state === "stopped") {
      if (drafts.kept(this._draft()) === question) drafts.keep(this._draft(), "");
      this._announce(turn.state === "answered" ? `Answer: ${turn.answer.slice(0, 2000)}` : "Stopped.");
      this._describe();
    } else {
      if (!input.value.trim()) input.value = question;
      drafts.keep(this._draft(), input.value);
      this._announce(turn.error);
    }
    this._grow();
    this._scroll(true);
    // The stop button had it and is gone; who has moved on meanwhile is left alone.
    if (document.activeElement === document.body) input.focus({ preventScroll: true });
  }

  // The endpoint ------------------------------------------------------------------------------------------------------

  async _describe() {
    try {
      this.described = await call("GET", `/api/2.0/serving-endpoints/${segment(this.endpoint)}`);
    } catch (error) {
      this.described = null;
      if (error.status !== 403) this._notice(error.message);
    }
    const [text, kind] = stateOf(this.described);
    const chip = byId("endpoint-state");
    chip.hidden = !text;
    chip.textContent = text;
    chip.className = `chip ${kind}`;
    return this.described;
  }

  async _showInstructions() {
    const model = this.described?.config?.served_entities?.find((entity) => entity.name !== FEEDBACK)?.entity_name;
    if (!model) return;
    try {
      const { instructions } = await call("GET", `/api/2.0/agents/deployments/${segment(model)}/instructions`);
      if (!instructions) return;
      byId("instructions-text").replaceChildren(markdown(String(instructions)));
      byId("instructions").hidden = false;
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
    }
  }

  // The page ----------------------------------------------------------------------------------------------------------

  _listen() {
    const input = byId("question");
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      const question = input.value;
      if (this.running || byId("send").disabled || !question.trim()) return;
      input.value = "";
      this._grow();
      this.ask(question);
    });
    input.addEventListener("input", () => {
      drafts.keep(this._draft(), input.value);
      this._grow();
    });
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      byId("composer").requestSubmit();
    });
    byId("stop").addEventListener("click", () => this.running?.abort());
    byId("new-conversation").addEventListener("click", () => this.open(crypto.randomUUID()));
    byId("toggle-history").addEventListener("click", () => this._showHistory(!byId("history").classList.contains("open")));
    window.addEventListener("popstate", () => {
      const wanted = new URL(location.href).searchParams.get("conversation");
      if (wanted && wanted !== this.conversation) {
        byId("question").value = "";
        this.open(wanted, { replace: true });
      }
    });
  }

  _showHistory(isOpen) {
    byId("history").classList.toggle("open", isOpen);
    byId("toggle-history").setAttribute("aria-expanded", String(isOpen));
  }

  _showRunning(isRunning) {
    byId("send").hidden = isRunning;
    byId("stop").hidden = !isRunning;
    if (isRunning) byId("stop").focus({ preventScroll: true });
  }

  _grow() {
    const input = byId("question");
    input.style.height = "auto";
    input.style.height = `${input.scrollHeight + 2}px`;
  }

  _scroll(onlyNearEnd = false) {
    const turns = byId("turns");
    const isNear = turns.scrollHeight - turns.scrollTop - turns.clientHeight < 200;
    if (!onlyNearEnd || isNear) turns.scrollTo({ top: turns.scrollHeight, behavior: "instant" });
  }

  _notice(text) {
    byId("notice").hidden = !text;
    byId("notice").textContent = text;
  }

  _announce(text) {
    byId("announcer").textContent = text ?? "";
  }
}

/** Tells what is waited for until the first text comes: an endpoint that sleeps has to start first. */
class Waiting {
  constructor(chat, view) {
    this._chat = chat;
    this._view = view;
    this._since = Date.now();
    this._what = "Waiting for the answer";
    this._show();
    chat._announce("Waiting for the answer.");
    this._clock = setInterval(() => this._show(), 500);
    this._look();
    this._poll = setInterval(() => this._look(), POLL_MS);
  }

  stop() {
    clearInterval(this._clock);
    clearInterval(this._poll);
    this._clock = null;
    this._view.waiting(null);
  }

  _show() {
    const elapsed = Date.now() - this._since;
    this._view.waiting(elapsed > 2000 ? `${this._what} (${duration(Math.floor(elapsed / 1000) * 1000)})` : `${this._what}…`);
  }

  async _look() {
    const described = await this._chat._describe();
    if (this._clock === null) return;
    const before = this._what;
    this._what = sleeping(described)
      ? "The endpoint is scaled to zero: it is being started, then it answers"
      : "Waiting for the answer";
    if (this._what !== before) this._chat._announce(this._what);
    this._show();
  }
}

/** A turn as messages for the next question; one without an answer is left out. */
function said(turn) {
  if (!turn.answer) return [];
  return [{ role: "user", content: turn.question }, { role: "assistant", content: turn.answer }];
}

function agents(described) {
  return (described?.config?.served_entities ?? []).filter((entity) => entity.name !== FEEDBACK);
}

function sleeping(described) {
  const messages = agents(described).map((entity) => String(entity.state?.deployment_state_message ?? "").toLowerCase());
  return messages.length > 0 && messages.every((message) => message.includes(SLEEPING));
}

function stateOf(described) {
  if (!described) return ["", ""];
  if (described.state?.ready !== "READY") return ["not ready", "bad"];
  if (sleeping(described)) return ["scaled to zero", "warn"];
  return described.state?.config_update === "IN_PROGRESS" ? ["being updated", "warn"] : ["ready", "good"];
}

const chat = new Chat(byId("chat").dataset.endpoint);
await chat.start();
