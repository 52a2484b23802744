"""Texts that a version of YAML reads as something else, or in other lines, when they are not quoted."""

from __future__ import annotations

from hypothesis import strategies as st

# Each means something in YAML 1.1, in 1.2, or in Pulumi's own reader of it.
SPELLED = (
    *("7831e12", "1e3", "1E3", "-1e3", "+1.5e-3", "1e+3", "0o17", "0O17", "0x1F", "0b101", "017", "08", "1_000", "0_"),
    *(".5", "1.", "1.5", "-.5", "+12", "-0", "0", "00", ".inf", "-.Inf", ".NAN", "NaN", "inf", "190:20:30", "1:2"),
    *("2020-01-02", "2020-13-45", "2001-12-14t21:59:43.10-05:00", "2001-12-14 21:59:43.10 -5", "12e03", "e12", "_1"),
    *("yes", "No", "ON", "off", "y", "N", "true", "False", "TRUE", "~", "null", "Null", "", " ", "  a", "a  ", "\t"),
    *("<<", "=", "-", "--", "---", "...", "?", ":", "!", "!!str", "&a", "*a", "|", ">", "%a", "@a", "`a", ",", "[", "{}"),
    *("a: b", "a:", ": a", "a #b", "#", "a#b", "- a", "? a", "'", '"', "it's", '"a"', "\\", "\\n", "${a}", "$${a}", "{{a}}"),
    *("a\nb", "a\n", "\na", "a\n\nb\n", "a\r\nb", "a\rb", "a\u0085b", "a\u2028b", "a\u2029b", "\u0085", "\u2028"),
    *("\ufeffa", "a\u00a0b", "\u00a0", "\u200b", "\u3000a", "\x7f", "\x1b[0m", "\x01", "\x9f", "\ud7ff", "\ue000", "\ufffd"),
    *("\U0001f600", "\U0010ffff", "ä", "日本", "a\tb", "main.default.docs", "Small", "a-b/c_d", "x" * 200, "wide " * 60),
)
# A line feed too many ends a scalar's line; a surrogate is no character by itself.
TEXTS = st.one_of(
    st.sampled_from(SPELLED),
    st.from_regex(r"[-+]?[0-9._]{1,4}([eE:xob-][-+]?[0-9a-f_]{1,4})?", fullmatch=True),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.lists(st.sampled_from(SPELLED), max_size=4).map("".join),
)
