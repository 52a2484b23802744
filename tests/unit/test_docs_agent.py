"""The sample agent as MLflow calls it: answers with sources, both styles, streams, conversations, bad settings."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import pytest
from mlflow.types.responses import ResponsesAgentRequest

from stacks.agents.docs_agent.agent import DocsAgent

pytestmark = pytest.mark.processes

GUIDE = """
# Guide

## Feeding

A whale is fed by this command:

```
whale feed
```

Whales eat krill. They are fed twice a day. They never eat fish. Nobody knows why. It has always been so.

## Housing

Whales live in a large tank. The tank is cleaned daily.
"""


@pytest.fixture(autouse=True, scope="module")
def _no_traces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    # MLflow opens its store even so: not in the current folder. It makes one in seconds, so there is one for all.
    store = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}")
        mlflow.tracing.disable()
        yield
        mlflow.tracing.enable()


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    (tmp_path / "guide.md").write_text(GUIDE)
    return tmp_path


def agent(docs: Path) -> DocsAgent:
    made = DocsAgent()
    made.load_context(SimpleNamespace(artifacts={"docs": str(docs)}))
    return made


def ask(asked: DocsAgent, *said: str, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text} for text in said]
    return asked.predict(ResponsesAgentRequest(input=messages, **more)).model_dump(exclude_none=True)


def text(answer: dict[str, Any]) -> str:
    return str(answer["output"][0]["content"][0]["text"])


def test_a_short_answer_quotes_what_was_asked_and_names_its_source(docs: Path) -> None:
    answer = ask(agent(docs), "What do whales eat?")
    assert text(answer).startswith("Whales eat krill.")
    assert "It has always been so." not in text(answer)
    assert text(answer).endswith("Source: guide.md › Feeding")
    assert answer["output"][0]["content"][0]["annotations"] == [
        {"type": "file_citation", "file_id": "guide.md › Feeding", "index": 0}
    ]


def test_a_long_answer_brings_all_passages_with_numbered_sources(docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSWER_STYLE", "long")
    answer = ask(agent(docs), "Tell me about whales")
    assert "[1] guide.md" in text(answer)
    assert "[2] guide.md" in text(answer)
    assert "```\nwhale feed\n```" in text(answer)
    assert answer["custom_outputs"]["answer_style"] == "long"


def test_a_long_answer_leaves_out_what_says_nothing_by_itself(docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSWER_STYLE", "long")
    table = "| animal | meaning |\n|---|---|\n| walrus | sleeps beside narwhals |\n"
    sea = f"# Sea\n\n## Names\n\nNarwhals have a tooth. These narwhals are known:\n\n{table}\nNarwhals sing.\n"
    (docs / "sea.md").write_text(sea)
    told = text(ask(agent(docs), "Tell me about narwhals"))
    assert "Narwhals sing." in told
    assert "walrus" not in told
    assert "known:" not in told
    # What the question is about is told in any case.
    assert "walrus" in text(ask(agent(docs), "Where does the walrus sleep?"))


def test_top_k_limits_what_is_read(docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSWER_STYLE", "long")
    monkeypatch.setenv("TOP_K", "1")
    assert len(ask(agent(docs), "Tell me about whales")["custom_outputs"]["sources"]) == 1


def test_it_answers_without_a_network(docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the agent asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert text(ask(agent(docs), "What do whales eat?")).startswith("Whales eat krill.")


def test_what_the_documentation_does_not_say_is_not_made_up(docs: Path) -> None:
    answer = ask(agent(docs), "Who won the world cup?")
    assert text(answer) == "The documentation does not say. It is about: Feeding, Housing."
    assert answer["custom_outputs"]["sources"] == []


def test_a_follow_up_is_about_what_was_asked_before(docs: Path) -> None:
    assert "cleaned daily" in text(ask(agent(docs), "Where do whales live, in a tank?", "And how often is it cleaned?"))


def test_the_stream_is_the_answer_in_pieces(docs: Path) -> None:
    question = ResponsesAgentRequest(input=[{"role": "user", "content": "What do whales eat?"}])
    events = [event.model_dump() for event in agent(docs).predict_stream(question)]
    pieces = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    assert len(pieces) > 5
    assert "".join(pieces) == events[-1]["item"]["content"][0]["text"]


def test_databricks_options_and_parts_of_content_are_understood(docs: Path) -> None:
    content = [{"type": "input_text", "text": "What do whales eat?"}]
    options = {"return_trace": True, "conversation_id": "c"}
    question = {"input": [{"role": "user", "content": content}], "databricks_options": options}
    answer = agent(docs).predict(ResponsesAgentRequest(**question))
    assert text(answer.model_dump()).startswith("Whales eat krill.")


def test_no_question_is_answered_with_what_may_be_asked(docs: Path) -> None:
    assert text(ask(agent(docs), " ")).startswith("Ask me something")


@pytest.mark.parametrize(
    ("name", "value"), [("ANSWER_STYLE", "loud"), ("TOP_K", "many"), ("TOP_K", "0"), ("TOP_K", "99")]
)
def test_a_wrong_setting_fails_the_start_and_names_itself(
    docs: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=f"{name} '{value}': expected"):
        agent(docs)


def test_without_documentation_it_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no Markdown file"):
        agent(tmp_path)
