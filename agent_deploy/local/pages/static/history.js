// The user's conversations with this endpoint: listed, opened, deleted, saved turn by turn.

import { call, Failure, segment } from "./api.js";
import { element } from "./dom.js";
import * as drafts from "./drafts.js";

const BASE = "/_local/review/conversations";
const LARGEST_TRACE = 300_000; // characters of a trace that are kept with the conversation

export class History {
  constructor(endpoint) {
    this.endpoint = endpoint;
    this._unsaved = `unsaved:${endpoint}`;
    // Other tabs of the same browser, which show the same list.
    this._tabs = new BroadcastChannel(`agent-deploy-review:${endpoint}`);
    window.addEventListener("online", () => this.flush());
  }

  /** Called with a conversation's id when another tab has changed it. */
  onChange(changed) {
    this._tabs.onmessage = (event) => changed(String(event.data));
  }

  async list() {
    return (await call("GET", `${BASE}?endpoint=${segment(this.endpoint)}`)).conversations;
  }

  /** Its turns; none for one that was never saved. */
  async turns(conversation) {
    try {
      return (await call("GET", `${BASE}/${conversation}`)).turns;
    } catch (error) {
      if (error.status === 404) return [];
      throw error;
    }
  }

  async remove(conversation) {
    await call("DELETE", `${BASE}/${conversation}`);
    this._tabs.postMessage(conversation);
  }

  /** Saves a turn; without a connection it is kept here and saved as soon as there is one again. */
  async save(conversation, turn) {
    const kept = { ...turn, endpoint: this.endpoint };
    if (JSON.stringify(kept.trace ?? null).length > LARGEST_TRACE) delete kept.trace;
    const name = `${this._unsaved}:${conversation}/turns/${turn.id}`;
    drafts.keep(name, JSON.stringify(kept));
    await this._put(name);
    this._tabs.postMessage(conversation);
  }

  /** Saves what could not be saved before. */
  async flush() {
    for (const name of drafts.names(`${this._unsaved}:`)) await this._put(name);
  }

  async _put(name) {
    const body = drafts.kept(name);
    try {
      await call("PUT", `${BASE}/${name.slice(this._unsaved.length + 1)}`, JSON.parse(body));
    } catch (error) {
      const isForLater = error instanceof Failure && (error.isLost || error.status === 401 || error.status >= 500);
      if (isForLater) return;
      drafts.keep(name, "");
      throw error;
    }
    if (drafts.kept(name) === body) drafts.keep(name, "");
  }
}

/** The list as elements; `opened` and `removed` are called with an id. */
export function listed(conversations, current, opened, removed) {
  return conversations.map((each) => {
    const address = new URL(location.href);
    address.searchParams.set("conversation", each.id);
    const link = element("a", { href: address.href, title: each.title, "aria-current": each.id === current ? "page" : null },
      each.title, element("time", { datetime: new Date(each.updated_ms).toISOString() }, when(each.updated_ms)));
    link.addEventListener("click", (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      opened(each.id);
    });
    const button = element("button", { type: "button", class: "plain", "aria-label": `Delete conversation: ${each.title}` }, "Delete");
    button.addEventListener("click", () => removed(each));
    return element("li", { class: each.id === current ? "current" : null }, link, button);
  });
}

function when(milliseconds) {
  return new Date(milliseconds).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
}
