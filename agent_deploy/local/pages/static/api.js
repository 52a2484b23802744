// The workspace's REST API, asked as the user who is signed in.

const BROWSER = "/browser";

function meta(name) {
  return document.querySelector(`meta[name="${name}"]`)?.content ?? "";
}

export const user = meta("user");

/** An answer that is no success; `status` 0 when no answer came at all. */
export class Failure extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }

  get isLost() {
    return this.status === 0;
  }
}

/** The response; raises Failure for one that is no success, and for a connection that broke. */
export async function request(method, path, body, signal) {
  let response;
  try {
    response = await fetch(BROWSER + path, {
      method,
      signal,
      headers: { "Content-Type": "application/json", "X-CSRF-Token": meta("csrf-token") },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure(0, "The connection to the workspace was lost.");
  }
  if (!response.ok) throw new Failure(response.status, await message(response));
  return response;
}

/** The JSON of the answer. */
export async function call(method, path, body) {
  return (await request(method, path, body)).json();
}

export function segment(name) {
  return encodeURIComponent(name);
}

async function message(response) {
  const text = await response.text();
  try {
    const body = JSON.parse(text);
    return String(body.message ?? body.error ?? text);
  } catch {
    return text || `The workspace answered with status ${response.status}.`;
  }
}
