// The part of Markdown that answers use, as elements: paragraphs, headings, lists, code, quotes, tables, emphasis, links.
// Everything else, HTML above all, stays the text that it is.

import { element, linked } from "./dom.js";

const FENCE = /^\s*(```|~~~)\s*[\w+-]*\s*$/;
const HEADING = /^(#{1,6})\s+(.*)$/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const QUOTE = /^\s*>\s?(.*)$/;
const DIVIDER = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;
const INLINE =
  /(`+)([^`]|[^`][\s\S]*?[^`])\1(?!`)|\*\*([^*\s](?:[^*]*[^*\s])?)\*\*|(?<![\w*])\*([^*\s](?:[^*]*[^*\s])?)\*(?![\w*])|\[([^\]\n]{1,300})\]\(([^\s()]{1,2000})\)|(https?:\/\/[^\s<>()"']{1,2000}[^\s<>()"'.,;:!?])/g;

/** The text as a fragment; called again with longer text while an answer streams. */
export function markdown(text) {
  const lines = text.replaceAll("\r\n", "\n").split("\n");
  const fragment = document.createDocumentFragment();
  let at = 0;
  while (at < lines.length) {
    const [made, next] = block(lines, at);
    if (made) fragment.append(made);
    at = next;
  }
  return fragment;
}

function block(lines, at) {
  const line = lines[at];
  if (!line.trim()) return [null, at + 1];
  if (FENCE.test(line)) return fenced(lines, at);
  const heading = HEADING.exec(line);
  if (heading) return [element(heading[1].length < 3 ? "h3" : "h4", {}, ...inline(heading[2])), at + 1];
  if (ITEM.test(line)) return list(lines, at);
  if (QUOTE.test(line)) return quoted(lines, at);
  if (line.includes("|") && DIVIDER.test(lines[at + 1] ?? "") && lines[at + 1].includes("-")) return table(lines, at);
  return paragraph(lines, at);
}

function fenced(lines, at) {
  const end = lines.findIndex((line, index) => index > at && FENCE.test(line));
  const stop = end === -1 ? lines.length : end;
  return [element("pre", { tabindex: 0 }, element("code", {}, lines.slice(at + 1, stop).join("\n"))), stop + 1];
}

function list(lines, at) {
  const first = ITEM.exec(lines[at]);
  const depth = first[1].length;
  const made = element(/\d/.test(first[2]) ? "ol" : "ul");
  if (/\d/.test(first[2]) && parseInt(first[2], 10) !== 1) made.setAttribute("start", parseInt(first[2], 10));
  while (at < lines.length) {
    const item = ITEM.exec(lines[at]);
    if (item && item[1].length > depth + 1 && made.lastChild) {
      const [inner, next] = list(lines, at);
      made.lastChild.append(inner);
      at = next;
    } else if (item && item[1].length >= depth) {
      made.append(element("li", {}, ...inline(item[3])));
      at += 1;
    } else if (!item && lines[at].trim() && /^\s{2,}/.test(lines[at]) && made.lastChild) {
      made.lastChild.append(" ", ...inline(lines[at].trim()));
      at += 1;
    } else break;
  }
  return [made, at];
}

function quoted(lines, at) {
  const said = [];
  while (at < lines.length && QUOTE.test(lines[at])) said.push(QUOTE.exec(lines[at++])[1]);
  return [element("blockquote", {}, ...inline(said.join("\n"))), at];
}

function table(lines, at) {
  const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());
  const row = (line, tag) => element("tr", {}, ...cells(line).map((cell) => element(tag, {}, ...inline(cell))));
  const made = element("table", {}, element("thead", {}, row(lines[at], "th")));
  const body = element("tbody");
  at += 2;
  while (at < lines.length && lines[at].includes("|")) body.append(row(lines[at++], "td"));
  made.append(body);
  return [made, at];
}

function paragraph(lines, at) {
  const said = [];
  while (at < lines.length && lines[at].trim() && !(said.length && startsBlock(lines[at]))) said.push(lines[at++]);
  return [element("p", {}, ...inline(said.join("\n"))), at];
}

function startsBlock(line) {
  return FENCE.test(line) || HEADING.test(line) || ITEM.test(line) || QUOTE.test(line);
}

function inline(text) {
  const made = [];
  let last = 0;
  for (const found of text.matchAll(INLINE)) {
    made.push(...broken(text.slice(last, found.index)));
    const [whole, , code, strong, emphasis, label, target, address] = found;
    if (code !== undefined) made.push(element("code", {}, code));
    else if (strong !== undefined) made.push(element("strong", {}, strong));
    else if (emphasis !== undefined) made.push(element("em", {}, emphasis));
    else if (label !== undefined) made.push(/^https?:/i.test(target) ? linked(target, label) : document.createTextNode(whole));
    else made.push(linked(address));
    last = found.index + whole.length;
  }
  made.push(...broken(text.slice(last)));
  return made;
}

/** Text with its line breaks. */
function broken(text) {
  return text.split("\n").flatMap((part, index) => (index ? [element("br"), part] : [part])).filter((part) => part !== "");
}
