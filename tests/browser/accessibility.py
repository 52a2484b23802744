"""What a page must have for a keyboard and a screen reader, looked up in the page itself."""

from __future__ import annotations

from playwright.sync_api import Page

# Returns one line for each thing that is wrong.
_LOOK = r"""
() => {
  const problems = [];
  const seen = (e) => e.checkVisibility({ visibilityProperty: true }) && e.getClientRects().length > 0;
  const text = (e) => e ? (e.innerText || e.textContent || "").trim() : "";
  const name = (e) => (e.getAttribute("aria-label") || (e.getAttribute("aria-labelledby") || "").split(" ")
      .map((id) => text(document.getElementById(id))).join(" ").trim()
    || [...(e.labels || [])].map(text).join(" ").trim() || (e.tagName === "IMG" ? e.alt : "") || text(e));
  const describe = (e) => `${e.tagName.toLowerCase()}#${e.id}.${e.className} ${text(e).slice(0, 40)}`;
  if (!document.documentElement.lang) problems.push("the page has no language");
  if (!document.title) problems.push("the page has no title");
  if (document.querySelectorAll("main").length !== 1) problems.push("there is not one main");
  if ([...document.querySelectorAll("h1")].filter(seen).length !== 1) problems.push("there is not one h1");
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  for (const id of ids) if (ids.filter((other) => other === id).length > 1) problems.push(`id ${id} is there twice`);
  const controls = "button, a[href], input:not([type=hidden]), select, textarea, summary, meter";
  for (const e of document.querySelectorAll(controls))
    if (seen(e) && !name(e)) problems.push(`no name: ${describe(e)}`);
  for (const e of document.querySelectorAll("img:not([alt])")) problems.push(`no alt: ${describe(e)}`);
  for (const e of document.querySelectorAll("svg:not([aria-hidden=true])"))
    if (!e.getAttribute("aria-label")) problems.push("a drawing that says nothing");
  for (const e of document.querySelectorAll("[aria-controls]"))
    if (!document.getElementById(e.getAttribute("aria-controls"))) problems.push(`controls nothing: ${describe(e)}`);
  for (const e of document.querySelectorAll("[tabindex]"))
    if (e.tabIndex > 0) problems.push(`takes its place in the focus order: ${describe(e)}`);
  for (const e of document.querySelectorAll("table"))
    if (!e.querySelector("th")) problems.push(`no headers: ${describe(e)}`);
  const rgb = (color) => { const m = color.match(/[\d.]+/g).map(Number); return { c: m.slice(0, 3), a: m[3] ?? 1 }; };
  const linear = (v) => (v <= 10 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => .2126 * linear(r) + .7152 * linear(g) + .0722 * linear(b);
  const behind = (e) => { for (; e; e = e.parentElement) { const { c, a } = rgb(getComputedStyle(e).backgroundColor);
    if (a === 1) return c; } return [255, 255, 255]; };
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !seen(e) || e.closest(":disabled, svg, .visually-hidden, .skip-link")) continue;
    const style = getComputedStyle(e);
    if (Number(style.opacity) < 1 || style.clipPath !== "none") continue;
    const [one, other] = [luminance(rgb(style.color).c), luminance(behind(e))].sort((a, b) => b - a);
    const contrast = (one + .05) / (other + .05);
    if (contrast < 4.5) problems.push(`contrast ${contrast.toFixed(1)}: ${describe(e)}`);
  }
  return problems;
}
"""


def problems(page: Page) -> list[str]:
    """Everything that is wrong; empty when nothing is."""
    found: list[str] = page.evaluate(_LOOK)
    return found


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def focused(page: Page) -> str:
    """Name of what has the focus: its label, or its text."""
    look = "e => e.getAttribute('aria-label') || (e.labels?.[0]?.textContent ?? e.textContent).trim()"
    return str(page.evaluate(f"({look})(document.activeElement)"))
