"""The sample agent's search: what it makes of Markdown, what it finds, and when it says that it found nothing."""

from __future__ import annotations

import pytest

from stacks.agents.docs_agent.search import DocsIndex, passages, sentences

GUIDE = """
# The guide

A **blue whale** is the largest animal. It eats [krill](https://example.org/krill).

## Feeding

Call the feeder like this:

```console
$ whale feed --krill 4t
```

- Fish are refused.
- Plankton is accepted
  in the morning.

| food | amount | when |
|---|---|---|
| krill | 4 t | daily |
| squid | | never |

## Moving to another tank

Tanks are changed in place. The whale stays wet.
"""


@pytest.fixture
def index() -> DocsIndex:
    return DocsIndex(passages("guide.md", GUIDE))


def texts() -> list[str]:
    return [passage.text for passage in passages("guide.md", GUIDE)]


def test_links_lose_their_address_and_keep_their_words() -> None:
    assert "A **blue whale** is the largest animal. It eats krill." in texts()


def test_a_code_block_belongs_to_the_sentence_that_introduces_it() -> None:
    [feeding] = [passage for passage in passages("guide.md", GUIDE) if passage.code]
    assert feeding.text == "Call the feeder like this:"
    assert feeding.code == "$ whale feed --krill 4t"


def test_list_items_are_passages_with_their_continuation_lines() -> None:
    items = [passage.text for passage in passages("guide.md", GUIDE) if passage.kind == "item"]
    assert items == ["Fish are refused.", "Plankton is accepted in the morning."]


def test_table_rows_carry_the_names_of_their_columns() -> None:
    rows = [passage.text for passage in passages("guide.md", GUIDE) if passage.kind == "row"]
    assert rows == ["krill — amount: 4 t; when: daily", "squid — when: never"]


def test_a_hash_in_a_code_block_is_not_a_heading() -> None:
    found = list(passages("a.md", "# A\n\n## B\n\nRun:\n\n```\n# not a heading\n```\n\nAfter.\n"))
    assert [(passage.heading, passage.code) for passage in found] == [("B", "# not a heading"), ("B", "")]


def test_the_source_is_the_file_and_the_heading(index: DocsIndex) -> None:
    assert index.search("Is squid fed?", 1)[0].source == "guide.md › Feeding"


def test_a_word_is_found_in_another_form(index: DocsIndex) -> None:
    assert index.search("change a tank", 1)[0].text.startswith("Tanks are changed in place.")


def test_how_to_finds_the_command(index: DocsIndex) -> None:
    assert index.search("How do I feed the whale?", 1)[0].code == "$ whale feed --krill 4t"


def test_the_definition_comes_first(index: DocsIndex) -> None:
    assert index.search("What is a blue whale?", 1)[0].text.startswith("A **blue whale** is")


def test_nothing_is_found_for_what_the_files_do_not_mention(index: DocsIndex) -> None:
    assert index.search("Who won the world cup?", 5) == []
    assert index.search("what is the?", 5) == []


def test_coverage_tells_how_much_of_the_question_is_mentioned(index: DocsIndex) -> None:
    [all_of_it] = index.search("daily krill", 1)
    [half_of_it] = index.search("zebra krill", 1)
    assert all_of_it.coverage == pytest.approx(1.0)
    assert 0.2 < half_of_it.coverage < 0.8


def test_what_was_said_before_gives_a_short_question_its_subject(index: DocsIndex) -> None:
    assert not any("krill" in passage.text for passage in index.search("And when?", 3))
    assert index.search("And the amount?", 1, context="Tell me about squid")[0].kind == "row"


@pytest.mark.parametrize(
    "question", ['"', "NEAR(a b)", "krill OR", "heading:krill", "*", "krill'; DROP TABLE passages", ""]
)
def test_a_question_is_never_search_syntax(index: DocsIndex, question: str) -> None:
    index.search(question, 3)
    assert index.search("squid", 1)


def test_sentences_are_not_cut_in_abbreviated_versions() -> None:
    assert sentences("Needs v1.2 or later. Then go on: it works.") == ["Needs v1.2 or later.", "Then go on: it works."]


def test_the_repositorys_own_docs_answer_the_demos_question() -> None:
    from pathlib import Path

    root = Path(__file__).resolve().parents[2]
    files = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    found = DocsIndex(p for file in files for p in passages(file.name, file.read_text("utf-8")))
    [best] = found.search("What is a local workspace?", 1)
    assert "127.0.0.1" in best.text
