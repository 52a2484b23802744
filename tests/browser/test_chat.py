"""The chat page: signing in, asking, watching the answer come, rating it, and finding all of it again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from deltalake import DeltaTable
from playwright.sync_api import expect

from agent_deploy.local import LocalWorkspace
from tests.browser.conftest import Agent, User, Visitor, ask, eventually, picture

QUESTION = "How many holidays do I have?"


def test_a_reviewer_signs_in_asks_rates_and_finds_it_again(
    agent: Agent, new_user: Callable[..., User], visit: Callable[..., Visitor], gate: Path
) -> None:
    user = new_user("ann", agent.name)
    visitor = visit()
    page = visitor.page(agent.chat)
    expect(page.get_by_role("heading", name="Sign in", exact=True)).to_be_visible()
    picture(page, "sign-in")
    page.get_by_label("Access token").fill(user.token)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", name=agent.name)).to_be_visible()

    # The first words are there while the agent still waits for the rest.
    turn = ask(page, f"{QUESTION} wait:{gate}")
    expect(turn).to_contain_text("From the handbook:")
    assert "thirty days" not in turn.inner_text()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    gate.touch()
    expect(turn).to_contain_text("Holidays are thirty days a year.")
    expect(turn.locator("strong")).to_have_text("handbook")

    turn.get_by_role("button", name="Good: the answer").click()
    expect(turn.get_by_role("status")).to_have_text("Rating saved. Thank you.")
    turn.get_by_label("Comment").fill("Right, and short.")
    turn.get_by_role("button", name="Send rating").click()
    expect(turn.get_by_role("status")).to_have_text("Rating updated.")

    page.reload()
    turn = page.get_by_role("article")
    expect(turn).to_contain_text("Holidays are thirty days a year.")
    expect(turn.get_by_role("button", name="Good: the answer")).to_have_attribute("aria-pressed", "true")
    turn.get_by_text("Rate in detail").click()
    expect(turn.get_by_label("Comment")).to_have_value("Right, and short.")

    page.goto(visitor.host + agent.chat)
    page.get_by_role("link", name=QUESTION).click()
    expect(page.get_by_role("article")).to_contain_text("Holidays are thirty days a year.")


def test_a_whole_rating_is_logged_and_stands_on_the_trace(
    agent: Agent,
    new_user: Callable[..., User],
    visit: Callable[..., Visitor],
    admin_http: httpx.Client,
    local_workspace: LocalWorkspace,
) -> None:
    user = new_user("bea", agent.name)
    page = visit(user).page(agent.chat)
    turn = ask(page, QUESTION)
    turn.get_by_text("Sources (2)").click()
    expect(turn).to_contain_text("handbook.md, Holidays")
    turn.get_by_role("button", name="Bad: source travel.md").click()
    expect(turn.get_by_role("status")).to_have_text("Rating saved. Thank you.")
    turn.get_by_role("button", name="Bad: the answer").click()
    turn.get_by_role("button", name="Good: accurate").click()
    turn.get_by_label("Another rating, by name").fill("polite")
    turn.get_by_label("Another rating, by name").press("Enter")
    turn.get_by_role("button", name="Good: polite").click()
    turn.get_by_label("Comment").fill("It leaves out the carry-over.")
    turn.get_by_label("Suggested answer").fill("Thirty days, five of which can be carried over.")
    turn.get_by_text("Trace", exact=True).click()
    turn.get_by_text("search_handbook").click()
    expect(turn.get_by_role("region", name="Inputs")).to_contain_text(QUESTION)
    picture(page, "chat")
    turn.get_by_role("button", name="Send rating").click()
    expect(turn.get_by_role("status")).to_have_text("Rating updated.")

    request_id = turn.locator("code").first.inner_text()
    feedback = eventually(lambda: _last_feedback(local_workspace, agent, request_id, "free_text_comment"))
    assert feedback["source"] == {"id": user.name, "type": "human"}
    assert feedback["text_assessments"] == [
        {
            "ratings": {
                "answer_correct": {"value": "negative"},
                "accurate": {"value": "positive"},
                "polite": {"value": "positive"},
            },
            "free_text_comment": "It leaves out the carry-over.",
            "suggested_output": "Thirty days, five of which can be carried over.",
        }
    ]
    (document,) = feedback["retrieval_assessments"]
    assert (document["position"], document["ratings"]) == (1, {"relevant": {"value": "negative"}})
    assert _assessments(admin_http, agent, request_id) == {
        ("answer_correct", "negative", user.name),
        ("accurate", "positive", user.name),
        ("polite", "positive", user.name),
        ("relevant", "negative", user.name),
        ("free_text_comment", "It leaves out the carry-over.", user.name),
        ("expected_response", "Thirty days, five of which can be carried over.", user.name),
    }


def _last_feedback(workspace: LocalWorkspace, agent: Agent, request_id: str, having: str) -> Any:
    """The latest logged feedback on a request with this field; nothing until it is there."""
    catalog, schema, model = agent.model.split(".")
    table = DeltaTable(workspace.folder / "tables" / catalog / schema / f"{model}_payload").to_pyarrow_table()
    logged = [json.loads(row["request"]) for row in sorted(table.to_pylist(), key=lambda row: row["request_time"])]
    records = [record for request in logged for record in request.get("dataframe_records", ())]
    found = [r for r in records if r["request_id"] == request_id and having in json.dumps(r)]
    return found[-1] if found else None


def _assessments(http: httpx.Client, agent: Agent, request_id: str) -> set[tuple[str, str, str]]:
    location = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": agent.experiment_id}}
    found = http.post("/api/3.0/mlflow/traces/search", json={"locations": [location], "max_results": 100}).json()
    (trace,) = [trace for trace in found["traces"] if trace.get("client_request_id") == request_id]
    return {
        (a["assessment_name"], (a.get("feedback") or a["expectation"])["value"], a["source"]["source_id"])
        for a in trace["assessments"]
    }


def test_an_answer_can_be_stopped(
    agent: Agent, new_user: Callable[..., User], visit: Callable[..., Visitor], gate: Path
) -> None:
    page = visit(new_user("cem", agent.name)).page(agent.chat)
    turn = ask(page, f"Tell me all wait:{gate}")
    expect(turn).to_contain_text("From the handbook:")
    page.get_by_role("button", name="Stop").click()
    expect(turn).to_contain_text("You stopped this answer.")
    expect(turn).to_contain_text("From the handbook:")
    expect(page.get_by_label("Your question")).to_be_focused()


def test_a_failed_answer_says_so_and_the_question_is_kept(
    agent: Agent, new_user: Callable[..., User], visit: Callable[..., Visitor]
) -> None:
    page = visit(new_user("dan", agent.name)).page(agent.chat)
    turn = ask(page, "Please fail now")
    expect(turn).to_contain_text("The agent failed while it was answering: The model raised RuntimeError")
    expect(turn).to_contain_text("the handbook is locked")
    expect(page.get_by_label("Your question")).to_have_value("Please fail now")
    page.get_by_label("Your question").fill("")
    turn.get_by_role("button", name="Ask again").click()
    expect(page.get_by_role("article")).to_have_count(2)


def test_a_lost_connection_loses_nothing_that_was_typed(
    agent: Agent, new_user: Callable[..., User], visit: Callable[..., Visitor], gate: Path
) -> None:
    visitor = visit(new_user("eve", agent.name))
    page = visitor.page(agent.chat)
    turn = ask(page, QUESTION)
    expect(turn).to_contain_text("thirty days")

    visitor.context.set_offline(True)
    lost = ask(page, "And at Christmas?")
    expect(lost).to_contain_text("The connection to the workspace was lost.")
    expect(page.get_by_label("Your question")).to_have_value("And at Christmas?")
    turn.get_by_text("Rate in detail").click()
    turn.get_by_label("Comment").fill("Very helpful")
    turn.get_by_role("button", name="Send rating").click()
    expect(turn.get_by_role("status")).to_contain_text("What you wrote is kept; send it again.")
    visitor.context.set_offline(False)

    page.reload()
    expect(page.get_by_label("Your question")).to_have_value("And at Christmas?")
    first = page.get_by_role("article").first
    first.get_by_text("Rate in detail").click()
    expect(first.get_by_label("Comment")).to_have_value("Very helpful")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_role("article").last).to_contain_text("thirty days")
    expect(page.get_by_label("Your question")).to_have_value("")


def test_two_tabs_show_the_same_conversations_and_keep_their_own_drafts(
    agent: Agent, new_user: Callable[..., User], visit: Callable[..., Visitor]
) -> None:
    visitor = visit(new_user("fay", agent.name))
    one, other = visitor.page(agent.chat), visitor.page(agent.chat)
    expect(one.get_by_role("button", name="Send", exact=True)).to_be_enabled()
    other.get_by_label("Your question").fill("Only typed here")
    expect(ask(one, "Asked in the first tab")).to_contain_text("thirty days")
    expect(other.get_by_role("link", name="Asked in the first tab")).to_be_visible()
    expect(other.get_by_label("Your question")).to_have_value("Only typed here")

    other.get_by_role("link", name="Asked in the first tab").click()
    expect(other.get_by_role("article")).to_have_count(1)
    ask(one, "And another")
    expect(other.get_by_role("article")).to_have_count(2)
    expect(other.get_by_role("article").last).to_contain_text("thirty days")


def test_an_endpoint_that_sleeps_is_waited_for_and_one_without_feedback_says_so(
    deploy: Callable[..., Agent], new_user: Callable[..., User], visit: Callable[..., Visitor]
) -> None:
    sleeper = deploy("sleeper", takes_feedback=False, scale_to_zero_enabled=True)
    eventually(lambda: "Scaled to zero" in json.dumps(sleeper.endpoint.get()))
    page = visit(new_user("gus", sleeper.name)).page(sleeper.chat)
    expect(page.get_by_text("scaled to zero")).to_be_visible()
    turn = ask(page, QUESTION)
    expect(turn).to_contain_text("The endpoint is scaled to zero: it is being started, then it answers")
    picture(page, "scaled-to-zero")
    expect(turn).to_contain_text("thirty days")
    turn.get_by_role("button", name="Good: the answer").click()
    expect(turn.get_by_role("status")).to_have_text("Rating saved. Thank you.")  # on the trace alone


def test_who_may_not_ask_is_told_what_it_takes(
    agent: Agent, new_user: Callable[..., User], visit: Callable[..., Visitor]
) -> None:
    stranger = new_user("hal")
    page = visit(stranger).page(agent.chat)
    expect(page.get_by_role("main")).to_contain_text(f"You ({stranger.name}) may not ask '{agent.name}'.")
    expect(page.get_by_role("main")).to_contain_text("CAN_QUERY")
    viewer = visit(new_user("ida", agent.name, level="CAN_VIEW")).page(agent.chat)
    expect(viewer.get_by_role("heading", name="You may not ask this agent")).to_be_visible()


def test_instructions_and_the_review_apps_own_address(
    agent: Agent, new_user: Callable[..., User], visit: Callable[..., Visitor], admin_http: httpx.Client
) -> None:
    note = {"instructions": "Ask about **holidays** only."}
    assert admin_http.post(f"/api/2.0/agents/deployments/{agent.model}/instructions", json=note).is_success
    served = {"agent_name": agent.model, "model_serving_endpoint": {"endpoint_name": agent.name}}
    body = {"experiment_id": agent.experiment_id, "agents": [served]}
    app = admin_http.post("/api/2.0/managed-evals/review-apps", json=body).json()
    page = visit(new_user("jan", agent.name)).page(f"/ml/review-v2/{app['review_app_id']}/chat")
    expect(page.get_by_role("heading", name=agent.name)).to_be_visible()
    expect(page.get_by_text("Instructions for reviewers")).to_be_visible()
    expect(page.locator("#instructions-text strong")).to_have_text("holidays")
