// What was typed and not yet sent, kept in the browser through reloads, lost connections and sessions that end.

import { user } from "./api.js";

const PREFIX = "agent-deploy-draft:";

function key(name) {
  return `${PREFIX}${user}:${name}`;
}

export function keep(name, text) {
  if (text.trim()) localStorage.setItem(key(name), text);
  else localStorage.removeItem(key(name));
}

export function kept(name) {
  return localStorage.getItem(key(name)) ?? "";
}

/** Names below `prefix` that have a draft. */
export function names(prefix) {
  const start = key(prefix);
  return Object.keys(localStorage).filter((each) => each.startsWith(start)).map((each) => each.slice(key("").length));
}

/** At sign-out: the next user of this browser shall not read what this one typed. */
export function forget() {
  for (const each of Object.keys(localStorage)) if (each.startsWith(key(""))) localStorage.removeItem(each);
}

document.getElementById("sign-out")?.addEventListener("submit", forget);
