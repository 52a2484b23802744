"""The chat page: signing in, asking, watching the answer come, rating it, and finding all of it again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import Agent, User, Visitor, picture

QUESTION = "How many holidays do I have?"


def ask(page: Page, question: str) -> None:
    """Type a question and send it."""
    page.get_by_label("Your question").fill(question)
    page.get_by_role("button", name="Send").click()


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
    ask(page, f"{QUESTION} wait:{gate}")
    turn = page.get_by_role("article")
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
    turn.get_by_text("Sources (2)").click()
    turn.get_by_text("Trace", exact=True).click()
    picture(page, "chat")

    page.reload()
    turn = page.get_by_role("article")
    expect(turn).to_contain_text("Holidays are thirty days a year.")
    expect(turn.get_by_role("button", name="Good: the answer")).to_have_attribute("aria-pressed", "true")
    turn.get_by_text("Rate in detail").click()
    expect(turn.get_by_label("Comment")).to_have_value("Right, and short.")

    page.goto(visitor.host + agent.chat)
    page.get_by_role("link", name=QUESTION).click()
    expect(page.get_by_role("article")).to_contain_text("Holidays are thirty days a year.")
