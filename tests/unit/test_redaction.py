"""No value that is to be hidden is shown, in whatever way it is written and wherever the text is cut."""

from __future__ import annotations

import base64
import html
import json
import string
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_deploy.local.serving.logs import MASK, Log, Mask, read
from agent_deploy.rules.redaction import redacted

WRITTEN: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "repr": repr,
    "ascii": ascii,
    "bytes": lambda text: repr(text.encode()),
    "JSON": json.dumps,
    "JSON in Unicode": lambda text: json.dumps(text, ensure_ascii=False),
    "URL": lambda text: quote(text, safe=""),
    "path": quote,
    "form": quote_plus,
    "every byte": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "HTML": html.escape,
    "HTML numbers": lambda text: "".join(f"&#{ord(character)};" for character in text),
}
ENCODED: dict[str, Callable[[bytes], str]] = {
    "base64": lambda raw: base64.b64encode(raw).decode(),
    "base64 in a URL": lambda raw: base64.urlsafe_b64encode(raw).decode(),
    "hexadecimal": lambda raw: raw.hex(),
    "hexadecimal capitals": lambda raw: raw.hex().upper(),
}
SECRETS = st.text(string.printable.replace("\r", "") + "é€\U0001f511\ufeff", min_size=8, max_size=50).filter(
    lambda value: len(value.strip()) >= 8 and value.isprintable() and value not in MASK
)
AROUND = st.text("ab %&+:'\"\\\n[]é", max_size=8)
FEW = settings(max_examples=10, deadline=None)  # of each of many ways


@pytest.mark.parametrize("outer", WRITTEN)
@pytest.mark.parametrize("inner", WRITTEN)
@FEW
@given(secret=SECRETS, before=AROUND, after=AROUND)
def test_it_is_found_however_its_characters_are_written(
    inner: str, outer: str, secret: str, before: str, after: str
) -> None:
    # Between lines of its own: a "%" or backslash right before it is a part of how it is written.
    written = WRITTEN[outer](f"{before}\n{WRITTEN[inner](secret)}\n{after}")
    shown = redacted(written, [secret], MASK)
    assert MASK in shown
    assert secret not in shown


@pytest.mark.parametrize("outer", WRITTEN)
@pytest.mark.parametrize("encoding", ENCODED)
@FEW
@given(secret=SECRETS, before=st.binary(max_size=7), after=st.binary(max_size=7))
def test_it_is_found_in_the_encoding_of_what_it_is_a_part_of(
    encoding: str, outer: str, secret: str, before: bytes, after: bytes
) -> None:
    whole = ENCODED[encoding](before + secret.encode() + after)
    assert MASK in redacted(WRITTEN[outer](f"x {whole} y"), [secret], MASK)


@pytest.mark.parametrize("way", WRITTEN)
@FEW
@given(secret=SECRETS, before=AROUND, after=AROUND)
def test_what_stands_around_it_stays(way: str, secret: str, before: str, after: str) -> None:
    write = WRITTEN[way]
    parts = [write(part) for part in (f"{before}[", secret, f"]{after}")]
    if secret not in before + after:
        assert redacted("\n".join(parts), [secret], MASK).replace(MASK, "").count("\n") >= 2


@pytest.mark.parametrize("way", WRITTEN)
@FEW
@given(
    secrets=st.lists(SECRETS, min_size=1, max_size=3), texts=st.lists(AROUND, min_size=4, max_size=4), data=st.data()
)
def test_a_log_shows_none_wherever_its_writes_are_cut(
    tmp_path_factory: pytest.TempPathFactory, way: str, secrets: list[str], texts: list[str], data: st.DataObject
) -> None:
    folder: Path = tmp_path_factory.mktemp("log")
    whole = "".join(f"{text}\n{WRITTEN[way](secret)}," for text, secret in zip(texts, secrets, strict=False))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    log = Log(folder, "first", Mask(secrets))
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        log.write(whole[start:end])
        for secret in secrets:
            assert secret not in read(folder, "first", "build")
    log.flush()
    shown = read(folder, "first", "build")
    assert MASK in shown
    assert all(secret not in shown and WRITTEN[way](secret) not in shown for secret in secrets)
    assert shown.count("\n") == Mask(secrets)(whole).count("\n")


def test_a_whole_line_is_in_the_log_at_once_and_half_a_one_when_it_ends(tmp_path: Path) -> None:
    log = Log(tmp_path, "first", Mask(["a-secret-value"]))
    log.write("a line\na-sec")
    assert read(tmp_path, "first", "build") == "a line\n"
    log.write("ret-val")
    log.write("ue and more")
    log.flush()
    assert read(tmp_path, "first", "build") == f"a line\n{MASK} and more"


def test_each_line_of_a_secret_is_one() -> None:
    shown = Mask(["-----BEGIN KEY-----\nabcdef\nghijkl\n"])("x abcdef y\n")
    assert shown == f"x {MASK} y\n"


@given(st.text(max_size=200))
def test_what_has_no_secret_stays_as_it_is(text: str) -> None:
    secret = "no-text-has-this-one"
    if secret not in text:
        assert redacted(text, [secret], MASK) == text


@pytest.mark.parametrize("sign", ["\\", "%25", "%", "+", "&amp;", "\\x41", "a"])
def test_a_text_made_to_take_long_does_not(sign: str) -> None:
    text = sign * ((1 << 18) // len(sign))
    start = time.process_time()
    redacted(text, ["a-secret-value-of-some-length"], MASK)
    assert time.process_time() - start < 10  # a pass over each way of writing; quadratic ones take hours
